"""``facegan import-keras``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def import_keras(
    generator: Annotated[Path, typer.Argument(help="The generator's .weights.h5 or .h5 file.")],
    recipe: Annotated[str, typer.Option("--recipe", help="classic-tanh or classic-dcgan.")],
    out: Annotated[Path, typer.Option("--out", help="New folder for the model.")],
    discriminator: Annotated[
        Path | None, typer.Option(help="The discriminator's file: for --score, and to train on with --init.")
    ] = None,
    resolution: Annotated[int, typer.Option(help="Pixels a side.")] = 64,
) -> None:
    """Take over a classic pair that was trained in Keras: sample from it, or train on with --init.

    The weights must be those of the recipe's own layers (facegan summary RECIPE shows them). The files are read in a
    process of their own, with limited memory. Needs h5py.

    \b
    facegan import-keras generator.weights.h5 --recipe classic-tanh --out models/tanh
    facegan sample models/tanh --count 64 --out faces.png
    facegan import-keras g.h5 --discriminator d.h5 --recipe classic-dcgan --out models/dcgan
    facegan train data/celeba64 --recipe classic-dcgan --run runs/on --init models/dcgan
    """
    from facegan import recipes
    from facegan.config import RunConfig, to_dict
    from facegan.errors import UserError
    from facegan.files import is_taken
    from facegan.networks import build_discriminator, build_generator
    from facegan.networks.keras_weights import load_keras_file
    from facegan.runs.snapshot import write_snapshot

    settings = recipes.recipe(recipe, resolution)
    if not settings.network.startswith("classic-"):
        raise UserError(f"--recipe {recipe}: Keras' pairs are classic-tanh and classic-dcgan")
    if is_taken(out):
        raise UserError(f"--out {out} exists already and nothing is overwritten: give a new folder")
    for path in (generator, discriminator):
        if path is not None and not path.is_file():
            raise UserError(f"{path} is no file: give the .h5 or .weights.h5 file that Keras wrote")
    networks = {"generator": build_generator(settings.network, settings.generator_options, seed=0)}
    load_keras_file(networks["generator"], generator)
    if discriminator is not None:
        networks["discriminator"] = build_discriminator(settings.network, settings.discriminator_options, seed=0)
        load_keras_file(networks["discriminator"], discriminator)
    tensors = {name: network.state_dict() for name, network in networks.items()}
    write_snapshot(out, nimg=0, config=to_dict(RunConfig(recipe=settings)), state={}, tensors=tensors)
    typer.echo(f"{out}: {', '.join(networks)} of {recipe} at {resolution} px. Faces: facegan sample {out} --out f.png")
