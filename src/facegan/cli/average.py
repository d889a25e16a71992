"""``facegan average``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from facegan.cli import options


def average(
    run: Annotated[Path, Argument(help="A run whose snapshots hold averaged generators.")],
    halflife: Annotated[str, Option(help="Half-life of the new average in images, such as 300k.")],
    out: Annotated[Path, Option(help="New folder for the averaged model.")],
) -> None:
    """Average a run's generator with another half-life, after training.

    The result is the weighted sum of the averages in the run's snapshots (--set ema_halflife, --set
    extra_ema_halflives, --keep-every) that comes closest to an average of the given half-life (Karras et al. 2024,
    section 3).

    \b
    facegan average runs/style --halflife 300k --out style-300k
    facegan sample style-300k --count 64 --out faces.png
    """
    from facegan.runs.folder import RunFolder
    from facegan.training.posthoc_ema import averaged, stored_averages, write_average

    length = options.count(halflife, "--halflife")
    stored = stored_averages(RunFolder(run))
    newest = stored[-1].snapshot
    tensors, error = averaged(stored, newest.nimg, length)
    write_average(out, newest, tensors, length)
    typer.echo(
        f"{out}: the generator of {run} at {newest.nimg:,} images, averaged with a half-life of {length:,} from "
        f"{len(stored)} stored averages; error of its profile: {error:.1%}"
    )
