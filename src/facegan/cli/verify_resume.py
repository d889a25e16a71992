"""``facegan verify-resume``."""

from __future__ import annotations

import json as json_format
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from facegan.cli.options import count_option


def verify_resume(
    data: Annotated[list[Path], typer.Argument(help="One or several folders that facegan prepare wrote.")],
    recipe: Annotated[
        str, typer.Option("--recipe", help="style-s, style, style-m, dcgan, classic-dcgan or classic-tanh.")
    ],
    images: Annotated[str, typer.Option(help="Images to train each of the two runs on; at least 8 steps.")] = "1280",
    batch: Annotated[int, typer.Option(help="Real images of one step.")] = 64,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change a field of the recipe.")
    ] = None,
    precision: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads; default: all cores.")] = None,
    forms: Annotated[str, typer.Option(help="auto, direct or plain.")] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of the run, and of where it is interrupted.")] = 0,
    work: Annotated[
        Path | None, typer.Option(help="Keep the runs in this new folder; default: a temporary one, deleted.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the verdict as one JSON line.")] = False,
) -> None:
    """Prove that a run which is stopped and killed ends in the same bytes as one that is not, on this machine.

    Trains one run straight, and another that is stopped once, killed once, and killed once while it writes a
    snapshot; then compares every tensor of both ends. Exit code 1 if they differ.

    \b
    facegan verify-resume data/celeba64 --recipe dcgan
    facegan verify-resume data/celeba64 --recipe classic-tanh --images 5k --precision bfloat16
    """
    from facegan.errors import UserError
    from facegan.files import is_taken
    from facegan.runs.verify_resume import verify_resume as verify

    number = count_option(images, "--images")
    if not 2 <= batch <= 65536:
        raise UserError(f"--batch {batch}: choose a batch from 2 to 65536 images")
    if work is not None and is_taken(work) and (not work.is_dir() or any(work.iterdir())):
        raise UserError(f"--work {work} exists and is not empty: give a new folder")
    options = [*map(str, data), f"--recipe={recipe}", f"--precision={precision}", f"--forms={forms}", f"--seed={seed}"]
    options += [f"--set={setting}" for setting in set_ or []]
    options += [f"--threads={threads}"] if threads else []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the temporary folder is deleted then
    with tempfile.TemporaryDirectory(prefix="facegan-verify-") as temporary:
        say = (lambda _: None) if json else typer.echo
        verdict = verify(options, work or Path(temporary), images=number, batch=batch, seed=seed, say=say)
    if json:
        typer.echo(json_format.dumps({"event": "verdict", "identical": verdict.difference is None, **asdict(verdict)}))
    elif verdict.difference is None:
        typer.echo(
            f"IDENTICAL: {verdict.tensors} tensors and the log, after {verdict.nimg:,} images and "
            f"{len(verdict.interruptions)} interruptions"
        )
    else:
        typer.echo(f"DIFFERENT: {verdict.difference}")
    if verdict.difference is not None:
        raise typer.Exit(1)
