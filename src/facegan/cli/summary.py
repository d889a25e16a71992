"""``facegan summary``."""

from __future__ import annotations

from typing import Annotated

import typer
from typer import Argument, Option

from facegan.cli import options


def summary(
    recipe: Annotated[str, Argument(help=f"{options.RECIPES}.")],
    resolution: options.Resolution = 64,
    settings: Annotated[
        bool, Option("--settings", help="Print the settings instead, which facegan train --set can change.")
    ] = False,
) -> None:
    """Print the layers of a recipe's two networks, as Keras prints them, or its settings.

    \b
    facegan summary classic-tanh
    facegan summary classic-dcgan --resolution 96
    facegan summary style --settings
    """
    import torch
    from rich.console import Console
    from rich.table import Table

    from facegan import recipes
    from facegan.attributes import ATTRIBUTE_COUNT
    from facegan.config import to_dict
    from facegan.config_changes import FIXED, flatten, setting_text
    from facegan.networks import build_discriminator, build_generator
    from facegan.networks.summary import Row, summarize, totals

    config = recipes.recipe(recipe, resolution)
    if settings:
        for name, value in flatten(to_dict(config)).items():
            if name not in FIXED:
                typer.echo(f"{name}={str(value).lower() if isinstance(value, bool) else setting_text(value)}")
        return
    console = Console()
    with torch.device("meta"):  # shapes alone: a summary needs no memory for the weights
        generator = build_generator(config.network, config.generator_options, seed=None)
        discriminator = build_discriminator(config.network, config.discriminator_options, seed=None)
    attributes = [Row("Input (attributes)", (ATTRIBUTE_COUNT,))] if config.attributes else []
    for side, network, inputs in (
        ("generator", generator, (config.latent_size,)),
        ("discriminator", discriminator, (resolution, resolution, 3)),
    ):
        rows = [Row("Input", inputs), *attributes, *summarize(network, inputs)]
        if network is discriminator:
            rows.append(Row("Activation (sigmoid)", rows[-1].shape))
        table = Table("layer", "output shape", "parameters", title=f"{recipe} {side}, {resolution} px")
        table.columns[2].justify = "right"
        for row in rows:
            shape = ", ".join(str(size) for size in row.shape)
            table.add_row(row.layer, f"(N, {shape})", f"{row.parameters:,}")
        console.print(table)
        total, trainable, moving = totals(rows)
        console.print(f"Total: {total:,}   trainable: {trainable:,}   non-trainable: {moving:,}\n", highlight=False)
