"""``facegan audit``."""

from __future__ import annotations

import json as json_format
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facegan.cli.options import LABELS_HELP, Device, count_option, labels_option
from facegan.errors import UserError, reason

if TYPE_CHECKING:
    from facegan.evaluation.audit import Audit

_SHOWN = 15
"""Attributes and pairs that are printed."""


def audit(
    model: Annotated[Path, typer.Argument(help="A run, a snapshot, or faces: a packed dataset or a .npy file.")],
    data: Annotated[
        list[Path] | None, typer.Argument(help="The folders that the model was trained on; default: the run's.")
    ] = None,
    count: Annotated[str, typer.Option(help="Faces to make.")] = "5k",
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    labels: Annotated[str, typer.Option(metavar="prior|none", help=LABELS_HELP)] = "prior",
    gallery: Annotated[
        Path | None,
        typer.Option(help="Write the closest pairs as a picture: it shows real people, keep it to yourself."),
    ] = None,
    attributes_net: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A network of facegan train-attributes; default: the shipped one."),
    ] = None,
    device: Device = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON line.")] = False,
) -> None:
    """Ask whether faces are copies of the training set, and whom the generator leaves out.

    For each generated face the nearest training face is sought, mirror images too, in pixels and in features, and the
    same for real people who were held out of training. Generated faces that come nearer than chance allows are copies.
    Exit code 1 if there are any.

    How often attributes-net sees each of the 40 attributes, and their main pairs, among generated faces and among
    held-out people says who is made too seldom or too often. --json has every attribute with its interval.

    \b
    facegan audit runs/first data/celeba64
    facegan audit runs/first data/celeba64 --count 10k --gallery closest.png
    """
    number, labels = count_option(count, "--count"), labels_option(labels)
    if gallery is not None and gallery.suffix.lower() != ".png":
        raise UserError(f"--gallery {gallery}: give a name that ends in .png")
    from facegan.cli.faces import faces_of, real_faces, stages
    from facegan.data.packed import PackedDataset
    from facegan.evaluation.audit import SPACES
    from facegan.evaluation.audit import audit as look
    from facegan.machine import inference_device, keep_freed_memory
    from facegan.perception.labeller import Labeller
    from facegan.perception.spaces import open_space

    keep_freed_memory()
    place = inference_device(device)
    labeller = Labeller(attributes_net, device=place)
    datasets = [PackedDataset.open(path) for path in real_faces(model, data)]
    batches, described, number = faces_of(model, number, seed, place, labels=labels)
    spaces = [open_space(name, device=place) for name in SPACES]
    with stages() as stage:
        found = look(batches, described, number, datasets, spaces, labeller, stage=stage)
    if gallery is not None:
        _gallery(found, gallery)
    if json:
        counts = {"generated": found.generated, "training": found.training, "held_out": found.held_out}
        counts["other_data"] = found.other_data
        coverage = [asdict(row) | {"verdict": row.verdict} for row in found.coverage]
        told = {"copies": found.copy_test.copies, **counts, **asdict(found.copy_test)}
        typer.echo(json_format.dumps(told | {"coverage": coverage}))
    else:
        _show(found)
    if found.copy_test.copies:
        raise typer.Exit(1)


def _show(found: Audit) -> None:
    _show_coverage(found)
    typer.echo()
    typer.echo(
        f"{found.generated:,} generated faces, {found.training:,} training faces and their mirror images, "
        f"{found.held_out:,} faces of held-out people"
    )
    for tail in found.copy_test.tails:
        typer.echo(
            f"{tail.space:<10} {tail.held_out_share:6.2%} of the held-out people come so near to a training face; "
            f"of the generated {tail.below / found.generated:6.2%} come nearer  (p = {tail.p_value:.2g})"
        )
    typer.echo(found.copy_test.sentence())
    if found.other_data:
        typer.echo(
            "WARNING: the model was trained on other data than this (its run.json says which): copies of faces that "
            "are not here cannot be seen",
            err=True,
        )


def _show_coverage(found: Audit) -> None:
    """Print who is there too seldom or too often, the largest differences first."""
    from rich.table import Table

    from facegan.cli.progress import OutputConsole

    differing = sorted((row for row in found.coverage if row.verdict), key=lambda row: -abs(row.generated - row.real))
    typer.echo(
        f"who is there: {len(differing)} of {len(found.coverage)} attributes and pairs are seen too seldom or too often"
        + ("" if differing else "; none can be told from held-out people")
        + (f"; the {_SHOWN} largest differences (--json has all):" if len(differing) > _SHOWN else "")
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("attribute", "generated", "real", "difference, 95%", ""):
        table.add_column(heading, justify="left" if heading in ("attribute", "") else "right")
    for row in differing[:_SHOWN]:
        between = f"{row.low:+.1%} to {row.high:+.1%}"
        table.add_row(row.name, f"{row.generated:.1%}", f"{row.real:.1%}", between, row.verdict)
    if differing:
        OutputConsole().print(table, highlight=False)


def _gallery(found: Audit, path: Path) -> None:
    from facegan import pixels
    from facegan.report.pictures import pairs

    try:
        pixels.save_png(path, pairs(found.closest, shown=32))
    except OSError as error:
        raise UserError(f"--gallery {path} cannot be written: {reason(error)}") from None
