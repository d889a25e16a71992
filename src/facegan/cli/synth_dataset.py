"""``facegan synth-dataset``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def synth_dataset(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make; nothing is ever overwritten.")],
    drawn: Annotated[bool, typer.Option("--drawn", help="Draw the faces: cartoons of nobody real.")] = False,
    count: Annotated[str, typer.Option(help="How many faces: 5000, 10k.")] = "2000",
    seed: Annotated[int, typer.Option(help="The same seed draws the same faces.")] = 0,
    workers: Annotated[int | None, typer.Option(help="Drawing processes; default: one for each core.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON line for each event.")] = False,
) -> None:
    """Make a small labelled set of faces in CelebA's exact layout, without downloading anything.

    Bangs, Blond_Hair, Eyeglasses, Male, Smiling and Wearing_Hat are true by construction; CelebA's other attributes
    are 0, unknown. Four faces share an identity.

    \b
    facegan synth-dataset drawn --drawn --count 5000
    facegan prepare drawn drawn64 --preview
    """
    from facegan.cli.options import count_option
    from facegan.cli.prepare import progress_reporter
    from facegan.cli.progress import make_watcher
    from facegan.data.drawn_dataset import write_drawn_dataset
    from facegan.errors import UserError

    if not drawn:
        raise UserError("this version has no trained model to make a dataset with: add --drawn for drawn faces")
    number = count_option(count, "--count")
    if not 0 <= seed < 2**63:
        raise UserError(f"--seed {seed}: choose a seed from 0 to 2^63 - 1")
    watcher = make_watcher(json)
    with watcher:
        write_drawn_dataset(out, number, seed, workers=workers, progress=progress_reporter(watcher))
    if json:
        watcher.event("drawn", dataset=str(out), count=number, seed=seed)
    else:
        typer.echo(f"{out}: {number:,} drawn faces; next: facegan prepare {out} {out}-64 --resolution 64")
