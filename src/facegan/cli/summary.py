"""``facegan summary``."""

from __future__ import annotations

from typing import Annotated

import typer


def summary(
    recipe: Annotated[str, typer.Argument(help="style-s, style-m, dcgan, classic-dcgan or classic-tanh.")],
    resolution: Annotated[int, typer.Option(help="Pixels a side.")] = 64,
) -> None:
    """Print the layers of a recipe's two networks, as Keras prints them.

    \b
    facegan summary classic-tanh
    facegan summary classic-dcgan --resolution 96
    """
    import torch
    from rich.table import Table

    from facegan import recipes
    from facegan.cli.progress import OutputConsole
    from facegan.networks import build_discriminator, build_generator
    from facegan.networks.layers import Row
    from facegan.networks.summary import summarize, totals

    config = recipes.recipe(recipe, resolution)
    console = OutputConsole()
    with torch.device("meta"):  # shapes alone: a summary needs no memory for the weights
        generator = build_generator(config.network, config.generator_options, seed=None)
        discriminator = build_discriminator(config.network, config.discriminator_options, seed=None)
    sides = (
        ("generator", [Row("Input", (config.latent_size,)), *summarize(generator, (config.latent_size,))]),
        (
            "discriminator",
            [Row("Input", (resolution, resolution, 3)), *summarize(discriminator, (resolution, resolution, 3))],
        ),
    )
    for side, rows in sides:
        if side == "discriminator":
            rows.append(Row("Activation (sigmoid)", rows[-1].shape))
        table = Table("layer", "output shape", "parameters", title=f"{recipe} {side}, {resolution} px")
        table.columns[2].justify = "right"
        for row in rows:
            shape = ", ".join(str(size) for size in row.shape)
            table.add_row(row.layer, f"(N, {shape})", f"{row.parameters:,}")
        console.print(table)
        total, trainable, moving = totals(rows)
        console.print(f"Total: {total:,}   trainable: {trainable:,}   non-trainable: {moving:,}\n", highlight=False)
