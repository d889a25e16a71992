"""``facegan evaluate`` and ``facegan compare``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from facegan.cli import options
from facegan.cli.console import print_table
from facegan.errors import UserError

if TYPE_CHECKING:
    from facegan.evaluation.receipt import Receipt


def evaluate(
    model: options.Source,
    data: options.RealFaces = None,
    count: options.Count = "10k",
    seed: options.Seed = 0,
    space: Annotated[
        list[str] | None,
        Option(
            help="Feature space (repeatable): judge-net, random-net[:SEED], attributes-net, inception, inception-clean."
        ),
    ] = None,
    inception: Annotated[Path | None, Option(metavar="FILE", help="Weights of the Inception network.")] = None,
    labels: options.Labels = "prior",
    people: Annotated[str, Option(help="Real people to compare with: all, training, held-out.")] = "all",
    device: options.Device = "auto",
    out: Annotated[Path | None, Option(help="Write the receipt to this JSON file.")] = None,
    follow: Annotated[
        bool, Option("--follow", help="Score each snapshot of a run, also new ones, and record it in the run.")
    ] = False,
    force: options.Force = False,
    as_json: options.Json = False,
) -> None:
    """Score faces against real ones: Frechet, kernel distance (as FID, KID), precision, recall, density, coverage.

    The faces are a model's, or any tool's: a folder, a zip, tar shards or Parquet files of pictures of any size,
    a .npy or .npz array. Every picture counts, also one that is there twice. --count takes the first by name.

    Every score comes with a 95% interval and a floor: the score of one half of the real people against the other half.
    The receipt (--out) records everything that a score depends on; facegan compare compares two of them. The default
    spaces are judge-net, which is trained on faces, and random-net, which no training here uses. random-net:SEED is
    another network of its kind: choose a seed after the training is over.

    --follow runs beside a training at low priority and ends with it; facegan runs, TensorBoard and facegan report
    show its scores.

    \b
    facegan evaluate runs/first data/celeba64 --out first.json
    facegan evaluate runs/first data/celeba64 --space inception --inception pt_inception-2015-12-05-6726825d.pth
    facegan compare first.json second.json
    facegan evaluate other-gan/samples data/celeba64 --count 50k --out other.json
    facegan evaluate runs/first --follow
    """
    number = options.count(count, "--count")
    if follow and out is not None:
        raise UserError("--follow writes the scores into the run's folder: leave --out out")
    if inception is not None and not any(name.startswith("inception") for name in space or ()):
        raise UserError(f"--inception {inception} is for --space inception: name that space too, or leave it out")
    if out is not None:
        options.check_free(out, force)
    from facegan.api import faces_of
    from facegan.cli.progress import stages
    from facegan.evaluation.evaluate import describe_protocol, open_view, remarks
    from facegan.evaluation.evaluate import evaluate as measure
    from facegan.evaluation.faces import real_faces
    from facegan.machine import inference_device, keep_freed_memory
    from facegan.perception.spaces import DEFAULT, open_space

    keep_freed_memory()
    view = open_view(real_faces(model, data, held_out=people == "held-out", warn=options.warn), people)
    for sentence in view.warnings:
        options.warn(sentence)
    place = inference_device(device)
    spaces = [open_space(name, inception_file=inception, device=place) for name in dict.fromkeys(space or DEFAULT)]

    def measured(source: Path) -> Receipt:
        with stages() as stage:
            reading = partial(stage, "faces read")
            batches, described, found = faces_of(
                source, view.datasets, number, seed, device=place, labels=labels, progress=reading
            )
            return measure(batches, described, view, spaces, count=found, people=people, stage=stage)

    if follow:
        protocol = {"count": number, "spaces": [space.name for space in spaces], "sha256": view.content_hash,
                    "people": people, "labels": labels, "seed": seed}  # fmt: skip
        _follow(model, protocol, measured, as_json)
        return
    receipt = measured(model)
    if out is not None:
        with options.writing("--out", out):
            receipt.save(out)
    if as_json:
        typer.echo(json.dumps(receipt.to_dict()))
        return
    _table(receipt)
    typer.echo(describe_protocol(receipt))
    for sentence in remarks(receipt):
        typer.echo(f"note: {sentence}")
    if out is not None:
        typer.echo(f"receipt: {out}")


def _follow(run: Path, protocol: dict[str, Any], measured: Callable[[Path], Receipt], as_json: bool) -> None:
    from facegan.evaluation.follow import follow, headline
    from facegan.runs.folder import RunFolder
    from facegan.runs.snapshot import SnapshotInfo

    folder = RunFolder(run)
    folder.read()
    if hasattr(os, "nice"):
        os.nice(10)
    import torch

    torch.set_num_threads(1)  # more would wait for each other while the training has the cores

    def report(info: SnapshotInfo, receipt: Receipt) -> None:
        if as_json:
            typer.echo(json.dumps({"event": "scores", "nimg": info.nimg, **receipt.to_dict()}))
        else:
            found = ", ".join(f"{value:.4g} in {space}" for space, value in headline(receipt).items())
            typer.echo(f"{info.nimg:>10,} images  Frechet distance {found}")

    count = follow(folder, protocol, lambda info: measured(info.path), report)
    if not as_json:
        found = f"{count} snapshot{'' if count == 1 else 's'} scored" if count else "every snapshot is scored already"
        typer.echo(f"{found}: {folder.scores}")


def _table(receipt: Receipt) -> None:
    from facegan.evaluation.receipt import HIGHER_IS_BETTER, four_digits

    rows = (
        (
            score.space, score.name, four_digits(score.estimate.value),
            f"{four_digits(score.estimate.low)} to {four_digits(score.estimate.high)}",
            "" if score.floor is None else four_digits(score.floor.value),
            "" if score.extrapolated is None else four_digits(score.extrapolated),
            "higher" if HIGHER_IS_BETTER[score.name] else "lower",
        )
        for score in receipt.scores
    )  # fmt: skip
    headings = ("space", "score", "value", "95% interval", "floor", "at infinity", "better")
    print_table(headings, rows, left=("space", "score", "better"))


def compare(
    one: Annotated[Path, Argument(help="Receipt of the first model, written by facegan evaluate.")],
    other: Annotated[Path, Argument(help="Receipt of the second.")],
    as_json: options.Json = False,
) -> None:
    """Compare two models: for each score, is the first better, worse, or not distinguishable from the second?

    Receipts with different protocols (another feature space, number of faces, or set of real faces) are refused.

    \b
    facegan compare first.json second.json
    """
    from facegan.evaluation.receipt import compare as compare_receipts
    from facegan.evaluation.receipt import four_digits, read_receipt
    from facegan.metrics.intervals import Estimate

    def shown(estimate: Estimate) -> str:
        return f"{four_digits(estimate.value)} +- {four_digits(estimate.reach)}"

    scores = compare_receipts(read_receipt(one), read_receipt(other))
    if as_json:
        for score in scores:
            typer.echo(json.dumps(asdict(score)))
        return
    rows = [(score.space, score.name, shown(score.one), shown(score.other), score.verdict) for score in scores]
    headings = ("space", "score", one.name, other.name, "the first is")
    print_table(headings, rows, left=("space", "score", "the first is"))
