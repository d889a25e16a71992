"""``facegan average``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facegan.cli.options import count_option


def average(
    run: Annotated[Path, typer.Argument(help="A run whose snapshots hold averaged generators.")],
    halflife: Annotated[str, typer.Option(help="Half-life of the average to make, in images: 300k.")],
    out: Annotated[Path, typer.Option(help="Folder of the model to write; nothing is overwritten.")],
) -> None:
    """Average a run's generator over another half-life, after the training.

    The averages in the run's snapshots (--set ema_halflife, --set extra_ema_halflives, --keep-every) are summed so that
    the sum weighs the run's moments as one of the wanted half-life would (Karras et al. 2024, section 3).

    \b
    facegan average runs/style --halflife 300k --out style-300k
    facegan sample style-300k --count 64 --out faces.png
    """
    from facegan.runs.folder import RunFolder
    from facegan.training.posthoc_ema import averaged, stored_averages, write_average

    length = count_option(halflife, "--halflife")
    stored = stored_averages(RunFolder(run))
    newest = stored[-1].snapshot
    tensors, error = averaged(stored, newest.nimg, length)
    write_average(out, newest, tensors, length)
    typer.echo(
        f"{out}: the generator of {run} at {newest.nimg:,} images, averaged with a half-life of {length:,} out of "
        f"{len(stored)} stored averages; its profile is off by {error:.1%}"
    )
