"""``facegan sample``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facegan.cli.options import LABELS_HELP, Device, count_option, labels_option
from facegan.errors import UserError, reason
from facegan.files import is_taken

if TYPE_CHECKING:
    import numpy as np

    Batches = Iterator[tuple[np.ndarray, np.ndarray | None]]

_OUT_HELP = "A grid (faces.png), a folder with one PNG a face (faces/), or all as uint8 [N, R, R, 3] (faces.npy)."
_GRID_LIMIT = 10_000


def sample(
    model: Annotated[Path, typer.Argument(help="A run or one of its snapshots; default: the shipped model.")] = Path(
        "celeba64"
    ),
    count: Annotated[str, typer.Option(help="Number of faces, 1 to a million and more.")] = "64",
    seed: Annotated[
        int,
        typer.Option(
            help="Seed of the noise; face i of a seed is the same in any number (within a grey level or two)."
        ),
    ] = 0,
    first: Annotated[int, typer.Option(help="Number of the first face of the seed.")] = 0,
    out: Annotated[Path, typer.Option(help=_OUT_HELP)] = Path("faces.png"),
    attr: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="One of CelebA's 40 attributes, from -1 (absent) to 1 (present): Smiling=1; 0: say nothing of it "
            "(repeatable).",
        ),
    ] = None,
    labels: Annotated[str, typer.Option(metavar="prior|none", help=LABELS_HELP)] = "prior",
    truncation: Annotated[
        float, typer.Option(help="From 0 to 1; below 1, faces nearer the mean: likelier and less varied.")
    ] = 1.0,
    score: Annotated[
        bool,
        typer.Option(
            "--score", help="Put the discriminator's score (0 to 1) under each face; print it for a folder or .npy."
        ),
    ] = False,
    device: Device = "auto",
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite what is at --out; in a folder, faces of the same numbers.")
    ] = False,
) -> None:
    """Make faces from noise. Where no model is named, the shipped one makes them.

    Attributes that are not named are drawn for each face, as in training, to go with those that are.

    \b
    facegan sample
    facegan sample --attr Smiling=1 --attr Eyeglasses=1 --truncation 0.7 --out smiling.png
    facegan sample runs/first --count 64 --out faces.png
    facegan sample runs/first --count 16 --seed 7 --score --out scored.png
    facegan sample runs/first --count 50k --out faces/
    facegan sample runs/first/snapshots/nimg-000020000 --count 10k --out faces.npy
    """
    number, labels = count_option(count, "--count"), labels_option(labels)
    attributes = _parse_attributes(attr or [])
    grid = out.suffix.lower() == ".png"
    if out.suffix and not grid and out.suffix.lower() != ".npy" and not out.is_dir():
        raise UserError(f"--out {out}: give a name that ends in .png or .npy, or a folder that ends in /")
    if grid and number > _GRID_LIMIT:
        raise UserError(f"--count {number} is too many for one picture: choose --out faces/ or --out faces.npy")
    taken = any(out.iterdir()) if out.is_dir() else is_taken(out)
    if taken and not force:
        raise UserError(f"{out} exists already: choose another --out, or add --force to overwrite it")

    from facegan import api
    from facegan.machine import inference_device, keep_freed_memory

    keep_freed_memory()
    loaded = api.load(model, device=str(inference_device(device)))
    batches = loaded.batches(
        number, seed=seed, first=first, attributes=attributes, truncation=truncation, labels=labels, scores=score
    )
    try:
        if grid:
            _write_grid(batches, out)
        elif out.suffix.lower() == ".npy":
            _write_npy(batches, number, loaded.resolution, out)
        else:
            _write_folder(batches, number, first, out)
    except OSError as error:
        raise UserError(f"--out {out} cannot be written: {reason(error)}") from None
    typer.echo(f"{number:,} face{'s' if number > 1 else ''} of seed {seed} in {out}", err=True)


def _parse_attributes(texts: list[str]) -> dict[str, float]:
    attributes: dict[str, float] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if name in attributes:
            raise UserError(f"--attr {text}: {name} is asked for twice")
        try:
            attributes[name] = float(value if equals else "missing")
        except ValueError:
            raise UserError(f"--attr {text}: write it as NAME=VALUE, such as --attr Smiling=1") from None
    return attributes


def _write_grid(batches: Batches, out: Path) -> None:
    import numpy as np

    from facegan import pixels

    faces, scores = zip(*batches, strict=True)
    captions = None if scores[0] is None else [f"{value:.2f}" for part in scores for value in part]
    pixels.save_png(out, pixels.grid(np.concatenate(faces), captions=captions))


def _write_folder(batches: Batches, count: int, first: int, out: Path) -> None:
    from facegan import pixels

    out.mkdir(parents=True, exist_ok=True)
    digits, number = max(6, len(str(first + count - 1))), first
    names = {f"{place:0{digits}d}.png" for place in range(first, first + count)} if any(out.iterdir()) else set()
    others = sum(file.name not in names for file in out.iterdir())
    with _progress(count) as advance:
        for faces, scores in batches:
            for place, face in enumerate(faces):
                name = f"{number:0{digits}d}.png"
                pixels.save_png(out / name, face)
                if scores is not None:
                    typer.echo(f"{name} {scores[place]:.4f}")
                number += 1
            advance(len(faces))
    if others:
        typer.echo(f"{out} held {others:,} other files before; they are still there", err=True)


def _write_npy(batches: Batches, count: int, resolution: int, out: Path) -> None:
    import numpy as np

    from facegan.files import replaced

    # Written as a stream: a full disk is then an error, where a memory map would kill the process.
    with replaced(out) as partial, partial.open("wb") as file, _progress(count) as advance:
        shape = (count, resolution, resolution, 3)
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        written = 0
        for faces, scores in batches:
            file.write(np.ascontiguousarray(faces).data)
            for place in range(len(faces) if scores is not None else 0):
                typer.echo(f"{written + place} {scores[place]:.4f}")  # type: ignore[index]
            written += len(faces)
            advance(len(faces))


@contextmanager
def _progress(count: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on standard error; yields a function to call with the number of faces done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), "left", TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=count)
        yield lambda done: bar.update(task, advance=done)
