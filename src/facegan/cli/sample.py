"""``facegan sample``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from facegan.bulk.names import DESCRIPTION, FORMATS, check_pattern, parse_share
from facegan.cli import options
from facegan.errors import UserError
from facegan.files import is_taken, refuse_unwritable

if TYPE_CHECKING:
    import numpy as np

    from facegan.api import Model
    from facegan.provenance import Provenance

    Batches = Iterator[tuple[np.ndarray, np.ndarray | None]]

_OUT_HELP = (
    "A grid (faces.png), a folder with one PNG a face (faces/; above 100,000, a folder for each thousand), WebDataset "
    "shards (faces-%05d.tar), or all as uint8 [N, R, R, 3] (faces.npy, and beside it faces.npy.json, which says what "
    "made them). Of one face (--count 1): a small file that morph, mix and edit take (face.safetensors)."
)
_KINDS = {".png": "grid", ".npy": "array", ".safetensors": "saved", ".tar": "shards"}
_GRID_LIMIT = 10_000


def sample(
    model: Annotated[Path, Argument(help=options.MODEL_HELP)] = Path("celeba64"),
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
            "--score",
            help="The discriminator's score (0 to 1): under each face of a grid, in the JSON of a shard; printed for a "
            "folder or .npy.",
        ),
    ] = False,
    shard_size: Annotated[str | None, Option(help="Faces in a shard; default: 10k.")] = None,
    shard: Annotated[
        str | None,
        Option(
            metavar="I/N",
            help="Make only this share of the shards: N processes or machines, from 1/N to N/N, make them all.",
        ),
    ] = None,
    form: Annotated[
        str | None, Option("--format", metavar="png|npy", help="What a face is in a shard; default: png.")
    ] = None,
    device: options.Device = "auto",
    force: Annotated[
        bool,
        Option(
            "--force",
            help="Overwrite what is at --out; in a folder, faces of the same numbers; of shards, those of other "
            "settings.",
        ),
    ] = False,
) -> None:
    """Make faces from noise. Where no model is named, the shipped one makes them.

    Attributes that are not given are drawn for each face, as in training, to fit those that are.

    Where a folder or shards were being made and the command was stopped, or killed, the same command goes on.

    \b
    facegan sample
    facegan sample --attr Smiling=1 --attr Eyeglasses=1 --truncation 0.7 --out smiling.png
    facegan sample runs/first --count 64 --out faces.png
    facegan sample runs/first --count 16 --seed 7 --score --out scored.png
    facegan sample runs/first --count 50k --out faces/
    facegan sample runs/first/snapshots/nimg-000020000 --count 10k --out faces.npy
    facegan sample --count 1M --out faces/faces-%05d.tar
    facegan sample --count 1M --out faces/faces-%05d.tar --shard 2/3
    facegan sample --first 7 --count 1 --out seven.safetensors
    """
    number = options.count(count, "--count")
    options.check_between("--first", first, 0, 2**62)
    attributes = options.amounts(attr or [])
    kind = _kind(out, number, score)
    size, share = _shards(kind, out, shard_size, shard, form)
    _check_free(kind, out, force)

    from facegan import api
    from facegan.machine import inference_device, keep_freed_memory

    keep_freed_memory()
    loaded = api.load(model, device=str(inference_device(device)))
    asked: dict[str, Any] = {
        "seed": seed, "first": first, "attributes": attributes, "truncation": truncation, "labels": labels
    }  # fmt: skip
    with options.writing("--out", out):
        if kind in ("folder", "shards"):
            from facegan.bulk.job import Job
            from facegan.cli.bulk import write_folder, write_shards

            job = Job(model=loaded, count=number, scores=score, **asked)
            if kind == "folder":
                done = write_folder(job, out, force=force)
            else:
                done = write_shards(job, out, size=size, form=form or FORMATS[0], share=share, force=force)
        elif kind == "saved":
            done = _write_saved(loaded, out, asked)
        else:
            provenance = loaded.provenance(number, **asked, sheet=kind == "grid" and number > 1)
            write = _write_grid if kind == "grid" else _write_npy
            write(loaded.batches(number, **asked, scores=score), provenance, loaded.resolution, out)
            done = f"{number:,} face{'s' if number > 1 else ''} of seed {seed} in {out}"
    typer.echo(done, err=True)


def _kind(out: Path, number: int, score: bool) -> str:
    """Return what ``--out`` asks for: "grid", "array", "saved", "shards" or "folder"."""
    kind = "folder" if out.is_dir() or not out.suffix else _KINDS.get(out.suffix.lower(), "")
    if not kind:
        endings = ".png, .npy or .tar" if number > 1 else ".png, .npy, .tar or .safetensors"
        raise UserError(f"--out {out}: give a name that ends in {endings}, or that of a folder, without a dot")
    if kind == "saved" and number > 1:
        raise UserError(f"--out {out} holds one face: add --count 1 (and --first, its number)")
    if kind == "saved" and score:
        raise UserError(f"--score does not go into {out}: leave it out, or choose a .png")
    if kind == "grid" and number > _GRID_LIMIT:
        raise UserError(f"--count {number} is too many for one picture: choose --out faces/ or --out faces.npy")
    return kind


def _shards(kind: str, out: Path, size: str | None, share: str | None, form: str | None) -> tuple[int, tuple[int, int]]:
    """Return the size of a shard and the share to be made."""
    given = {"--shard-size": size, "--shard": share, "--format": form}
    if kind != "shards" and (flag := next((name for name, value in given.items() if value is not None), None)):
        raise UserError(
            f"{flag} is for shards, and --out {out} is none: give --out faces-%05d.tar, or leave {flag} out"
        )
    if form is not None and form not in FORMATS:
        raise UserError(f"--format {form}: choose {' or '.join(FORMATS)}")
    if kind == "shards":
        check_pattern(out)
    return options.count(size or "10k", "--shard-size"), parse_share(share or "1/1")


def _check_free(kind: str, out: Path, force: bool) -> None:
    """Refuse to overwrite what is there; a folder and shards that say what made them are looked at later."""
    if kind == "shards":
        refuse_unwritable(out)
        return
    taken = any(out.iterdir()) if out.is_dir() else is_taken(out)
    if kind == "array" and is_taken(beside := _beside(out)) and not (taken or force):
        raise UserError(f"{beside} exists already: choose another --out, or add --force to overwrite it")
    if taken and not force and not (kind == "folder" and (out / DESCRIPTION).is_file()):
        raise UserError(f"{out} exists already: choose another --out, or add --force to overwrite it")


def _write_saved(model: Model, out: Path, asked: dict[str, Any]) -> str:
    from facegan.editing.saved_face import numbered_face

    seed, first = asked.pop("seed"), asked.pop("first")
    numbered_face(model, seed, first, **asked).save(out)
    return f"face {first} of seed {seed} in {out}"


def _write_grid(batches: Batches, provenance: Provenance, _resolution: int, out: Path) -> None:
    import numpy as np

    from facegan import pixels

    faces, scores = zip(*batches, strict=True)
    captions = None if scores[0] is None else [f"{value:.2f}" for part in scores for value in part]
    pixels.save_png(out, pixels.grid(np.concatenate(faces), captions=captions), provenance)


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
