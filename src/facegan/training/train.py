"""Start a run, or go on with it: the same call does both."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

import facegan
from facegan.config import RecipeConfig, RunConfig, differences, from_dict, to_dict
from facegan.data.packed import DataView, PackedDataset
from facegan.errors import UserError
from facegan.machine import PRECISIONS, describe_machine, keep_freed_memory
from facegan.run import RunFolder
from facegan.training.choices import FORMS, measure_choices
from facegan.training.engine import Engine
from facegan.training.log import Nobody, Watcher
from facegan.training.loop import Schedule, train_loop
from facegan.training.state import Choices, TrainingState, load_state, new_state


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


def train(
    data: Sequence[Path],
    run: Path,
    recipe: RecipeConfig,
    *,
    batch: int = 64,
    seed: int = 0,
    schedule: Schedule | None = None,
    precision: str = "auto",
    threads: int | None = None,
    forms: str = "auto",
    accelerator: str = "auto",
    devices: int | None = None,
    watcher: Watcher | None = None,
) -> TrainResult:
    """Train a recipe on packed datasets in a run folder, from its last snapshot if there is one.

    ``recipe`` must be of the data's resolution; held-out people are left out. ``precision`` ("float32", "bfloat16" or
    "auto": the faster one here), ``threads`` and ``forms`` ("auto": the fastest form of each layer here; "direct": the
    library's convolutions; "plain": every layer as it is defined) are settled when a run starts and stay its own.

    Raises:
        UserError: the data cannot be used, or the run was begun with other settings (all that differ are named).
    """
    watcher = watcher or Nobody()
    folder = RunFolder(run)
    schedule = schedule or Schedule(images=2_000_000)
    datasets = [PackedDataset.open(path) for path in data]
    for dataset in datasets:
        dataset.verify()
    view = DataView(datasets)
    if view.resolution != recipe.resolution:
        raise UserError(
            f"the data is {view.resolution} px and the recipe {recipe.resolution} px; prepare the data anew"
        )
    config = RunConfig(recipe=recipe, batch=batch, seed=seed, data=view.content_hash)
    if precision not in ("auto", *PRECISIONS):
        raise UserError(f"--precision {precision}: choose auto, float32 or bfloat16")
    if forms not in FORMS:
        raise UserError(f"--forms {forms}: choose {', '.join(FORMS)}")
    if run.exists() and not folder.exists() and _is_strange(run):
        raise UserError(f"{run} exists and is no run; choose a new folder for --run, facegan does not write into it")
    if folder.list_snapshots():
        _refuse_other_settings(folder, config, precision, threads, forms)
    engine = Engine(accelerator=accelerator, devices=devices)
    if batch % engine.world_size:
        raise UserError(f"--batch {batch} cannot be split over {engine.world_size} processes: choose a multiple of it")
    if not engine.is_main:
        watcher = Nobody()
    with folder.locked() if engine.is_main else nullcontext():
        keep_freed_memory()
        settled = _settle(folder, config, precision, threads, forms, data, engine) if engine.is_main else None
        choices = engine.fabric.broadcast(settled)
        assert isinstance(choices, Choices)
        torch.set_num_threads(choices.threads)
        state = _begin(folder, config, choices, engine)
        watcher.event(
            "start",
            run=str(run),
            recipe=recipe.name,
            resolution=recipe.resolution,
            nimg=state.nimg,
            faces=len(view),
            device=str(engine.device),
            processes=engine.world_size,
            **choices.to_dict(),
        )
        signal = train_loop(state, config, view, schedule, engine, folder, watcher)
    result = TrainResult(
        run=run, nimg=state.nimg, snapshot=folder.snapshot(state.nimg), signal=signal, is_main=engine.is_main
    )
    watcher.event("stop", run=str(run), nimg=state.nimg, snapshot=str(result.snapshot), signal=signal)
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
    engine: Engine,
) -> Choices:
    """Return the run's own choices: those in ``run.json``, or new ones, measured here and written there."""
    if folder.list_snapshots():  # without one, an earlier start failed before there was anything to keep
        return Choices.from_dict(folder.read()["choices"], str(folder.path / "run.json"))
    choices, seconds = measure_choices(config, precision, threads, forms, engine)
    folder.create(
        {
            "config": to_dict(config),
            "choices": choices.to_dict(),
            "measured_seconds": seconds,
            "machine": describe_machine(),
            "allocator": "glibc, keeps freed memory" if keep_freed_memory() else "as it comes",
            "processes": engine.world_size,
            "data": [str(path.absolute()) for path in data],
            "facegan": facegan.__version__,
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
    )
    return choices


def _refuse_other_settings(
    folder: RunFolder, config: RunConfig, precision: str, threads: int | None, forms: str
) -> None:
    contents = folder.read()
    file = str(folder.path / "run.json")
    try:
        choices = {"forms": "direct", **contents["choices"]}
        old = from_dict(RunConfig, contents["config"], file)
    except (KeyError, TypeError):
        raise UserError(f"{file} is damaged; restore it from a copy, or train a new run") from None
    changed = differences(old, config)
    for name, new in (
        ("precision", None if precision == "auto" else precision),
        ("threads", threads),
        ("forms", None if forms == "auto" else forms),
    ):
        if new is not None and new != choices.get(name):
            changed.append((name, choices.get(name), new))
    if changed:
        lines = "\n".join(f"  {name}: the run has {before}, asked for {after}" for name, before, after in changed)
        raise UserError(
            f"{folder.path} was begun with other settings; repeat its own, or choose a new folder for --run:\n{lines}"
        )


def _begin(folder: RunFolder, config: RunConfig, choices: Choices, engine: Engine) -> TrainingState:
    """Return the state of the newest snapshot, or that before the first step."""
    if engine.is_main:
        folder.remove_leftovers()
    engine.barrier()
    snapshots = folder.list_snapshots()
    if not snapshots:
        return new_state(config, choices, engine)
    return load_state(snapshots[-1], config, choices, engine)
