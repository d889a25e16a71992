"""``facegan blind``."""

from __future__ import annotations

import contextlib
import json as json_format
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facegan.errors import UserError, reason
from facegan.files import is_taken

if TYPE_CHECKING:
    from facegan.evaluation.blind import BlindTest
    from facegan.evaluation.blind_answers import Kind, Result


def blind(
    model: Annotated[
        Path | None, typer.Argument(help="A run, a snapshot, or faces: a packed dataset or a .npy file.")
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of real faces, whose held-out people are shown; default: the run's."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the sheets; whoever is to look gets it whole.")] = None,
    sheets: Annotated[int, typer.Option(help="Number of sheets.")] = 2,
    faces: Annotated[int, typer.Option(help="Faces on a sheet; a quarter to three quarters of them are made.")] = 40,
    seed: Annotated[int, typer.Option(help="Seed of the noise, the order and the choice of photographs.")] = 0,
    truncation: Annotated[
        float, typer.Option(help="From 0 to 1; below 1, faces nearer the mean: likelier and less varied.")
    ] = 1.0,
    singles: Annotated[
        bool, typer.Option("--singles", help="Also write each face as a file of its own: faces/001.png ...")
    ] = False,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The key; default: beside the folder, as OUT-key.json.")
    ] = None,
    score: Annotated[
        list[Path] | None,
        typer.Option(metavar="ANSWERS", help="Count a viewer's answers (repeatable: one file a viewer)."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON line.")] = False,
) -> None:
    """Test whether eyes take made faces for photographs: sheets that mix both, answers, and what they say.

    The sheets show faces of the model and photographs of people who were held out of training, each of another
    person. How many are made is drawn at random and stands only in the key, which is kept apart. Viewers, people or a
    vision model, write photo, made or unsure behind each number in a copy of answers.csv. Then --score tells which
    shares of the made faces and of the photographs passed for photographs, and whether anybody could tell.

    \b
    facegan blind runs/first data/celeba64 --out look
    facegan blind --score look/answers.csv --key look-key.json
    facegan blind --score anna.csv --score ben.csv --key look-key.json
    """
    if score:
        if model is not None or out is not None:
            raise UserError("--score counts answers that are there: leave MODEL, DATA and --out out")
        if key is None:
            raise UserError("--score needs --key FILE: the key that facegan blind wrote beside the sheets' folder")
        _score(score, key, json)
        return
    if model is None or out is None:
        raise UserError(
            "give MODEL, DATA and --out DIR to make a test, or --score ANSWERS and --key FILE to count answers"
        )
    named = out if out.name not in ("", "..") else out.resolve()
    key = key or named.with_name(f"{named.name}-key.json")
    _check_places(out, key)
    test, described = _draw_up(model, data, sheets, faces, seed, truncation)
    from facegan.evaluation.blind import NOTE, write_test

    try:
        written = write_test(test, out, key, described, singles=singles)
    except BaseException as error:  # a test without its key, or the other way round, is of no use
        shutil.rmtree(out, ignore_errors=True)
        with contextlib.suppress(OSError):
            key.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise UserError(f"{error.filename or out} cannot be written: {reason(error)}") from None
        raise
    if json:
        places = {"test": test.name, "sheets": list(map(str, written)), "answers": str(out / "answers.csv")}
        typer.echo(json_format.dumps(places | {"key": str(key)}))
        return
    typer.echo(f"{sheets} sheet{'' if sheets == 1 else 's'} of {faces} faces, and answers.csv to be filled: {out}")
    typer.echo(f"the key: {key} (do not open it, nor show it to whoever looks, before the answers are there)")
    typer.echo(f"then: facegan blind --score {out / 'answers.csv'} --key {key}")
    typer.echo(NOTE, err=True)


def _check_places(out: Path, key: Path) -> None:
    if is_taken(out) and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out {out} exists already: name a new folder")
    if is_taken(key):
        raise UserError(f"--key {key} exists already, and without it its test cannot be counted: choose another name")
    if out.resolve() in key.resolve().parents:
        raise UserError(f"--key {key} lies in the folder that viewers get ({out}): name a file elsewhere")


def _draw_up(
    model: Path, data: list[Path] | None, sheets: int, faces: int, seed: int, truncation: float
) -> tuple[BlindTest, dict[str, Any]]:
    """Return the test, and what the key says of it."""
    from facegan.evaluation import blind

    blind.check_size(sheets, faces)
    if not 0 <= seed < 2**63:
        raise UserError(f"--seed {seed}: choose a whole number from 0 to {2**63 - 1}")
    if not 0 <= truncation <= 1:
        raise UserError(f"--truncation {truncation:g}: choose from 0 (all faces alike) to 1 (as trained)")
    import hashlib

    import numpy as np

    from facegan.cli.faces import faces_of, real_faces
    from facegan.data.packed import DataView, PackedDataset
    from facegan.machine import keep_freed_memory

    keep_freed_memory()
    view = DataView([PackedDataset.open(path) for path in real_faces(model, data)], held_out=True)
    most = blind.most_of_a_kind(sheets, faces)
    batches, described, _ = faces_of(model, most, seed)
    if described["kind"] == "model":
        of = f"{described['sha256']}/{truncation}"
        first = blind.first_sample(seed, of)
        batches, described, _ = faces_of(model, most, seed, first=first, truncation=truncation)
    elif truncation != 1:
        raise UserError(f"--truncation {truncation:g}: {model} holds faces, and no model that could make others")
    made_MHWC = np.concatenate(list(batches))
    if described["kind"] != "model":
        first = 0
        of = described["faces_sha256"] = hashlib.sha256(made_MHWC.tobytes()).hexdigest()
    test = blind.draw_up(made_MHWC, view, first=first, sheets=sheets, faces=faces, seed=seed, of=of)
    about = {"paths": [str(dataset.path) for dataset in view.datasets], "sha256": view.content_hash}
    drawn = {"seed": seed, "truncation": truncation, "sheets": sheets, "faces": faces, "first": first}
    return test, {"model": described, "data": about, **drawn}


def _score(files: list[Path], key_file: Path, as_json: bool) -> None:
    from facegan.evaluation.blind import read_key
    from facegan.evaluation.blind_answers import read_answers, result

    if len({file.resolve() for file in files}) < len(files):
        raise UserError("--score names a file twice: its viewer would count double")
    key = read_key(key_file)
    answers = [read_answers(file, key) for file in files]
    viewers = [result(str(file), [given], key) for file, given in zip(files, answers, strict=True)]
    together = result("together", answers, key) if len(files) > 1 else viewers[0]
    if as_json:
        counted = {"viewers": [asdict(row) for row in viewers], "together": asdict(together)}
        typer.echo(json_format.dumps(key.described | counted))
        return
    _table(viewers + ([together] if len(files) > 1 else []))
    model = key.described.get("model")
    path = model.get("path") if isinstance(model, dict) else None
    typer.echo(f"{path} at truncation {key.described.get('truncation')}: {together.sentence}")


def _table(rows: list[Result]) -> None:
    """Print plain lines: a table of rich would be cut to 80 columns where nobody looks at a terminal."""

    def passed(kind: Kind) -> str:
        return f"{kind.passed} of {kind.shown}, {kind.share:.1%} ({kind.low:.1%} to {kind.high:.1%})"

    lines = [("viewer", "made, passed (95%)", "photographs, passed (95%)", "unsure", "right", "p")]
    for row in rows:
        unsure = f"{row.made.unsure} + {row.photographs.unsure}"
        known = f"{row.accuracy:.1%}"
        lines.append((row.viewer, passed(row.made), passed(row.photographs), unsure, known, f"{row.p_value:.2g}"))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for viewer, *cells in lines:
        shown = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        typer.echo("  ".join([viewer.ljust(widths[0]), *shown]))
    typer.echo("unsure: of made faces + of photographs; right: mean over both kinds, unsure as half; guessing has 50%")
