"""Start a run, or go on with it: the same call does both."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch

import facegan
from facegan.config import RecipeConfig, RunConfig, differences, from_dict, table_of, to_dict
from facegan.data.packed import DataView, PackedDataset
from facegan.errors import UserError
from facegan.machine import PRECISIONS, describe_machine, keep_freed_memory, most_memory
from facegan.recipes import usual_batch
from facegan.run import RunFolder, find_snapshot
from facegan.snapshot import SnapshotDamagedError, free_bytes
from facegan.training.batches import Labeller, run_labels
from facegan.training.checks import refuse_impossible
from facegan.training.choices import FORMS, measure_choices
from facegan.training.engine import Engine
from facegan.training.log import Nobody, Watcher
from facegan.training.loop import train_loop
from facegan.training.origin import Origin
from facegan.training.schedule import Schedule
from facegan.training.state import (
    Choices,
    TrainingState,
    full_snapshot_bytes,
    load_state,
    new_state,
    restore,
    warm_start,
    weights_digest,
)
from facegan.training.watchdog import ON_COLLAPSE, Alarm

WARMUP = 10_000
"""Images over which the learning rates rise after a warm start, unless told otherwise."""


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
    """With an alarm: the best snapshot, by the run's own score."""


def train(
    data: Sequence[Path],
    run: Path,
    recipe: RecipeConfig,
    *,
    batch: int | None = None,
    seed: int = 0,
    schedule: Schedule | None = None,
    precision: str = "auto",
    threads: int | None = None,
    forms: str = "auto",
    accelerator: str = "auto",
    devices: int | None = None,
    fork: Path | None = None,
    init: Path | None = None,
    warmup: int | None = None,
    labeller: Labeller | None = None,
    watcher: Watcher | None = None,
) -> TrainResult:
    """Train a recipe on packed datasets in a run folder, from its last snapshot if there is one.

    ``recipe`` must be of the data's resolution; held-out people are left out. ``batch``: images of a step, the recipe's
    usual number unless told otherwise. ``precision`` ("float32", "bfloat16" or
    "auto": the faster one here), ``threads`` and ``forms`` ("auto": the fastest form of each layer here; "direct": the
    library's convolutions; "plain": every layer as it is defined) are settled when a run starts and stay its own.

    ``fork``: begin the new run ``fork`` from the newest snapshot of ``run`` (or from ``run``, a snapshot), with these
    settings, and go on with it. ``init``: begin with the weights of a run or snapshot, fresh optimisers, and learning
    rates that rise over ``warmup`` images. ``labeller``: what labels faces without attributes, where the recipe wants
    that.

    Raises:
        UserError: the data cannot be used, or the run was begun with other settings (all that differ are named).
    """
    watcher = watcher or Nobody()
    batch = usual_batch(recipe.name) if batch is None else batch
    if fork is not None and init is not None:
        raise UserError("--fork goes on with a run and --init begins one with a model's weights: choose one of them")
    folder = RunFolder(fork or run)
    schedule = schedule or Schedule(images=2_000_000)
    if schedule.on_collapse not in ON_COLLAPSE:
        raise UserError(f"--on-collapse {schedule.on_collapse}: choose {', '.join(ON_COLLAPSE)}")
    datasets = [PackedDataset.open(path) for path in data]
    for dataset in datasets:
        dataset.verify()
    view = DataView(datasets)
    if view.resolution != recipe.resolution:
        raise UserError(
            f"the data is {view.resolution} px and the recipe {recipe.resolution} px; prepare the data anew"
        )
    if precision not in ("auto", *PRECISIONS):
        raise UserError(f"--precision {precision}: choose auto, float32 or bfloat16")
    if forms not in FORMS:
        raise UserError(f"--forms {forms}: choose {', '.join(FORMS)}")
    if folder.path.exists() and not folder.exists() and _is_strange(folder.path):
        raise UserError(
            f"{folder.path} exists and is no run; choose a new folder for --run, facegan does not write into it"
        )
    origin = Origin(
        fork=find_snapshot(run) if fork is not None else None, init=find_snapshot(init) if init is not None else None
    )
    origin.check(recipe)
    config = RunConfig(
        recipe=recipe,
        batch=batch,
        seed=seed,
        data=view.content_hash,
        init=weights_digest(origin.init) if origin.init else "",
        warmup=(WARMUP if init else 0) if warmup is None else warmup,
    )
    labelled = view.labelled or (labeller is not None and recipe.label_unlabelled)
    refuse_impossible(recipe, batch, labelled=labelled)
    if folder.list_snapshots():
        config = _the_runs_own(folder, config, init, warmup)
        _refuse_other_settings(folder, config, precision, threads, forms)
        _refuse_other_origin(folder, origin)
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
        settled = None
        if engine.is_main:
            settled = _settle(folder, config, precision, threads, forms, data, origin, engine)
        choices = engine.fabric.broadcast(settled)
        assert isinstance(choices, Choices)
        torch.set_num_threads(choices.threads)
        try:
            state, damaged = _begin(folder, config, choices, origin, engine)
            space = _room(folder, state, schedule) if engine.is_main else {}
            if engine.is_main:
                run_labels(folder.labels, view, recipe, labeller, lambda count: watcher.event("labels", faces=count))
            engine.barrier()
            labels_MA = run_labels(folder.labels, view, recipe, None)
        except UserError:
            if new and engine.is_main:  # nothing has been trained, and the command has to be mended
                shutil.rmtree(folder.path, ignore_errors=True)
            raise
        if engine.is_main:
            asked = {"images": schedule.images, "minutes": schedule.minutes, "pid": os.getpid()}
            folder.write_status({**asked, "started": time.strftime("%Y-%m-%dT%H:%M:%S%z")})
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
            origin="" if state.nimg > (origin.fork.nimg if origin.fork else 0) else origin.sentence(config.warmup),
            **space,
            **choices.to_dict(),
        )
        for sentence in damaged:
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
    )
    watcher.event(
        "stop", run=str(folder.path), nimg=result.nimg, snapshot=str(result.snapshot), signal=ending.signal,
        alarm=result.alarm.kind if result.alarm else None, best=result.best, **most_memory(engine.device),
    )  # fmt: skip
    return result


