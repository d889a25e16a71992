"""Start a run, or go on with it: the same call does both."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from facegan.config import RecipeConfig
from facegan.data.packed import DataView, PackedDataset
from facegan.errors import UserError
from facegan.machine import keep_freed_memory, most_memory
from facegan.runs.folder import RunFolder, find_snapshot
from facegan.training.batches import Labeller, run_labels
from facegan.training.checks import refuse_impossible
from facegan.training.engine import Engine
from facegan.training.log import Nobody, Watcher
from facegan.training.loop import train_loop
from facegan.training.origin import Origin
from facegan.training.schedule import Schedule
from facegan.training.setup import (
    Asked,
    begin,
    is_strange,
    refuse_other_origin,
    refuse_other_settings,
    resolve_config,
    room,
    settle,
)
from facegan.training.state import load_state
from facegan.training.watchdog import ON_COLLAPSE, Alarm


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """How a call of ``train`` ended."""

    run: Path
    nimg: int
    snapshot: Path
    signal: int | None
    """The signal that ended it early (2 for Ctrl-C, 15 for SIGTERM), or None."""
    is_main: bool
    """Whether this process is the one that writes the run's files and speaks for it."""
    alarm: Alarm | None = None
    """The alarm that ended it, or None."""
    best: str | None = None
    """With an alarm: the best snapshot, by the quick score."""
    past: bool = False
    """Whether the run had gone further already than it was asked to."""


