"""``facegan export``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from facegan.cli import options
from facegan.errors import UserError


def export(
    model: options.Model,
    out: Annotated[Path, Argument(help="Folder to write, which must be new.")],
    format: Annotated[str, Option(metavar="onnx|hub", help="What to write.")] = "onnx",
    name: Annotated[
        str | None, Option(metavar="USER/NAME", help="For the hub: how the model will be called there.")
    ] = None,
) -> None:
    """Write a model for other programs: ONNX graphs, or a folder for the Hugging Face hub.

    onnx: faces.onnx, and of style models mapping.onnx and synthesis.onnx; each is compared with PyTorch, and refused if
    a value differs by more than 0.001.

    hub: config.json, model.safetensors, a card, the licence and a page to try it on. facegan.load takes the folder.

    \b
    facegan export celeba64 onnx/
    facegan export runs/style hub/ --format hub --name someone/my-faces
    """
    if format not in ("onnx", "hub"):
        raise UserError(f"--format {format}: choose onnx or hub")
    if format == "hub" and name is None:
        raise UserError("--format hub: add --name USER/NAME, as the model will be called there")
    if name is not None and not re.fullmatch(r"[\w.-]+/[\w.-]+", name, re.ASCII):
        raise UserError(f"--name {name}: give USER/NAME, of letters, digits, dots, dashes and _")
    if format == "onnx" and name is not None:
        raise UserError(f"--name {name} is for --format hub: leave it out")

    from facegan import api
    from facegan.cli.progress import stages
    from facegan.files import NewFolder, refuse_unwritable
    from facegan.machine import keep_freed_memory

    refuse_unwritable(out)
    keep_freed_memory()
    loaded = api.load(model)
    if format == "hub":
        from facegan.export.hub_folder import export_hub

        assert name is not None
        for file in export_hub(loaded, out, name=name):
            typer.echo(str(out / file), err=True)
        typer.echo(f"to upload it: hf auth login, then hf upload {name} {out}", err=True)
        return
    from facegan.export.onnx import export_onnx

    with NewFolder(out) as partial, stages() as stage:
        written = export_onnx(loaded, partial.folder, report=stage)
        partial.put_in_place()
    for graph in written:
        typer.echo(
            f"{out / graph.path.name}: {graph.size / 1e6:.1f} MB, within {graph.difference:.1g} of PyTorch", err=True
        )
