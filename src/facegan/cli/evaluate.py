"""``facegan evaluate`` and ``facegan compare``."""

from __future__ import annotations

import json as json_format
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from facegan.cli.options import LABELS_HELP, Device, count_option, labels_option
from facegan.errors import UserError, reason
from facegan.files import is_taken

if TYPE_CHECKING:
    from facegan.evaluation.receipt import Receipt


def evaluate(
    model: Annotated[Path, typer.Argument(help="A run, a snapshot, or faces: a packed dataset or a .npy file.")],
    data: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of real faces, as facegan prepare wrote them; default: the run's."),
    ] = None,
    count: Annotated[str, typer.Option(help="Faces to make.")] = "10k",
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    space: Annotated[
        list[str] | None,
        typer.Option(
            help="Space (repeatable): judge-net, random-net[:SEED], attributes-net, inception, inception-clean."
        ),
    ] = None,
    inception: Annotated[Path | None, typer.Option(metavar="FILE", help="Inception's weights.")] = None,
    labels: Annotated[str, typer.Option(metavar="prior|none", help=LABELS_HELP)] = "prior",
    people: Annotated[str, typer.Option(help="Real people to compare with: all, training, held-out.")] = "all",
    device: Device = "auto",
    out: Annotated[Path | None, typer.Option(help="Write the receipt to this JSON file.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Score each snapshot of a run, and those to come, into its scores.jsonl.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is at --out.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the receipt as JSON.")] = False,
) -> None:
    """Score a model's faces against real ones: Frechet and kernel distance, precision, recall, density, coverage.

    Every score comes with a 95% interval and with the floor: what one half of the real people scores against the other
    half. The receipt (--out) names everything that a score depends on; facegan compare holds two of them together.
    Where no space is named, judge-net, which knows faces, and random-net, which no training here
    looks at, are used. random-net:SEED is another network of its kind: choose a seed after the training is over.

    --follow works beside a training at low priority and ends with it; facegan runs, TensorBoard and facegan report
    show what it found.

    \b
    facegan evaluate runs/first data/celeba64 --out first.json
    facegan evaluate runs/first data/celeba64 --space inception --inception pt_inception-2015-12-05-6726825d.pth
    facegan compare first.json second.json
    facegan evaluate runs/first --follow
    """
    number, labels = count_option(count, "--count"), labels_option(labels)
    if out is not None and is_taken(out) and (out.is_dir() or not force):
        raise UserError(
            f"--out {out} exists already: choose another name" + ("" if out.is_dir() else ", or add --force")
        )
    from facegan.cli.faces import faces_of, real_faces, stages
    from facegan.data.packed import PackedDataset
    from facegan.evaluation.evaluate import describe_protocol, open_view
    from facegan.evaluation.evaluate import evaluate as measure
    from facegan.machine import inference_device, keep_freed_memory
    from facegan.perception.spaces import DEFAULT, open_space

    keep_freed_memory()
    view = open_view([PackedDataset.open(path) for path in real_faces(model, data)], people)
    place = inference_device(device)
    spaces = [open_space(name, inception_file=inception, device=place) for name in dict.fromkeys(space or DEFAULT)]

    def measured(source: Path) -> Receipt:
        batches, described, found = faces_of(source, number, seed, place, labels=labels)
        with stages() as stage:
            return measure(batches, described, view, spaces, count=found, people=people, stage=stage)

    if follow:
        wanted = {
            "count": number,
            "spaces": [space.name for space in spaces],
            "sha256": view.content_hash,
            "people": people,
            "labels": labels,
        }
        _follow(model, out, wanted, measured, json)
        return
    receipt = measured(model)
    if out is not None:
        try:
            receipt.save(out)
        except OSError as error:
            raise UserError(f"--out {out} cannot be written: {reason(error)}") from None
    if json:
        typer.echo(json_format.dumps(receipt.to_dict()))
        return
    _table(receipt)
    typer.echo(describe_protocol(receipt))
    if out is not None:
        typer.echo(f"receipt: {out}")


def _follow(
    run: Path, out: Path | None, wanted: dict[str, Any], measured: Callable[[Path], Receipt], as_json: bool
) -> None:
    from facegan.evaluation.follow import follow, headline
    from facegan.runs.folder import RunFolder
    from facegan.runs.snapshot import SnapshotInfo

    if out is not None:
        raise UserError("--follow writes the scores into the run's folder: leave --out out")
    folder = RunFolder(run)
    folder.read()
    if hasattr(os, "nice"):
        os.nice(10)
    import torch

    torch.set_num_threads(1)  # more would wait for each other while the training has the cores

    def say(info: SnapshotInfo, receipt: Receipt) -> None:
        if as_json:
            typer.echo(json_format.dumps({"event": "scores", "nimg": info.nimg, **receipt.to_dict()}))
        else:
            found = ", ".join(f"{value:.4g} in {space}" for space, value in headline(receipt).items())
            typer.echo(f"{info.nimg:>10,} images  Frechet distance {found}")

    count = follow(folder, wanted, lambda info: measured(info.path), say)
    if not as_json:
        found = f"{count} snapshot{'' if count == 1 else 's'} scored" if count else "every snapshot is scored already"
        typer.echo(f"{found}: {folder.scores}")


def _table(receipt: Receipt) -> None:
    from rich.table import Table

    from facegan.cli.progress import OutputConsole
    from facegan.evaluation.receipt import HIGHER_IS_BETTER, four_digits

    table = Table(box=None, pad_edge=False)
    for heading in ("space", "score", "value", "95% interval", "floor", "at infinity", "better"):
        side: Literal["left", "right"] = "left" if heading in ("space", "score", "better") else "right"
        table.add_column(heading, justify=side, no_wrap=heading != "at infinity")
    for score in receipt.scores:
        estimate = score.estimate
        table.add_row(
            score.space, score.name, four_digits(estimate.value),
            f"{four_digits(estimate.low)} to {four_digits(estimate.high)}",
            "" if score.floor is None else four_digits(score.floor.value),
            "" if score.extrapolated is None else four_digits(score.extrapolated),
            "higher" if HIGHER_IS_BETTER[score.name] else "lower",
        )  # fmt: skip
    OutputConsole().print(table, highlight=False)


def compare(
    one: Annotated[Path, typer.Argument(help="Receipt of facegan evaluate.")],
    other: Annotated[Path, typer.Argument(help="Another.")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON line for each score.")] = False,
) -> None:
    """Say for each score whether the first model is better, worse, or not distinguishable from the second.

    Receipts of unlike protocols (another feature space, another number of faces, other real faces) are refused.

    \b
    facegan compare first.json second.json
    """
    from dataclasses import asdict

    from facegan.evaluation.receipt import compare as hold_together
    from facegan.evaluation.receipt import four_digits, read_receipt

    rows = hold_together(read_receipt(one), read_receipt(other))
    if not json:
        typer.echo(f"{'space':<16} {'score':<16} {one.name:>22} {other.name:>22}  the first is")
    for row in rows:
        if json:
            typer.echo(json_format.dumps(asdict(row)))
        else:
            values = (
                f"{four_digits(side.value)} +- {four_digits((side.high - side.low) / 2)}"
                for side in (row.one, row.other)
            )
            typer.echo(
                f"{row.space:<16} {row.name:<16} " + " ".join(f"{value:>22}" for value in values) + f"  {row.verdict}"
            )
