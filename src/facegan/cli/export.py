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
    out: Annotated[Path, Argument(help="Folder to write, which must be new; of a page, a file (.html).")],
    format: Annotated[
        str | None, Option(metavar="onnx|hub|page", help="What to write. Default: page to an .html, else onnx.")
    ] = None,
    name: Annotated[
        str | None, Option(metavar="USER/NAME", help="For the hub: how the model will be called there.")
    ] = None,
    half: Annotated[
        bool, Option("--half", help="Of a page: store weights as float16; faces change by a grey level or two.")
    ] = False,
    force: Annotated[bool, Option("--force", help="Overwrite the page that is there.")] = False,
) -> None:
    """Write a model for other programs and people: ONNX graphs, a folder for the Hugging Face hub, or a page.

    onnx: faces.onnx, and of style models mapping.onnx and synthesis.onnx; each is compared with PyTorch, and refused if
    a value differs by more than 0.001.

    hub: config.json, model.safetensors, a card, the licence and a page to try it on. facegan.load takes the folder.

    page: one HTML file that makes faces by itself, opened by double click: no server, no network. For style, dcgan and
    classic-dcgan networks.

    \b
    facegan export celeba64 faces.html
    facegan export celeba64 onnx/
    facegan export runs/style hub/ --format hub --name someone/my-faces
    """
    is_page = out.suffix.lower() in (".html", ".htm")
    chosen = format or ("page" if is_page else "onnx")
    if chosen not in ("onnx", "hub", "page"):
        raise UserError(f"--format {chosen}: choose onnx, hub or page")
    if is_page != (chosen == "page"):
        raise UserError(
            f"{out}: a page is a file whose name ends in .html, and {chosen} a folder"
            if is_page
            else f"{out}: give a page a name that ends in .html"
        )
    if chosen == "hub" and name is None:
        raise UserError("--format hub: add --name USER/NAME, as the model will be called there")
    if force and chosen != "page":
        raise UserError(f"--force is for a page: {chosen} is written to a place where nothing is")
    if name is not None and (not re.fullmatch(r"[\w.-]+/[\w.-]+", name, re.ASCII) or set(name) <= set("./")):
        raise UserError(f"--name {name}: give USER/NAME, of letters, digits, dots, dashes and _")
    if chosen != "hub" and name is not None:
        raise UserError(f"--name {name} is for --format hub: leave it out")
    if chosen != "page" and half:
        raise UserError("--half is for --format page: leave it out")

    from facegan import api
    from facegan.cli.progress import stages
    from facegan.files import NewFolder, refuse_unwritable
    from facegan.machine import keep_freed_memory

    if chosen == "page":
        options.check_free(out, force, "OUT")
    refuse_unwritable(out)
    keep_freed_memory()
    loaded = api.load(model)
    if chosen == "page":
        from facegan.export.page import export_page

        with options.writing("OUT", out):
            command = str(model) if str(model).startswith(api.HUB_PREFIX) else _called(model)
            size = export_page(loaded, out, command=command, half=half)
        typer.echo(f"{out}: {size / 1e6:.1f} MB; open it in a browser, or send it to anybody", err=True)
        return
    if chosen == "hub":
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


def _called(model: Path) -> str:
    """Return what commands on the page call a model: its path as given, or of an absolute one, which would tell where
    somebody keeps it, its name."""
    if not model.is_absolute() and model.name:
        return str(model)
    from facegan.runs.folder import SHIPPED

    name = model.resolve().name
    return f"./{name}" if name in SHIPPED else name