def _is_strange(path: Path) -> bool:
    """Return whether a path holds anything that a run of ours would not have left."""
    own = {".lock", "samples", "snapshots"}
    return not path.is_dir() or any(
        child.name not in own and not child.name.startswith(".run") for child in path.iterdir()
    )


def _settle(
    folder: RunFolder,
    config: RunConfig,
    precision: str,
    threads: int | None,
    forms: str,
    data: Sequence[Path],
    origin: Origin,
    engine: Engine,
) -> Choices:
    """Return the run's own choices: those in ``run.json``, or new ones, measured here and written there."""
    if folder.list_snapshots():  # without one, an earlier start failed before there was anything to keep
        return Choices.from_dict(folder.read().get("choices"), str(folder.path / "run.json"))
    choices, seconds = measure_choices(config, precision, threads, forms, engine)
    folder.create(
        {
            "config": to_dict(config),
            "choices": choices.to_dict(),
            "measured_seconds": seconds,
            "machine": describe_machine(),
            "allocator": "glibc, keeps freed memory"
            if engine.device.type == "cpu" and keep_freed_memory()
            else "as it comes",
            "processes": engine.world_size,
            **origin.ancestry(),
            "data": [str(path.absolute()) for path in data],
            "facegan": facegan.__version__,
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
    )
    return choices


def _the_runs_own(folder: RunFolder, config: RunConfig, init: Path | None, warmup: int | None) -> RunConfig:
    """Return the config with the beginning that the run had, where the command says nothing of it."""
    try:
        own = from_dict(RunConfig, folder.read()["config"], str(folder.path / "run.json"))
    except (KeyError, TypeError):
        raise _damaged(folder) from None
    return replace(
        config,
        init=own.init if init is None else config.init,
        warmup=own.warmup if warmup is None else config.warmup,
    )


def _damaged(folder: RunFolder) -> UserError:
    return UserError(f"{folder.path / 'run.json'} is damaged; restore it from a copy, or train a new run")


def _refuse_other_origin(folder: RunFolder, origin: Origin) -> None:
    """Refuse to fork into a run that began elsewhere."""
    if origin.fork is None:
        return
    first = (folder.read().get("ancestry") or [{}])[0]
    if first.get("how") != "fork" or first.get("sha256") != origin.fork.sha256:
        raise UserError(
            f"{folder.path} exists and did not begin with {origin.fork.path}; to go on with it, name it with --run and "
            "leave --fork out"
        )


def _refuse_other_settings(
    folder: RunFolder, config: RunConfig, precision: str, threads: int | None, forms: str
) -> None:
    contents = folder.read()
    try:
        choices = {"forms": "direct", **contents["choices"]}
        old = from_dict(RunConfig, contents["config"], str(folder.path / "run.json"))
    except (KeyError, TypeError):
        raise _damaged(folder) from None
    changed = differences(old, config)
    for name, new in (
        ("precision", None if precision == "auto" else precision),
        ("threads", threads),
        ("forms", None if forms == "auto" else forms),
    ):
        if new is not None and new != choices.get(name):
            changed.append((name, choices.get(name), new))
    if changed:
        raise UserError(
            f"{folder.path} was begun with other settings; repeat its own, begin another run, or go on from here "
            f"under the new ones with --fork NEWRUN:\n{table_of(changed, 'the run has', 'asked for')}"
        )


def _room(folder: RunFolder, state: TrainingState, schedule: Schedule) -> dict[str, int]:
    """Return what the run's snapshots will need and what is free, in bytes.

    Raises:
        UserError: not even one snapshot fits.
    """
    size = full_snapshot_bytes(state)
    existing = len(folder.list_snapshots())
    most = schedule.keep + 2  # the best one, and the one that is being written
    if schedule.keep_every and schedule.images:
        most += schedule.images // schedule.keep_every
    free = free_bytes(folder.path)
    if not existing and free < size:
        raise UserError(
            f"{folder.path}: a snapshot needs {size / 1e6:,.1f} MB, and {free / 1e6:,.1f} MB are free; make room, or "
            "choose another place for --run"
        )
    return {"snapshot_bytes": size, "needed_bytes": max(0, most - existing) * size, "free_bytes": free}


def _begin(
    folder: RunFolder, config: RunConfig, choices: Choices, origin: Origin, engine: Engine
) -> tuple[TrainingState, list[str]]:
    """Return the state of the newest snapshot that is whole, or that before the first step; and what is damaged.

    Damaged snapshots are set aside; if none is whole, they stay, and the newest one's error is raised.
    """
    if engine.is_main:
        folder.remove_leftovers()
    engine.barrier()
    snapshots = folder.list_snapshots()
    if snapshots:
        return _newest_whole(folder, snapshots, config, choices, engine)
    if origin.fork is not None:
        state = restore(origin.fork, config, choices, engine)
        state.learnt = {}
        return state, []
    if origin.init is not None:
        return warm_start(origin.init, config, choices, engine), []
    return new_state(config, choices, engine), []


def _newest_whole(
    folder: RunFolder, snapshots: list[Path], config: RunConfig, choices: Choices, engine: Engine
) -> tuple[TrainingState, list[str]]:
    damaged: dict[Path, SnapshotDamagedError] = {}
    for path in reversed(snapshots):
        try:
            state = load_state(path, config, choices, engine)
        except SnapshotDamagedError as error:
            damaged[path] = error
            continue
        engine.barrier()
        if engine.is_main:
            for bad in damaged:
                folder.set_aside_damaged(bad)
        return state, [f"{error}; it is set aside, and the run goes on from {path.name}" for error in damaged.values()]
    raise damaged[snapshots[-1]]
