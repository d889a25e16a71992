"""``facegan train``."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from typer import Argument, Option

from facegan.cli import options
from facegan.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from facegan.config import RecipeConfig
    from facegan.training.train import TrainResult


def train(
    run: Annotated[Path, Option(help="Folder of the run; the same command again continues it.")],
    data: Annotated[
        list[Path] | None,
        Argument(help="One or several folders written by facegan prepare; default: those of the run."),
    ] = None,
    recipe: Annotated[
        str | None, Option(help=f"{options.RECIPES}; default: the recipe of the run, or of --init.")
    ] = None,
    images: Annotated[
        str | None,
        Option(
            help="Real images to show the discriminator in all; 0: only create the run; default: 2M more than the run "
            "begins with, and no limit where --minutes is given."
        ),
    ] = None,
    minutes: Annotated[float | None, Option(help="Stop after this many minutes; the same command continues.")] = None,
    batch: Annotated[
        int | None,
        Option(
            help="Real images in each step, over all processes; default: 64; 16 for style-s and style, 256 for style-m."
        ),
    ] = None,
    seed: Annotated[int | None, Option(help="Seed of everything random; default: 0.")] = None,
    settings: options.Settings = None,
    precision: options.Precision = "auto",
    threads: options.Threads = None,
    forms: options.Forms = "auto",
    accelerator: Annotated[str, Option(help="auto, cpu, cuda, or mps (Apple's; untested).")] = "auto",
    devices: Annotated[
        int | None, Option(help="Processes, one for each GPU; default: all GPUs, or one CPU process.")
    ] = None,
    deterministic: Annotated[
        bool,
        Option(
            "--deterministic",
            help="Let a GPU compute the same bytes in every repetition, more slowly (a CPU does so anyway).",
        ),
    ] = False,
    timeout: Annotated[
        str,
        Option(help="How long a process of several waits for the others before it gives them up, such as 90s or 5m."),
    ] = "5m",
    sample_every: Annotated[str, Option(help="Images between two grids of samples.")] = "5k",
    snapshot_every: Annotated[str, Option(help="Images between two snapshots.")] = "20k",
    log_every: Annotated[str, Option(help="Images between two lines of the log.")] = "1280",
    keep: Annotated[
        int, Option(help="How many of the newest snapshots to keep, besides the one with the best quick score.")
    ] = 3,
    keep_every: Annotated[
        str, Option(help="Also keep the first snapshot of every interval of this many images; 0: none.")
    ] = "0",
    score_faces: Annotated[
        str, Option(help="Faces for each snapshot's quick score; 0: no score, and the best snapshot is the newest.")
    ] = "2000",
    on_collapse: Annotated[
        str,
        Option(
            help="On a suspected collapse: warn; rewind (to the best snapshot before it, at half the learning rate); "
            "stop. A value that is not finite always rewinds, twice at most, then stops."
        ),
    ] = "warn",
    fork: Annotated[
        Path | None, Option(help="Create this new run from the newest snapshot of --run, with the settings given here.")
    ] = None,
    init: Annotated[
        Path | None,
        Option(help="Begin with the weights of this model, fresh optimizers and a warm-up. Style networks may grow."),
    ] = None,
    keep_nimg: Annotated[
        bool, Option("--keep-nimg", help="With --init: keep its image count, so that schedules continue there.")
    ] = False,
    fresh_discriminator: Annotated[
        bool, Option("--fresh-discriminator", help="With --init: take only its generator; D may be a different one.")
    ] = False,
    warmup: Annotated[
        str | None, Option(help="Images over which the learning rates rise; default: 10k with --init, else 0.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Train a recipe, or continue a run.

    Everything goes into the run folder: log.jsonl and TensorBoard events, grids of the same latents over time under
    samples/, snapshots. Ctrl-C finishes the step and leaves a snapshot; the same command continues from it.

    \b
    facegan train data/celeba64 --recipe style-s --run runs/style
    facegan train data/celeba64 --recipe style-s --run runs/hinge --set loss=hinge --set r2=0 --set generator.width=24
    facegan train data/celeba64 --recipe dcgan --run runs/first
    facegan train data/celeba64 --recipe classic-dcgan --run runs/classic --images 200k --set flip=true
    facegan train data/part-a data/part-b --recipe dcgan --run runs/both --minutes 30
    facegan train data/celeba64 --recipe dcgan --run runs/big --devices 8 --batch 512
    facegan train data/celeba64 --recipe dcgan --run runs/first --fork runs/slower \\
        --set generator_optimizer.learning_rate=1e-4
    facegan train data/mine64 --recipe dcgan --run runs/mine --init runs/first
    facegan train --run runs/first --images 4M
    facegan train data/celeba64 --recipe style --run runs/long --set lr_schedule=1@7M,0.01@10M \\
        --set penalty_schedule=1@0,0.1@10M --set augment=scheduled --set augment_schedule=0@500k,0.15@4M \\
        --set ema_halflife=100k --set extra_ema_halflives=500k

    For settings that are not given, a continued run uses its run.json, and a fork that of the run it comes from. How
    long to train, and what to log, draw, save and score when, is asked for anew by every command.

    A watchdog monitors the log and the grids. It records its alarms in incidents.jsonl, each with its evidence and a
    small grid: a value that is not finite; a discriminator that has won or is fooled; samples that are all alike or
    repeat one face; a quick score far worse than the best.
    """
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # of a lost process we say enough ourselves
    from facegan.cli.progress import make_listener
    from facegan.config_changes import with_settings
    from facegan.durations import seconds_of
    from facegan.runs.folder import RunFolder
    from facegan.training import train as training
    from facegan.training.execution_plan import ExecutionRequest
    from facegan.training.run_settings import base_recipe
    from facegan.training.schedule import USUAL_IMAGES, Schedule

    options.check_between("--threads", threads, 1, 1024)
    options.check_between("--devices", devices, 1, 1024)
    schedule = Schedule(
        images=None if images is None else options.count(images, "--images", least=0),
        more_images=USUAL_IMAGES if minutes is None else None,
        minutes=minutes,
        sample_every=options.count(sample_every, "--sample-every"),
        snapshot_every=options.count(snapshot_every, "--snapshot-every"),
        log_every=options.count(log_every, "--log-every"),
        keep=keep,
        keep_every=options.count(keep_every, "--keep-every", least=0),
        score_count=options.count(score_faces, "--score-faces", least=0),
        on_collapse=on_collapse,  # type: ignore[arg-type]
    )
    waiting = seconds_of(timeout, "--timeout")
    if not 5 <= waiting <= 86400:
        raise UserError(f"--timeout {timeout}: choose a time from 5s to 1d")
    requested = ExecutionRequest(
        precision=precision, threads=threads, conv=forms, accelerator=accelerator, devices=devices,
        timeout=waiting, deterministic=deterministic,
    )  # fmt: skip
    start = training.Start(
        batch=batch, seed=seed, fork=fork, init=init, keep_nimg=keep_nimg, fresh_discriminator=fresh_discriminator,
        warmup=None if warmup is None else options.count(warmup, "--warmup", least=0),
    )  # fmt: skip
    if fork is not None and not run.exists() and RunFolder(fork).exists():
        raise UserError(f"--fork {fork} exists and --run {run} does not: --run is the run to fork, --fork the new one")

    def chosen(resolution: int) -> RecipeConfig:
        return with_settings(base_recipe(recipe, resolution, run=run, fork=fork, init=init), settings or [])

    with make_listener(as_json) as listener:
        result = training.train(
            data or [], run, chosen, start=start, schedule=schedule, requested=requested, labeller=_label,
            listener=listener,
        )  # fmt: skip
    if not result.is_main:  # the main process speaks
        if result.alarm is not None or result.signal is not None:
            raise typer.Exit(1 if result.alarm is not None else 128 + (result.signal or 0))
        return
    if result.alarm is not None or result.signal is not None:
        _stopped_early(result)
    if not as_json:
        ended = "Done"
        if result.past:
            ended = f"Past --images {result.images:,} already: the run is"
            if images is None:
                ended = "Done before (--images or --minutes let it go on)"
        elif result.ended == "minutes":
            ended = f"Time is up ({minutes:g} minute{'' if minutes == 1 else 's'}; the same command goes on)"
        typer.echo(f"{ended} at {result.nimg:,} images. Faces: facegan sample {result.run} --count 64 --out faces.png")


def _stopped_early(result: TrainResult) -> NoReturn:
    """Say why a training stopped before its end, and how to go on; exit with a code that tells."""
    if result.alarm is not None:
        best = f"the best snapshot by the quick score is {result.best}" if result.best else "there is no snapshot"
        typer.echo(
            f"Stopped at {result.nimg:,} images: {result.alarm.message}; {best}. See {result.run}/incidents.jsonl; "
            "continue from a snapshot with other settings with --fork NEWRUN.",
            err=True,
        )
        raise typer.Exit(1)
    assert result.signal is not None
    typer.echo(
        f"Stopped by {signal.Signals(result.signal).name} at {result.nimg:,} images, saved in {result.snapshot}; "
        "the same command goes on from there.",
        err=True,
    )
    raise typer.Exit(128 + result.signal)


def _label(image_NHWC: np.ndarray) -> np.ndarray:
    """Return attributes-net's logits; its weights are read when first needed."""
    import torch

    from facegan.perception.labeller import shipped

    return shipped("cuda" if torch.cuda.is_available() else "cpu").logits(image_NHWC)
