"""``facegan synth-dataset``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def synth_dataset(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make; nothing is ever overwritten.")],
    count: Annotated[str, typer.Option(help="How many faces: 5000, 10k.")] = "2000",
    seed: Annotated[int, typer.Option(help="The same seed makes the same faces.")] = 0,
    model: Annotated[Path, typer.Option(help="What makes them: the shipped model, a run or a snapshot.")] = Path(
        "celeba64"
    ),
    json: Annotated[bool, typer.Option("--json", help="Print one JSON line for each event.")] = False,
) -> None:
    """Make a labelled set of faces in CelebA's exact layout, without a photograph and without a download.

    The shipped model makes the faces and attributes-net says which of the 40 attributes each shows; every face is a
    person of its own, and one in ten is held out when facegan trains on them, as of CelebA.

    \b
    facegan synth-dataset faces --count 5000
    facegan prepare faces faces64 --preview
    facegan synth-dataset mine --model runs/mine --seed 1
    """
    from facegan import api
    from facegan.cli.options import count_option
    from facegan.cli.prepare import progress_reporter
    from facegan.cli.progress import make_listener
    from facegan.errors import UserError
    from facegan.machine import keep_freed_memory
    from facegan.perception.labeller import shipped
    from facegan.synthetic_dataset import copies_sentence, write_synthetic_dataset

    number = count_option(count, "--count")
    if not 0 <= seed < 2**63:
        raise UserError(f"--seed {seed}: choose a seed from 0 to 2^63 - 1")
    keep_freed_memory()
    listener = make_listener(json)
    with listener:
        about = write_synthetic_dataset(
            out, api.load(model), shipped(), number, seed, progress=progress_reporter(listener)
        )
    if json:
        listener.event("made", dataset=str(out), count=number, seed=seed)
    else:
        typer.echo(
            f"{out}: {number:,} synthetic faces; {copies_sentence(about)}; "
            f"next: facegan prepare {out} {out}-64 --resolution 64"
        )
