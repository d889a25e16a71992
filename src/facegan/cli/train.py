"""``facegan train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facegan.cli.options import count_option

if TYPE_CHECKING:
    import numpy as np

_SET_HELP = (
    "Change a setting of the recipe, such as generator.width=32 (repeatable); all: facegan summary RECIPE --settings."
)


def train(
    run: Annotated[Path, typer.Option("--run", help="Folder of the run; the same command again goes on from there.")],
    data: Annotated[
        list[Path] | None,
        typer.Argument(help="One or several folders that facegan prepare wrote; default: those of the run."),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            help="style-s, style, style-m, dcgan, classic-dcgan or classic-tanh; default: the recipe of the run, or of "
            "--init.",
        ),
    ] = None,
    images: Annotated[
        str, typer.Option(help="Real images to show the discriminator in all; 0: only begin the run.")
    ] = "2M",
    minutes: Annotated[
        float | None, typer.Option(help="Stop after so many minutes; go on with the same command.")
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            help="Real images of one step, over all processes; default: 64; 16 of style-s and style, 256 of style-m."
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything that is left to chance; default: 0.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help=_SET_HELP)] = None,
    precision: Annotated[
        str, typer.Option(help="auto (the faster one, measured when the run starts), float32, bfloat16.")
    ] = "auto",
    threads: Annotated[
        int | None,
        typer.Option(
            help="CPU threads of each process; default: all cores, or fewer where a trial of fewer is faster."
        ),
    ] = None,
    forms: Annotated[
        str,
        typer.Option(
            help="auto (the fastest form of each layer, measured when the run starts), direct, plain (as defined)."
        ),
    ] = "auto",
    accelerator: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[
        int | None, typer.Option(help="Processes, one a GPU; default: all GPUs, or one CPU process.")
    ] = None,
    sample_every: Annotated[str, typer.Option(help="Images between two grids of samples.")] = "5k",
    snapshot_every: Annotated[str, typer.Option(help="Images between two snapshots.")] = "20k",
    log_every: Annotated[str, typer.Option(help="Images between two lines of the log.")] = "1280",
    keep: Annotated[
        int, typer.Option(help="Snapshots to keep: so many of the newest; the one with the best quick score stays too.")
    ] = 3,
    keep_every: Annotated[
        str, typer.Option(help="Keep the first snapshot of each so many images as well; 0: none.")
    ] = "0",
    score_faces: Annotated[
        str,
        typer.Option(help="Faces of each snapshot's quick score; 0: no score, and the best snapshot is the newest."),
    ] = "2000",
    on_collapse: Annotated[
        str,
        typer.Option(
            help="On a suspected collapse: warn; rewind (to the best snapshot before it, at half the learning rate); "
            "stop. A value that is not finite always goes back, twice at most, then stops."
        ),
    ] = "warn",
    fork: Annotated[
        Path | None,
        typer.Option(help="Begin this new run from the newest snapshot of --run, under the settings given here."),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(help="Begin with the weights of this run or snapshot, fresh optimizers and a warm-up."),
    ] = None,
    keep_nimg: Annotated[
        bool,
        typer.Option("--keep-nimg", help="With --init: go on counting images, so that schedules go on where it stood."),
    ] = False,
    fresh_discriminator: Annotated[
        bool,
        typer.Option("--fresh-discriminator", help="With --init: take its generator only; D may be another one."),
    ] = False,
    warmup: Annotated[
        str | None, typer.Option(help="Images over which the learning rates rise; default: 10k with --init, else 0.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON line for each event.")] = False,
) -> None:
    """Train a recipe, or go on with a run.

    Everything goes into the run folder: log.jsonl and TensorBoard events, grids of the same latents over time under
    samples/, snapshots. Ctrl-C finishes the step and leaves a snapshot; the same command goes on from it.

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

    What a command does not name, a run that goes on takes from its run.json, and a fork from the run that it forks.

    A watchdog looks at the log and at the grids. Its alarms stand in incidents.jsonl, each with its evidence and a
    small grid: a value that is not finite; a discriminator that has won or is fooled; samples that are alike or
    repeat one face; a quick score far above its best.
    """
    import signal

    from facegan.cli.progress import make_listener
    from facegan.config_changes import with_settings
    from facegan.data.packed import PackedDataset
    from facegan.errors import UserError
    from facegan.runs.folder import RunFolder
    from facegan.training import train as training
    from facegan.training.execution_plan import Requested
    from facegan.training.run_settings import base_recipe, run_data
    from facegan.training.schedule import Schedule

    if threads is not None and not 1 <= threads <= 1024:
        raise UserError(f"--threads {threads}: give a number from 1 to 1024")
    if devices is not None and not 1 <= devices <= 1024:
        raise UserError(f"--devices {devices}: give a number from 1 to 1024")
    schedule = Schedule(
        images=count_option(images, "--images", least=0),
        minutes=minutes,
        sample_every=count_option(sample_every, "--sample-every"),
        snapshot_every=count_option(snapshot_every, "--snapshot-every"),
        log_every=count_option(log_every, "--log-every"),
        keep=keep,
        keep_every=count_option(keep_every, "--keep-every", least=0),
        score_count=count_option(score_faces, "--score-faces", least=0),
        on_collapse=on_collapse,  # type: ignore[arg-type]
    )
    requested = Requested(precision=precision, threads=threads, conv=forms, accelerator=accelerator, devices=devices)
    start = training.Start(
        batch=batch,
        seed=seed,
        fork=fork,
        init=init,
        keep_nimg=keep_nimg,
        fresh_discriminator=fresh_discriminator,
        warmup=None if warmup is None else count_option(warmup, "--warmup", least=0),
    )
    if fork is not None and not run.exists() and RunFolder(fork).exists():
        raise UserError(f"--fork {fork} exists and --run {run} does not: --run is the run to fork, --fork the new one")
    data = data or run_data(RunFolder(fork or run), None if fork is None else run)
    base = base_recipe(recipe, PackedDataset.open(data[0]).resolution, run=run, fork=fork, init=init)
    settings = with_settings(base, set_ or [])
    with make_listener(json) as listener:
        result = training.train(
            data, run, settings, start=start, schedule=schedule, requested=requested, labeller=_label,
            listener=listener,
        )  # fmt: skip
    if not result.is_main:
        return
    if result.alarm is not None:
        best = f"the best snapshot by the quick score is {result.best}" if result.best else "there is no snapshot"
        typer.echo(
            f"Stopped at {result.nimg:,} images: {result.alarm.message}; {best}. Look at {result.run}/incidents.jsonl; "
            "go on from a snapshot under other settings with --fork NEWRUN.",
            err=True,
        )
        raise typer.Exit(1)
    if result.signal is not None:
        typer.echo(
            f"Stopped by {signal.Signals(result.signal).name} at {result.nimg:,} images, saved in {result.snapshot}; "
            "the same command goes on from there.",
            err=True,
        )
        raise typer.Exit(128 + result.signal)
    if not json:
        whole = result.nimg >= (schedule.images or 0)
        ended = "Done" if whole else f"Time is up ({minutes:g} minutes; the same command goes on)"
        if result.past:
            ended = f"Past --images {images} already: the run is"
        typer.echo(f"{ended} at {result.nimg:,} images. Faces: facegan sample {result.run} --count 64 --out faces.png")


def _label(image_NHWC: np.ndarray) -> np.ndarray:
    """Return attributes-net's logits; its weights are read when they are first needed."""
    import torch

    from facegan.perception.labeller import shipped

    return shipped("cuda" if torch.cuda.is_available() else "cpu").logits(image_NHWC)
