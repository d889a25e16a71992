"""``facegan sample``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from facegan.cli import options
from facegan.errors import UserError
from facegan.files import is_taken

if TYPE_CHECKING:
    import numpy as np

    from facegan.provenance import Provenance

    Batches = Iterator[tuple[np.ndarray, np.ndarray | None]]

_OUT_HELP = (
    "A grid (faces.png), a folder with one PNG a face (faces/), or all as uint8 [N, R, R, 3] (faces.npy, and beside it "
    "faces.npy.json, which says what made them). Of one face (--count 1): a small file that morph, mix and edit take "
    "(face.safetensors)."
)
_GRID_LIMIT = 10_000


def sample(
    model: Annotated[Path, Argument(help="A run, a snapshot, or the shipped model.")] = Path("celeba64"),
    count: Annotated[str, Option(help="Number of faces, from 1 to a million and more.")] = "64",
    seed: Annotated[
        int, Option(help="Seed of the latents; face i of a seed is the same for any --count (within 2/255).")
    ] = 0,
    first: Annotated[int, Option(help="Number of the first face of the seed.")] = 0,
    out: Annotated[Path, Option(help=_OUT_HELP)] = Path("faces.png"),
    attr: options.Attr = None,
    labels: options.Labels = "prior",
    truncation: options.Truncation = 1.0,
    score: Annotated[
        bool,
        Option(
            "--score", help="Show the discriminator's score (0 to 1) under each face; print it for a folder or .npy."
        ),
    ] = False,
    device: options.Device = "auto",
    force: Annotated[
        bool, Option("--force", help="Overwrite what is at --out; in a folder, faces of the same numbers.")
    ] = False,
) -> None:
    """Make faces from noise. Where no model is named, the shipped one makes them.

    Attributes that are not given are drawn for each face, as in training, to fit those that are.

    \b
    facegan sample
    facegan sample --attr Smiling=1 --attr Eyeglasses=1 --truncation 0.7 --out smiling.png
    facegan sample runs/first --count 64 --out faces.png
    facegan sample runs/first --count 16 --seed 7 --score --out scored.png
    facegan sample runs/first --count 50k --out faces/
    facegan sample runs/first/snapshots/nimg-000020000 --count 10k --out faces.npy
    facegan sample --first 7 --count 1 --out seven.safetensors
    """
    number = options.count(count, "--count")
    attributes = options.amounts(attr or [])
    grid = out.suffix.lower() == ".png"
    saved = out.suffix.lower() == ".safetensors"
    if out.suffix and not grid and not saved and out.suffix.lower() != ".npy" and not out.is_dir():
        raise UserError(f"--out {out}: give a name that ends in .png or .npy, or a folder that ends in /")
    if saved and number > 1:
        raise UserError(f"--out {out} holds one face: add --count 1 (and --first, its number)")
    if saved and score:
        raise UserError(f"--score does not go into {out}: leave it out, or choose a .png")
    if grid and number > _GRID_LIMIT:
        raise UserError(f"--count {number} is too many for one picture: choose --out faces/ or --out faces.npy")
    array = out.suffix.lower() == ".npy" and not out.is_dir()
    taken = any(out.iterdir()) if out.is_dir() else is_taken(out)
    if array and is_taken(beside := _beside(out)) and not (taken or force):
        raise UserError(f"{beside} exists already: choose another --out, or add --force to overwrite it")
    if taken and not force:
        raise UserError(f"{out} exists already: choose another --out, or add --force to overwrite it")

    from facegan import api
    from facegan.machine import inference_device, keep_freed_memory

    keep_freed_memory()
    loaded = api.load(model, device=str(inference_device(device)))
    asked: dict[str, Any] = {
        "seed": seed, "first": first, "attributes": attributes, "truncation": truncation, "labels": labels
    }  # fmt: skip
    if saved:
        from facegan.editing.saved_face import numbered_face

        face = numbered_face(loaded, seed, first, attributes=attributes, truncation=truncation, labels=labels)
        with options.writing("--out", out):
            face.save(out)
        typer.echo(f"face {first} of seed {seed} in {out}", err=True)
        return
    batches = loaded.batches(number, **asked, scores=score)
    provenance = loaded.provenance(number, **asked, sheet=grid and number > 1)
    with options.writing("--out", out):
        if grid:
            _write_grid(batches, provenance, out)
        elif array:
            _write_npy(batches, provenance, loaded.resolution, out)
        else:
            _write_folder(batches, provenance, out)
    typer.echo(f"{number:,} face{'s' if number > 1 else ''} of seed {seed} in {out}", err=True)


def _write_grid(batches: Batches, provenance: Provenance, out: Path) -> None:
    import numpy as np

    from facegan import pixels

    faces, scores = zip(*batches, strict=True)
    captions = None if scores[0] is None else [f"{value:.2f}" for part in scores for value in part]
    pixels.save_png(out, pixels.grid(np.concatenate(faces), captions=captions), provenance)


def _write_folder(batches: Batches, provenance: Provenance, out: Path) -> None:
    from facegan import pixels
    from facegan.cli.progress import stages

    assert provenance.first is not None
    count, first = provenance.count, provenance.first
    out.mkdir(parents=True, exist_ok=True)
    digits = max(6, len(str(first + count - 1)))
    names = [f"{number:0{digits}d}.png" for number in range(first, first + count)]
    others = {file.name for file in out.iterdir()}.difference(names)
    with stages() as stage:
        done = 0
        for faces, scores in batches:
            for place, face in enumerate(faces):
                name = names[done + place]
                pixels.save_png(out / name, face, provenance.of_face(done + place))
                if scores is not None:
                    typer.echo(f"{name} {scores[place]:.4f}")
            done += len(faces)
            stage("", done, count)
    if others:
        typer.echo(f"{out} held {len(others):,} other files before; they are still there", err=True)


def _beside(out: Path) -> Path:
    """Return the file that says what made the faces of an array."""
    return out.with_name(f"{out.name}.json")


def _write_npy(batches: Batches, provenance: Provenance, resolution: int, out: Path) -> None:
    import json

    import numpy as np

    from facegan.cli.progress import stages
    from facegan.files import replaced, write_text

    count = provenance.count
    # Written as a stream: a full disk is then an error, where a memory map would kill the process.
    with replaced(out) as partial, partial.open("wb") as file, stages() as stage:
        shape = (count, resolution, resolution, 3)
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        done = 0
        for faces, scores in batches:
            file.write(np.ascontiguousarray(faces).data)
            for place, score in enumerate([] if scores is None else scores, done):
                typer.echo(f"{place} {score:.4f}")
            done += len(faces)
            stage("", done, count)
        write_text(_beside(out), json.dumps(provenance.to_dict(), indent=1) + "\n")
