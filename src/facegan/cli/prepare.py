"""``facegan prepare``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from facegan.cli import options
from facegan.errors import UserError

if TYPE_CHECKING:
    from facegan.data.packed import PackedDataset
    from facegan.data.prepare import PrepareResult


def _annotations(file: str) -> typer.models.OptionInfo:
    return Option(help=f"{file}, .txt or .csv; default: found in SRC or next to it.")


def prepare(
    source: Annotated[
        Path,
        Argument(
            metavar="SRC",
            help="img_align_celeba.zip, its folder, the folder around it, Kaggle's archive, Parquet files or tars (a "
            "folder or a quoted pattern), or any folder or zip of images.",
        ),
    ],
    out: Annotated[Path, Argument(metavar="OUT", help="New folder; nothing is ever overwritten.")],
    resolution: options.Resolution = 64,
    crop: Annotated[
        str,
        Option(
            help="On CelebA's 178x218 frame: side of a centred square, or left,top,right,bottom. It scales with "
            "half-size and double-size images; images of another shape are centre-cropped to a square."
        ),
    ] = "148",
    attributes: Annotated[Path | None, _annotations("list_attr_celeba")] = None,
    partition: Annotated[Path | None, _annotations("list_eval_partition")] = None,
    identities: Annotated[Path | None, _annotations("identity_CelebA")] = None,
    no_attributes: Annotated[
        bool, Option("--no-attributes", help="Read no labels at all: no attributes, partitions or identities.")
    ] = False,
    hold_out: Annotated[
        str,
        Option(
            metavar="auto|identities|partition|pictures|none",
            help="Who is kept from all training, for scores: people whose identity is divisible by 10, CelebA's valid "
            "and test partitions, or about every tenth picture; auto takes the first of these that is known.",
        ),
    ] = "auto",
    limit: Annotated[str | None, Option(help="Take only the first images by name: 5000, 10k.")] = None,
    workers: Annotated[int | None, Option(help="Decoding processes; default: one for each core.")] = None,
    preview: Annotated[
        bool, Option("--preview", help="Also save OUT/preview.png: a contact sheet of what the network will see.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Pack face images into a dataset that training reads directly.

    CelebA is recognised as people have it: the official files, torchvision's and Kaggle's layout, CelebAMask-HQ, and
    Hugging Face's Parquet copies. Every file is checked first: unusable ones are set aside, and unusual ones
    converted. A table sums this up, and OUT/preflight.json lists every case. If it is killed halfway, it leaves no
    dataset; just run it again.

    \b
    facegan prepare img_align_celeba.zip celeba64
    facegan prepare ~/Downloads/CelebA celeba128 --resolution 128 --preview
    facegan prepare archive.zip celeba64-small --limit 10k
    facegan prepare img_align_celeba.zip celeba64 --attributes list_attr_celeba.csv
    facegan prepare 'celeba/data/*.parquet' celeba64
    facegan prepare my-photos faces64 --preview
    """
    from facegan.cli.progress import make_listener, progress_reporter
    from facegan.data import prepare as preparing

    begin = time.monotonic()
    with make_listener(as_json) as listener:
        result = preparing.prepare(
            source, out, resolution=resolution, crop=_parse_crop(crop), attributes=attributes, partition=partition,
            identities=identities, use_attributes=not no_attributes, hold_out=hold_out, workers=workers,
            limit=None if limit is None else options.count(limit, "--limit"), preview=preview,
            progress=progress_reporter(listener),
        )  # fmt: skip
    seconds = time.monotonic() - begin
    if not as_json:
        _show(result, seconds)
        return
    dataset, preflight = result.dataset, result.preflight
    listener.event(
        "prepared", dataset=str(dataset.path), count=len(dataset), examined=preflight.examined,
        resolution=dataset.resolution, labelled=dataset.labelled, content_hash=dataset.content_hash,
        annotations=result.annotations, hold_out=dataset.hold_out, held_out=int(dataset.held_out().sum()),
        set_aside=preflight.count("set aside"), converted=preflight.count("converted"),
        noted=preflight.count("noted"), preflight=str(dataset.path / "preflight.json"),
        preview=None if result.preview is None else str(result.preview), warnings=result.warnings,
        seconds=round(seconds, 3),
    )  # fmt: skip


def _show(result: PrepareResult, seconds: float) -> None:
    from rich.console import Console

    dataset, preflight = result.dataset, result.preflight
    console = Console(highlight=False, markup=False, soft_wrap=True)
    if preflight.counts:
        console.print(preflight.table(), soft_wrap=False)
    for warning in result.warnings:
        console.print(f"warning: {warning}", style="yellow")
    console.print(describe_held_out(dataset))
    used = ", ".join(f"{what} from {file}" for what, file in result.annotations.items()) or "no labels found"
    size = sum(file.stat().st_size for file in dataset.path.iterdir()) / 1e6
    console.print(
        f"{dataset.path}: {len(dataset):,} of {preflight.examined:,} images at {dataset.resolution} px, {size:,.0f} MB "
        f"in {seconds:.1f} s ({preflight.examined / seconds:,.0f} images/s); {used}"
    )
    if result.preview is not None:
        console.print(f"{result.preview}: shows what the network will see")


def describe_held_out(dataset: PackedDataset) -> str:
    """Return one sentence on who is held out of a dataset."""
    from facegan.data.held_out import describe

    held_out_N, rule = dataset.held_out(), dataset.hold_out
    if rule == "none":
        return "held out of training: nothing; scores compare with the images that were trained on"
    who = describe(rule, dataset.identities, held_out_N)
    return f"held out of training, for scores: {held_out_N.sum():,} of {len(dataset):,} images ({who})"


def _parse_crop(text: str) -> int | tuple[int, int, int, int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        return numbers[0]
    if len(numbers) == 4:
        return numbers[0], numbers[1], numbers[2], numbers[3]
    raise UserError(f"--crop {text}: give the side of a centred square, such as 148, or left,top,right,bottom")
