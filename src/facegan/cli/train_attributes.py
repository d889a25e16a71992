"""``facegan train-attributes``."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from facegan.cli import options
from facegan.cli.console import print_table
from facegan.errors import UserError

if TYPE_CHECKING:
    from facegan.cli.progress import JsonListener, TerminalListener

_SECONDS = 10.0
"""Between two reports of the loss."""


def train_attributes(
    data: Annotated[list[Path], Argument(help="Folders with attributes, written by facegan prepare.")],
    out: Annotated[Path, Option(help="Save the network to this .safetensors file, and its card (.json) beside.")],
    images: Annotated[str, Option(help="Number of faces to train on, counting repeats.")] = "230400",
    batch: Annotated[int, Option(help="Faces in each step.")] = 64,
    seed: Annotated[int, Option(help="Seed of the weights, the order and the augmentation.")] = 0,
    threads: Annotated[int | None, Option(help="CPU threads; default: all cores.")] = None,
    as_json: options.Json = False,
) -> None:
    """Train attributes-net, which recognises CelebA's 40 attributes in a face.

    It is not trained on held-out people; its card records its accuracy on them. The same command again continues a
    training that was stopped. facegan audit --attributes-net takes the file.

    \b
    facegan train-attributes data/celeba64 --out attributes.safetensors
    facegan train-attributes data/celeba64 --out quick.safetensors --images 20k
    """
    number = options.count(images, "--images")
    options.check_suffix("--out", out, ".safetensors")
    options.check_free(out)
    options.check_free(out.with_suffix(".json"))
    options.check_between("--batch", batch, 2, 4096)
    from facegan.cores import usable_cores

    options.check_between("--seed", seed, 0, 2**63 - 1)
    if threads is not None and not 1 <= threads <= usable_cores():
        raise UserError(f"--threads {threads}: this process may use 1 to {usable_cores()} cores")
    import torch
    from rich.console import Console

    from facegan.cli.progress import JsonListener, TerminalListener
    from facegan.data.packed import DataView, PackedDataset
    from facegan.machine import keep_freed_memory
    from facegan.perception.labeller import card_of
    from facegan.perception.train_networks import (
        TrainingConfig,
        refuse_other_files,
        remove_checkpoints,
        train_attributes_net,
    )
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
        raise UserError(
            "nothing is held out to test the network on: run facegan prepare again, with --identities or --hold-out"
        ) from None
    checkpoints = out.with_name(f"{out.stem}.checkpoints")
    refuse_other_files(checkpoints)
    config = TrainingConfig(number, batch=batch, seed=seed)
    if not as_json:
        begun = "continues" if checkpoints.is_dir() else "begins"
        typer.echo(f"attributes-net {begun} on {len(view):,} faces; checkpoints: {checkpoints}", err=True)
    with JsonListener() if as_json else TerminalListener(Console(stderr=True)) as listener:
        network = train_attributes_net(view, config, _reporter(listener, number), checkpoints)
    card = card_of(network, view, unseen) | {
        "network": "attributes-net", "images": number, "seed": seed, "batch": batch,
        "trained_on": {"sha256": view.content_hash, "faces": len(view)},
    }  # fmt: skip
    save_network(network, card, out)
    remove_checkpoints(checkpoints)
    if as_json:
        listener.event("card", **card)
        return
    _table(card)
    typer.echo(f"network: {out}; card: {out.with_suffix('.json')}")


def _reporter(listener: JsonListener | TerminalListener, whole: int) -> Callable[[int, dict[str, float]], None]:
    """Return a function of (images, losses) that shows progress, and every few seconds the smoothed loss."""
    reported = time.perf_counter()
    began: tuple[float, int] | None = None
    smoothed = 0.0

    def report(nimg: int, losses: dict[str, float]) -> None:
        nonlocal reported, began, smoothed
        now, loss = time.perf_counter(), sum(losses.values())
        smoothed = 0.98 * smoothed + 0.02 * loss if smoothed else loss
        began = began or (now, nimg)
        rate = (nimg - began[1]) / max(1e-9, now - began[0])
        listener.progress(nimg, whole, rate)
        if now - reported > _SECONDS or nimg >= whole:
            reported = now
            listener.event("log", nimg=nimg, loss=smoothed, images_per_s=rate)

    return report


def _table(card: dict[str, Any]) -> None:
    def percent(value: float | None) -> str:
        return "" if value is None else f"{value:.1%}"

    keys = ("share", "accuracy", "majority", "balanced_accuracy")
    rows = [(name, *(percent(row[key]) for key in keys)) for name, row in card["attributes"].items()]
    rows.append(("mean", "", *(percent(card[f"mean_{key}"]) for key in keys[1:])))
    print_table(("attribute", "share", "accuracy", "majority", "balanced"), rows, left=("attribute",))
    typer.echo(f"on {card['faces']:,} faces of held-out people; majority: always giving the commoner answer")
