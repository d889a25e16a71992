"""``facegan prepare``."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facegan.cli.progress import JsonListener, TerminalListener

if TYPE_CHECKING:
    from facegan.data.packed import PackedDataset


def prepare(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SRC",
            help="img_align_celeba.zip, its folder, the folder around it, Kaggle's archive, Parquet files (a folder or a "
            "quoted pattern), or any folder or zip of images.",
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make; nothing is ever overwritten.")],
    resolution: Annotated[int, typer.Option(help="Side of the packed images in pixels.")] = 64,
    crop: Annotated[
        str,
        typer.Option(
            help="On CelebA's 178x218 frame: side of a centred square, or left,top,right,bottom. It scales with "
            "half-size and double-size images; images of another shape are centre-cropped to a square."
        ),
    ] = "148",
    attributes: Annotated[
        Path | None, typer.Option(help="list_attr_celeba, .txt or .csv; default: found in SRC or beside it.")
    ] = None,
    partition: Annotated[
        Path | None, typer.Option(help="list_eval_partition, .txt or .csv; default: found in SRC or beside it.")
    ] = None,
    identities: Annotated[
        Path | None, typer.Option(help="identity_CelebA, .txt or .csv; default: found in SRC or beside it.")
    ] = None,
    no_attributes: Annotated[
        bool, typer.Option("--no-attributes", help="Read no labels at all: no attributes, partitions or identities.")
    ] = False,
    hold_out: Annotated[
        str,
        typer.Option(
            metavar="auto|identities|partition|pictures|none",
            help="Who is kept from all training, for scores: people whose identity is divisible by 10, CelebA's valid "
            "and test partitions, or about every tenth picture; auto takes the first of these that is known.",
        ),
    ] = "auto",
    limit: Annotated[str | None, typer.Option(help="Take only the first images by name: 5000, 10k.")] = None,
    workers: Annotated[int | None, typer.Option(help="Decoding processes; default: one for each core.")] = None,
    preview: Annotated[
        bool,
        typer.Option("--preview", help="Also write OUT/preview.png: a contact sheet of what the network will see."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON line for each event.")] = False,
) -> None:
    """Pack face images into a dataset that training reads directly.

    CelebA is recognised as people have it: the official files, torchvision's and Kaggle's layout, CelebAMask-HQ, and
    Hugging Face's Parquet copies. Every file is checked first: what cannot be used is set aside, and what is odd is converted. Both are summed up
    in a table and listed in OUT/preflight.json. Killed in the middle, it leaves no dataset; just run it again.

    \b
    facegan prepare img_align_celeba.zip celeba64
    facegan prepare ~/Downloads/CelebA celeba128 --resolution 128 --preview
    facegan prepare archive.zip celeba64-small --limit 10k
    facegan prepare img_align_celeba.zip celeba64 --attributes list_attr_celeba.csv
    facegan prepare 'celeba/data/*.parquet' celeba64
    facegan prepare my-photos faces64 --preview
    """
    from facegan.cli.options import count_option
    from facegan.cli.progress import make_listener
    from facegan.data import prepare as preparing

    listener = make_listener(json)
    begin = time.monotonic()
    with listener:
        result = preparing.prepare(
            source,
            out,
            resolution=resolution,
            crop=_parse_crop(crop),
            attributes=attributes,
            partition=partition,
            identities=identities,
            use_attributes=not no_attributes,
            hold_out=hold_out,
            workers=workers,
            limit=None if limit is None else count_option(limit, "--limit"),
            preview=preview,
            progress=progress_reporter(listener),
        )
    seconds = time.monotonic() - begin
    dataset, preflight = result.dataset, result.preflight
    if json:
        listener.event(
            "prepared",
            dataset=str(dataset.path),
            count=len(dataset),
            examined=preflight.examined,
            resolution=dataset.resolution,
            labelled=dataset.labelled,
            content_hash=dataset.content_hash,
            annotations=result.annotations,
            hold_out=dataset.hold_out,
            held_out=int(dataset.held_out().sum()),
            set_aside=preflight.count("set aside"),
            converted=preflight.count("converted"),
            noted=preflight.count("noted"),
            preflight=str(dataset.path / "preflight.json"),
            preview=None if result.preview is None else str(result.preview),
            warnings=result.warnings,
            seconds=round(seconds, 3),
        )
        return

    from rich.console import Console

    console = Console(highlight=False)
    if preflight.counts:
        console.print(preflight.table())
    for warning in result.warnings:
        console.print(f"warning: {warning}", style="yellow", markup=False)
    console.print(describe_held_out(dataset), markup=False, soft_wrap=True)
    used = ", ".join(f"{what} from {file}" for what, file in result.annotations.items()) or "no labels found"
    size = sum(file.stat().st_size for file in dataset.path.iterdir()) / 1e6
    console.print(
        f"{dataset.path}: {len(dataset):,} of {preflight.examined:,} images at {dataset.resolution} px, {size:,.0f} MB "
        f"in {seconds:.1f} s ({preflight.examined / seconds:,.0f} images/s); {used}",
        markup=False,
        soft_wrap=True,
    )
    if result.preview is not None:
        console.print(f"{result.preview}: look at what the network will see", markup=False, soft_wrap=True)


def describe_held_out(dataset: PackedDataset) -> str:
    """Return one sentence on who is held out of a dataset."""
    from facegan.data.held_out import DESCRIPTIONS

    count, rule = int(dataset.held_out().sum()), dataset.hold_out
    if rule == "none":
        return "held out of training: nothing; scores compare with the images that were trained on"
    return f"held out of training, for scores: {count:,} of {len(dataset):,} images ({DESCRIPTIONS[rule]})"


def progress_reporter(listener: JsonListener | TerminalListener) -> Callable[[int, int], None]:
    """Return what shows (images done, images in all) as a bar with rate and time left, or one JSON line a second."""
    begin = said = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal said
        now = time.monotonic()
        rate = done / max(now - begin, 1e-9)
        listener.progress(done, total, rate)
        if now - said >= 1:
            said = now
            left = (total - done) / rate
            listener.event("progress", done=done, total=total, images_per_s=round(rate, 1), seconds_left=round(left, 1))

    return report


def _parse_crop(text: str) -> int | tuple[int, int, int, int]:
    from facegan.errors import UserError

    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        return numbers[0]
    if len(numbers) == 4:
        return numbers[0], numbers[1], numbers[2], numbers[3]
    raise UserError(f"--crop {text}: give the side of a centred square, such as 148, or left,top,right,bottom")
