"""``facegan train-attributes``."""

from __future__ import annotations

import json as json_format
import shutil
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from facegan.cli.options import count_option
from facegan.errors import UserError
from facegan.files import is_taken

_SECONDS = 10.0
"""Between two lines about the losses."""


def train_attributes(
    data: Annotated[list[Path], typer.Argument(help="Folders that facegan prepare wrote, with attributes.")],
    out: Annotated[Path, typer.Option(help="Write the network to this .safetensors file; its card, .json, beside it.")],
    images: Annotated[str, typer.Option(help="Faces to show, each as often as it takes.")] = "230400",
    batch: Annotated[int, typer.Option(help="Faces of one step.")] = 64,
    seed: Annotated[int, typer.Option(help="Seed of the weights, the order and the augmentation.")] = 0,
    threads: Annotated[int | None, typer.Option(help="CPU threads; default: all cores.")] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON lines: the losses, and the card at the end.")
    ] = False,
) -> None:
    """Train attributes-net, which sees CelebA's 40 attributes in a face.

    People who are held out are not shown; how well it sees them is the card. A training that was stopped goes on when
    the same command is given again. facegan audit takes the file with --attributes-net.

    \b
    facegan train-attributes data/celeba64 --out attributes.safetensors
    facegan train-attributes data/celeba64 --out quick.safetensors --images 20k
    """
    number = count_option(images, "--images")
    if out.suffix != ".safetensors":
        raise UserError(f"--out {out}: give a name that ends in .safetensors")
    if is_taken(out):
        raise UserError(f"--out {out} is there already: give another name, or delete it")
    if not 2 <= batch <= 4096:
        raise UserError(f"--batch {batch}: choose a batch from 2 to 4096 faces")
    from facegan.cores import usable_cores

    if threads is not None and not 1 <= threads <= usable_cores():
        raise UserError(f"--threads {threads}: this process may use 1 to {usable_cores()} cores")
    import torch

    from facegan.data.packed import DataView, PackedDataset
    from facegan.machine import keep_freed_memory
    from facegan.perception.labeller import card_of
    from facegan.perception.learning import Lessons, train_attributes_net
    from facegan.perception.weights import save_network

    torch.set_num_threads(threads or usable_cores())
    keep_freed_memory()
    datasets = [PackedDataset.open(path) for path in data]
    view = DataView(datasets)
    if not view.labelled:
        raise UserError(f"{', '.join(map(str, data))} has no attributes: prepare it with CelebA's list_attr_celeba")
    try:
        unseen = DataView(datasets, held_out=True)
    except UserError:
        raise UserError("the data has no held-out people to try the network on: prepare it with --identities") from None
    checkpoints = out.with_name(f"{out.stem}.checkpoints")
    lessons = Lessons(number, batch=batch, seed=seed)
    if not json:
        again = " goes on" if checkpoints.is_dir() else ""
        typer.echo(f"attributes-net{again} on {len(view):,} faces; checkpoints: {checkpoints}", err=True)
    with _Progress(number, json) as progress:
        network = train_attributes_net(view, lessons, progress.step, checkpoints)
    card = card_of(network, view, unseen) | {
        "network": "attributes-net", "images": number, "seed": seed, "batch": batch,
        "trained_on": {"sha256": view.content_hash, "faces": len(view)},
    }  # fmt: skip
    save_network(network, card, out)
    shutil.rmtree(checkpoints, ignore_errors=True)
    if json:
        typer.echo(json_format.dumps({"event": "card", **card}))
        return
    _table(card)
    typer.echo(f"network: {out}; card: {out.with_suffix('.json')}")


class _Progress:
    """The loss, the rate and the time left; a JSON line every hundred steps for programs."""

    def __init__(self, whole: int, as_json: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            "left",
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("", total=whole)
        self._json, self._whole, self._said = as_json, whole, time.perf_counter()
        self._began: tuple[float, int] | None = None
        self._loss = 0.0

    def __enter__(self) -> _Progress:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def step(self, nimg: int, losses: dict[str, float]) -> None:
        loss = sum(losses.values())
        self._loss = 0.98 * self._loss + 0.02 * loss if self._loss else loss
        if self._began is None:
            self._began = (time.perf_counter(), nimg)
        rate = (nimg - self._began[1]) / max(1e-9, time.perf_counter() - self._began[0])
        self._bar.update(
            self._task, completed=nimg, description=f"{nimg:,} images  loss {self._loss:.4f}  {rate:.0f} images/s"
        )
        if time.perf_counter() - self._said > _SECONDS or nimg >= self._whole:
            self._said = time.perf_counter()
            if self._json:
                typer.echo(json_format.dumps({"event": "log", "nimg": nimg, "loss": self._loss, "images_per_s": rate}))
            else:
                self._bar.console.print(
                    f"{nimg:>10,} images  loss {self._loss:.4f}  {rate:.0f} images/s", highlight=False
                )


def _table(card: dict[str, Any]) -> None:
    from rich.table import Table

    from facegan.cli.progress import OutputConsole

    table = Table(box=None, pad_edge=False)
    for heading in ("attribute", "share", "accuracy", "majority", "balanced"):
        table.add_column(heading, justify="left" if heading == "attribute" else "right")
    keys = ("share", "accuracy", "majority", "balanced_accuracy")
    for name, row in card["attributes"].items():
        table.add_row(name, *("" if row[key] is None else f"{row[key]:.1%}" for key in keys))
    table.add_row("mean", "", *(f"{card[f'mean_{key}']:.1%}" for key in keys[1:]))
    OutputConsole().print(table, highlight=False)
    typer.echo(f"on {card['faces']:,} faces of held-out people; majority: always the commoner answer")
