"""``facegan blind``."""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from facegan.cli import options
from facegan.cli.console import print_table
from facegan.errors import UserError
from facegan.files import is_taken, refuse_unwritable

if TYPE_CHECKING:
    from facegan.evaluation.blind import BlindTest
    from facegan.evaluation.blind_answers import Kind, Result


def blind(
    model: Annotated[Path | None, Argument(help=options.SOURCE_HELP)] = None,
    data: options.RealFaces = None,
    out: Annotated[Path | None, Option(help="New folder for the sheets, to be given to the viewers.")] = None,
    sheets: Annotated[int, Option(help="Number of sheets.")] = 2,
    faces: Annotated[int, Option(help="Faces on each sheet, of which a quarter to three quarters are generated.")] = 40,
    seed: Annotated[int, Option(help="Seed of the latents, the order and the choice of photographs.")] = 0,
    truncation: options.Truncation = 1.0,
    singles: Annotated[
        bool, Option("--singles", help="Also save each face as a file of its own: faces/001.png ...")
    ] = False,
    key: Annotated[
        Path | None, Option(metavar="FILE", help="The key; default: OUT-key.json, next to the folder.")
    ] = None,
    score: Annotated[
        list[Path] | None,
        Option(metavar="ANSWERS", help="Score a viewer's answers (repeatable: one file for each viewer)."),
    ] = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Test whether people can tell generated faces from photographs: make sheets that mix both, and score the answers.

    The sheets show the model's faces, and photographs of people who were held out of training, no person twice. The
    number of generated faces is random and recorded only in the key, which is kept apart. Viewers, people or a vision
    model, write photo, made or unsure after each number in a copy of answers.csv. Then --score reports how many of
    the generated faces and of the photographs were taken for photographs, and whether anybody could tell them apart.

    \b
    facegan blind runs/first data/celeba64 --out look
    facegan blind --score look/answers.csv --key look-key.json
    facegan blind --score anna.csv --score ben.csv --key look-key.json
    """
    if score:
        if model is not None or out is not None:
            raise UserError("--score scores the answers to an existing test: leave MODEL, DATA and --out out")
        if key is None:
            raise UserError("--score needs --key FILE: the key that facegan blind wrote next to the sheets' folder")
        _score(score, key, as_json)
        return
    if model is None or out is None:
        raise UserError(
            "give MODEL, DATA and --out DIR to make a test, or --score ANSWERS and --key FILE to score answers"
        )
    named = out if out.name not in ("", "..") else out.resolve()
    if not named.name:
        raise UserError(f"--out {out}: name a new folder")
    key = key or named.with_name(f"{named.name}-key.json")
    _check_places(out, key)
    test, described = _draw_up(model, data, sheets, faces, seed, truncation, device)
    from facegan.evaluation.blind import NOTE, write_test

    try:
        with options.writing(f"--key {key} or --out", out):
            written = write_test(test, out, key, described, singles=singles)
    except BaseException:  # a test without its key, or the other way round, is of no use
        shutil.rmtree(out, ignore_errors=True)
        with contextlib.suppress(OSError):
            key.unlink(missing_ok=True)
        raise
    answers = out / "answers.csv"
    if as_json:
        places = {"test": test.name, "sheets": list(map(str, written)), "answers": str(answers), "key": str(key)}
        typer.echo(json.dumps(places))
        return
    typer.echo(f"{sheets} sheet{'' if sheets == 1 else 's'} of {faces} faces, and answers.csv to fill in: {out}")
    typer.echo(f"the key: {key} (keep it closed, and away from the viewers, until the answers are in)")
    typer.echo(f"then: facegan blind --score {answers} --key {key}")
    typer.echo(NOTE, err=True)


def _check_places(out: Path, key: Path) -> None:
    if is_taken(out) and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out {out} exists already: name a new folder")
    if is_taken(key):
        raise UserError(f"--key {key} exists already, and its test cannot be scored without it: choose another name")
    if out.resolve() in key.resolve().parents:
        raise UserError(f"--key {key} lies in the folder that viewers get ({out}): name a file elsewhere")
    refuse_unwritable(out)
    refuse_unwritable(key)


def _draw_up(
    model: Path, data: list[Path] | None, sheets: int, faces: int, seed: int, truncation: float, device: str
) -> tuple[BlindTest, dict[str, Any]]:
    """Return the test, and its description for the key."""
    from facegan.evaluation import blind

    blind.check_size(sheets, faces)
    options.check_between("--seed", seed, 0, 2**63 - 1)
    options.check_between("--truncation", truncation, 0, 1)
    import hashlib

    import numpy as np

    from facegan.api import faces_of
    from facegan.data.packed import DataView
    from facegan.evaluation.faces import real_faces
    from facegan.machine import inference_device, keep_freed_memory

    keep_freed_memory()
    place = inference_device(device)
    view = DataView(real_faces(model, data, warn=options.warn), held_out=True)
    most = blind.most_of_a_kind(sheets, faces)
    batches, described, _ = faces_of(model, view.datasets, most, seed, device=place)
    if described["kind"] == "model":
        of = f"{described['sha256']}/{truncation}"
        first = blind.first_sample(seed, of)
        batches, described, _ = faces_of(
            model, view.datasets, most, seed, device=place, first=first, truncation=truncation
        )
    elif truncation != 1:
        raise UserError(f"--truncation {truncation:g}: {model} holds faces, and no model that could generate others")
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
        typer.echo(json.dumps(key.described | counted))
        return
    _table(viewers + ([together] if len(files) > 1 else []))
    model = key.described.get("model")
    path = model.get("path") if isinstance(model, dict) else None
    typer.echo(f"{path} at truncation {key.described.get('truncation')}: {together.sentence}")


def _table(results: list[Result]) -> None:
    def passed(kind: Kind) -> str:
        return f"{kind.passed} of {kind.shown}, {kind.share:.1%} ({kind.low:.1%} to {kind.high:.1%})"

    rows = (
        (row.viewer, passed(row.made), passed(row.photographs), f"{row.made.unsure} + {row.photographs.unsure}",
         f"{row.accuracy:.1%}", f"{row.p_value:.2g}")
        for row in results
    )  # fmt: skip
    headings = ("viewer", "generated, passed (95%)", "photographs, passed (95%)", "unsure", "right", "p")
    print_table(headings, rows, left=("viewer",))
    typer.echo(
        "passed: taken for a photograph; unsure: generated + photographs; right: mean over both kinds, unsure counts "
        "half, guessing gives 50%"
    )
