"""``facegan audit``."""

from __future__ import annotations

import json as json_format
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facegan.cli.options import count_option
from facegan.errors import UserError

if TYPE_CHECKING:
    from facegan.evaluation.audit import Audit


def audit(
    model: Annotated[Path, typer.Argument(help="A run, a snapshot, or faces: a packed dataset or a .npy file.")],
    data: Annotated[list[Path], typer.Argument(help="The folders that the model was trained on.")],
    count: Annotated[str, typer.Option(help="Faces to make.")] = "5k",
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    gallery: Annotated[
        Path | None,
        typer.Option(help="Write the closest pairs as a picture: it shows real people, keep it to yourself."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON line.")] = False,
) -> None:
    """Ask whether faces are copies of the training set.

    For each generated face the nearest training face is sought, mirror images too, in pixels and in features, and the
    same for real people who were held out of training. Generated faces that come nearer than chance allows are copies.
    Exit code 1 if there are any.

    \b
    facegan audit runs/first data/celeba64
    facegan audit runs/first data/celeba64 --count 10k --gallery closest.png
    """
    number = count_option(count, "--count")
    if gallery is not None and gallery.suffix.lower() != ".png":
        raise UserError(f"--gallery {gallery}: give a name that ends in .png")
    from facegan.cli.faces import faces_of, stages
    from facegan.data.packed import PackedDataset
    from facegan.evaluation.audit import audit as look
    from facegan.machine import keep_freed_memory
    from facegan.perception.spaces import DEFAULT, open_space

    keep_freed_memory()
    datasets = [PackedDataset.open(path) for path in data]
    batches, _, number = faces_of(model, number, seed)
    with stages() as stage:
        found = look(batches, number, datasets, [open_space(name) for name in DEFAULT], stage=stage)
    if gallery is not None:
        _gallery(found, gallery)
    if json:
        counts = {"generated": found.generated, "training": found.training, "held_out": found.held_out}
        typer.echo(json_format.dumps({"copies": found.verdict.copies, **counts, **asdict(found.verdict)}))
    else:
        _show(found)
    if found.verdict.copies:
        raise typer.Exit(1)


def _show(found: Audit) -> None:
    for tail in found.verdict.tails:
        typer.echo(
            f"{tail.space:<12} nearer than the nearest {tail.held_out_share:6.2%} of held-out people: "
            f"{tail.below / found.generated:6.2%} of the generated  (p = {tail.p_value:.2g})"
        )
    typer.echo(
        f"{found.generated:,} generated faces, {found.training:,} training faces and their mirror images, "
        f"{found.held_out:,} faces of held-out people"
    )
    typer.echo(found.verdict.sentence())


def _gallery(found: Audit, path: Path) -> None:
    """Write the closest pairs: a generated face, and right of it the training face."""
    import numpy as np

    from facegan import pixels

    shown = sorted(found.closest, key=lambda pair: pair[1])[:32]
    faces = np.stack([face for _, _, generated, training in shown for face in (generated, training)])
    captions = [caption for space, ratio, *_ in shown for caption in (f"{ratio:.2f}", space[:9])]
    try:
        pixels.save_png(path, pixels.grid(faces, columns=8, captions=captions))
    except OSError as error:
        raise UserError(f"--gallery {path} cannot be written: {error.strerror or error}") from None
