"""``facegan evaluate`` and ``facegan compare``."""

from __future__ import annotations

import json as json_format
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facegan.cli.options import count_option
from facegan.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from facegan.evaluation.receipt import Receipt


def evaluate(
    model: Annotated[Path, typer.Argument(help="A run, a snapshot, or faces: a packed dataset or a .npy file.")],
    data: Annotated[list[Path], typer.Argument(help="Folders that facegan prepare wrote: the real faces.")],
    count: Annotated[str, typer.Option(help="Faces to make.")] = "10k",
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    space: Annotated[
        list[str] | None,
        typer.Option(
            help="Feature space (repeatable): judge-net, random-net, attributes-net, inception, "
            "inception-clean; default: judge-net and random-net."
        ),
    ] = None,
    inception: Annotated[Path | None, typer.Option(metavar="FILE", help="Inception's weights.")] = None,
    people: Annotated[str, typer.Option(help="Real people to compare with: all, training, held-out.")] = "all",
    out: Annotated[Path | None, typer.Option(help="Write the receipt to this JSON file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the receipt as JSON.")] = False,
) -> None:
    """Score a model's faces against real ones: Frechet and kernel distance, precision, recall, density, coverage.

    Every score comes with a 95% interval and with the floor: what one half of the real people scores against the other
    half. The receipt (--out) names everything that a score depends on; facegan compare holds two of them together.

    \b
    facegan evaluate runs/first data/celeba64 --out first.json
    facegan evaluate runs/first data/celeba64 --space inception --inception pt_inception-2015-12-05-6726825d.pth
    facegan compare first.json second.json
    """
    number = count_option(count, "--count")
    from facegan.data.packed import PackedDataset
    from facegan.evaluation.evaluate import describe_protocol, open_view
    from facegan.evaluation.evaluate import evaluate as measure
    from facegan.machine import keep_freed_memory
    from facegan.perception.spaces import DEFAULT, open_space

    keep_freed_memory()
    view = open_view([PackedDataset.open(path) for path in data], people)
    spaces = [open_space(name, inception_file=inception) for name in dict.fromkeys(space or DEFAULT)]
    batches, described, number = _faces(model, number, seed)
    with _stages() as stage:
        receipt = measure(batches, described, view, spaces, count=number, people=people, stage=stage)
    if out is not None:
        try:
            receipt.save(out)
        except OSError as error:
            raise UserError(f"--out {out} cannot be written: {error.strerror or error}") from None
    if json:
        typer.echo(json_format.dumps(receipt.to_dict()))
        return
    _table(receipt)
    typer.echo(describe_protocol(receipt))
    if out is not None:
        typer.echo(f"receipt: {out}")


def _faces(model: Path, count: int, seed: int) -> tuple[Iterator[np.ndarray], dict[str, Any], int]:
    """Return batches of faces, what made them, and how many there are."""
    import numpy as np

    if model.suffix == ".npy" and model.is_file():
        try:
            faces = np.load(model, mmap_mode="r", allow_pickle=False)
        except Exception as error:  # numpy's reader meets a damaged file with any exception there is
            raise UserError(f"{model} is no array of faces ({error})") from None
        if faces.dtype != np.uint8 or faces.ndim != 4 or faces.shape[1] != faces.shape[2] or faces.shape[3] != 3:
            raise UserError(f"{model} holds {faces.dtype} {list(faces.shape)}: expected uint8 [N, R, R, 3]")
        found = min(count, len(faces))
        named = {"kind": "array", "path": str(model), "resolution": int(faces.shape[1])}
        return (faces[start : start + 256][: found - start] for start in range(0, found, 256)), named, found
    if (model / "dataset.json").is_file():
        from facegan.data.packed import DataView, PackedDataset
        from facegan.evaluation.reference import view_batches

        view = DataView([PackedDataset.open(model)], held_out=None)
        named = {"kind": "dataset", "path": str(model), "resolution": view.resolution, "sha256": view.content_hash}
        return view_batches(view), named, len(view)
    from facegan import api

    loaded = api.load(model)
    named = {
        "kind": "model", "path": str(model), "recipe": loaded.recipe.name, "resolution": loaded.resolution,
        "nimg": loaded.nimg, "sha256": loaded.sha256, "seed": seed, "truncation": 1.0,
    }  # fmt: skip
    return (faces for faces, _ in loaded.batches(count, seed=seed)), named, count


def _table(receipt: Receipt) -> None:
    from rich.table import Table

    from facegan.cli.progress import OutputConsole

    table = Table(box=None, pad_edge=False)
    for heading in ("space", "score", "value", "95% interval", "floor", "at infinity"):
        table.add_column(heading, justify="left" if heading in ("space", "score") else "right")
    for score in receipt.scores:
        estimate = score.estimate
        table.add_row(
            score.space, score.name, f"{estimate.value:.4g}", f"{estimate.low:.4g} to {estimate.high:.4g}",
            "" if score.floor is None else f"{score.floor.value:.4g}",
            "" if score.extrapolated is None else f"{score.extrapolated:.4g}",
        )  # fmt: skip
    OutputConsole().print(table, highlight=False)


@contextmanager
def _stages() -> Iterator[Callable[[str, int, int], None]]:
    """Show what is being done and the time left, on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), "left", TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def stage(name: str, done: int, whole: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=whole)
            bar.update(tasks[name], completed=done)

        yield stage


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
    from facegan.evaluation.receipt import read_receipt

    for row in hold_together(read_receipt(one), read_receipt(other)):
        if json:
            typer.echo(json_format.dumps(asdict(row)))
        else:
            typer.echo(f"{row.space:<16} {row.name:<16} {row.one.value:>10.4g} {row.other.value:>10.4g}  {row.verdict}")
