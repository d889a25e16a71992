"""``facegan verify-resume``."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from facegan.cli import options
from facegan.errors import UserError
from facegan.files import is_taken


def verify_resume(
    data: options.PackedData,
    recipe: options.Recipe,
    images: Annotated[str, Option(help="Images to train each of the two runs on; at least 8 steps.")] = "1280",
    batch: Annotated[int, Option(help="Real images in each step.")] = 64,
    settings: options.Settings = None,
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    forms: options.Forms = "auto",
    devices: Annotated[int | None, Option(help="Processes of each run; default: all GPUs, or one CPU process.")] = None,
    deterministic: Annotated[
        bool, Option("--deterministic", help="On a GPU, which otherwise repeats nothing to the bit.")
    ] = False,
    seed: Annotated[int, Option(help="Seed of the run, and of where it is interrupted.")] = 0,
    work: Annotated[
        Path | None, Option(help="Keep the runs in this new folder; default: a temporary one, deleted at the end.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Check that on this machine an interrupted run ends with the same bytes as an uninterrupted one.

    Trains one run without interruption, and another that is stopped once, killed once, and killed once while it
    writes a snapshot; then compares every tensor of their last snapshots. Exit code 1 if they differ.

    \b
    facegan verify-resume data/celeba64 --recipe dcgan
    facegan verify-resume data/celeba64 --recipe classic-tanh --images 5k --precision bfloat16
    facegan verify-resume data/celeba64 --recipe dcgan --devices 2
    """
    from facegan.runs.verify_resume import verify_resume as verify

    number = options.count(images, "--images")
    options.check_between("--batch", batch, 2, 65536)
    options.check_between("--devices", devices, 1, 1024)
    if work is not None and is_taken(work) and (not work.is_dir() or any(work.iterdir())):
        raise UserError(f"--work {work} exists and is not empty: give a new folder")
    arguments = [*map(str, data), *(f"--set={setting}" for setting in settings or [])]
    arguments += [f"--recipe={recipe}", f"--precision={precision}", f"--forms={forms}", f"--seed={seed}"]
    arguments += [f"--threads={threads}"] if threads is not None else []
    arguments += [f"--devices={devices}"] if devices else []
    arguments += ["--deterministic"] if deterministic else []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the temporary folder is deleted then
    with tempfile.TemporaryDirectory(prefix="facegan-verify-") as temporary:
        say = (lambda _: None) if as_json else typer.echo
        verdict = verify(arguments, work or Path(temporary), images=number, batch=batch, seed=seed, say=say)
    if as_json:
        typer.echo(json.dumps({"event": "verdict", "identical": verdict.difference is None, **asdict(verdict)}))
    elif verdict.difference is None:
        typer.echo(
            f"IDENTICAL: {verdict.tensors} tensors and the log, after {verdict.nimg:,} images and "
            f"{len(verdict.interruptions)} interruptions"
        )
    else:
        typer.echo(f"DIFFERENT: {verdict.difference}")
    if verdict.difference is not None:
        raise typer.Exit(1)