def train(
    data: Sequence[Path],
    run: Path,
    recipe: RecipeConfig,
    *,
    batch: int | None = None,
    seed: int | None = None,
    schedule: Schedule | None = None,
    precision: str = "auto",
    threads: int | None = None,
    forms: str = "auto",
    accelerator: str = "auto",
    devices: int | None = None,
    fork: Path | None = None,
    init: Path | None = None,
    keep_nimg: bool = False,
    fresh_discriminator: bool = False,
    warmup: int | None = None,
    labeller: Labeller | None = None,
    watcher: Watcher | None = None,
) -> TrainResult:
    """Train a recipe on packed datasets in a run folder, from its last snapshot if there is one.

    ``recipe`` must be of the data's resolution; held-out people are left out. ``batch``: images of a step, the recipe's
    usual number for a new run. ``precision`` ("float32", "bfloat16" or
    "auto": the faster one here), ``threads`` and ``forms`` ("auto": the fastest form of each layer here; "direct": the
    library's convolutions; "plain": every layer as it is defined) are settled when a run starts and stay its own.

    ``fork``: begin the new run ``fork`` from the newest snapshot of ``run`` (or from ``run``, a snapshot), with these
    settings, and go on with it. ``init``: begin with the weights of a run or snapshot, fresh optimisers, and learning
    rates that rise over ``warmup`` images; ``keep_nimg``: and with its clock; ``fresh_discriminator``: with its
    generator only. ``batch``, ``seed`` and ``warmup`` that are None are the run's own. ``labeller``: what labels faces
    without attributes, where the recipe wants that.

    Raises:
        UserError: the data cannot be used, or the run was begun with other settings (all that differ are named).
    """
    watcher = watcher or Nobody()
    asked = Asked(precision=precision, threads=threads, forms=forms)
    asked.check()
    if fork is not None and init is not None:
        raise UserError("--fork goes on with a run and --init begins one with a model's weights: choose one of them")
    folder = RunFolder(fork or run)
    schedule = schedule or Schedule(images=2_000_000)
    if schedule.on_collapse not in ON_COLLAPSE:
        raise UserError(f"--on-collapse {schedule.on_collapse}: choose {', '.join(ON_COLLAPSE)}")
    if schedule.score_count < 0 or schedule.score_count == 1:
        raise UserError(f"--score-faces {schedule.score_count}: give 2 or more, or 0 for no score")
    datasets = [PackedDataset.open(path) for path in data]
    for dataset in datasets:
        dataset.verify()
    view = DataView(datasets)
    if view.resolution != recipe.resolution:
        raise UserError(
            f"the data is {view.resolution} px and the recipe {recipe.resolution} px; prepare the data anew"
        )
    if folder.path.exists() and not folder.exists() and is_strange(folder.path):
        raise UserError(
            f"{folder.path} exists and is no run; choose a new folder for --run, facegan does not write into it"
        )
    origin = Origin(
        fork=find_snapshot(run) if fork is not None else None,
        init=find_snapshot(init) if init is not None else None,
        keep_nimg=keep_nimg,
        fresh_discriminator=fresh_discriminator,
    )
    origin.check(recipe)
    config = resolve_config(folder, recipe, origin, data=view.content_hash, batch=batch, seed=seed, warmup=warmup)
    batch = config.batch
    labelled = view.labelled or (labeller is not None and recipe.pseudo_labels)
    refuse_impossible(recipe, batch, labelled=labelled)
    if folder.list_snapshots():
        refuse_other_settings(folder, config, asked)
        refuse_other_origin(folder, origin)
    engine = Engine(accelerator=accelerator, devices=devices)
    if batch % engine.world_size:
        raise UserError(f"--batch {batch} cannot be split over {engine.world_size} processes: choose a multiple of it")
    refuse_impossible(recipe, batch // engine.world_size, labelled=labelled)
    if not engine.is_main:
        watcher = Nobody()
    new = not folder.path.exists()
    with folder.locked() if engine.is_main else nullcontext():
        if engine.device.type == "cpu":
            keep_freed_memory()
        settled = settle(folder, config, asked, data, origin, engine) if engine.is_main else None
        settled = engine.fabric.broadcast(settled)
        assert settled is not None
        choices, moved = settled
        torch.set_num_threads(choices.threads)
        try:
            state, damaged = begin(folder, config, choices, origin, engine)
            space = room(folder, state, schedule) if engine.is_main else {}
            if engine.is_main:
                run_labels(folder.labels, view, recipe, labeller, lambda count: watcher.event("labels", faces=count))
            engine.barrier()
            labels_MA = run_labels(folder.labels, view, recipe, None)
        except UserError:
            if new and engine.is_main:  # nothing has been trained, and the command has to be mended
                shutil.rmtree(folder.path, ignore_errors=True)
            raise
        if engine.is_main:
            wanted = {"images": schedule.images, "minutes": schedule.minutes, "pid": os.getpid()}
            folder.write_status({**wanted, "started": time.strftime("%Y-%m-%dT%H:%M:%S%z")})
        watcher.event(
            "start",
            run=str(folder.path),
            recipe=recipe.name,
            resolution=recipe.resolution,
            nimg=state.nimg,
            faces=len(view),
            held_out=sum(len(dataset) for dataset in datasets) - len(view),
            device=str(engine.device),
            processes=engine.world_size,
            on_collapse=schedule.on_collapse,
            origin=""
            if state.nimg > (origin.fork.nimg if origin.fork else config.start_nimg)
            else origin.sentence(config.warmup),
            **space,
            **choices.to_dict(),
        )
        for sentence in [*damaged, *([moved] if moved else [])]:
            watcher.event("warning", nimg=state.nimg, message=sentence)
        ending = train_loop(
            state, config, view, schedule, engine, folder, watcher,
            lambda nimg: load_state(folder.snapshot(nimg), config, choices, engine), labels_MA,
        )  # fmt: skip
    result = TrainResult(
        run=folder.path,
        nimg=ending.state.nimg,
        snapshot=folder.snapshot(ending.state.nimg),
        signal=ending.signal,
        is_main=engine.is_main,
        alarm=ending.verdict.alarm if ending.verdict else None,
        best=ending.verdict.best if ending.verdict else None,
        past=schedule.images is not None and ending.state.nimg >= schedule.images + batch,
    )
    watcher.event(
        "stop", run=str(folder.path), nimg=result.nimg, snapshot=str(result.snapshot), signal=ending.signal,
        alarm=result.alarm.kind if result.alarm else None, best=result.best, **most_memory(engine.device),
    )  # fmt: skip
    return result
