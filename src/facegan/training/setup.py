"""What stands between a command and a training: the run's own settings, what this machine does best, and a state."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import facegan
from facegan.config import RecipeConfig, RunConfig, from_dict, to_dict
from facegan.errors import UserError
from facegan.machine import PRECISIONS, describe_machine, keep_freed_memory, other_machine
from facegan.recipes import RECIPES, usual_batch
from facegan.recipes import recipe as recipe_named
from facegan.runs.folder import RunFolder, find_snapshot, nimg_of
from facegan.runs.snapshot import INFO_FILE, SnapshotDamagedError, SnapshotInfo, free_bytes
from facegan.settings import differences, table_of
from facegan.training.choices import FORMS, measure_choices
from facegan.training.engine import Engine
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

WARMUP = 10_000
"""Images over which the learning rates rise after a warm start, unless told otherwise."""


def is_strange(path: Path) -> bool:
    """Return whether a path holds anything that a run of ours would not have left."""
    own = {".lock", "samples", "snapshots"}
    return not path.is_dir() or any(
        child.name not in own and not child.name.startswith(".run") for child in path.iterdir()
    )


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a command asks of the machine; "auto" and None are measured when a run starts."""

    precision: str = "auto"
    threads: int | None = None
    forms: str = "auto"

    def check(self) -> None:
        """Raise a ``UserError`` for an unknown precision or form."""
        if self.precision not in ("auto", *PRECISIONS):
            raise UserError(f"--precision {self.precision}: choose auto, float32 or bfloat16")
        if self.forms not in FORMS:
            raise UserError(f"--forms {self.forms}: choose {', '.join(FORMS)}")

    def named(self) -> dict[str, Any]:
        """Return what is not left to be measured."""
        given = {"precision": self.precision, "threads": self.threads, "forms": self.forms}
        return {name: value for name, value in given.items() if value not in ("auto", None)}


def settle(
    folder: RunFolder, config: RunConfig, asked: Asked, data: Sequence[Path], origin: Origin, engine: Engine
) -> tuple[Choices, str]:
    """Return the run's own choices, and what the user is to be told of them.

    They are those in ``run.json``; of a new run, new ones, measured here and written there. On a machine with another
    processor they are measured again: with bfloat16, say, a processor without such units computes at half the speed.
    """
    if folder.list_snapshots():  # without one, an earlier start failed before there was anything to keep
        return _settle_again(folder, config, asked, engine)
    choices, seconds = measure_choices(config, asked.precision, asked.threads, asked.forms, engine)
    folder.create(
        {
            "config": to_dict(config),
            "choices": choices.to_dict(),
            "asked": asked.named(),
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
    return choices, ""


def _settle_again(folder: RunFolder, config: RunConfig, asked: Asked, engine: Engine) -> tuple[Choices, str]:
    contents, where = folder.read(), str(folder.path / "run.json")
    choices = Choices.from_dict(contents.get("choices"), where)
    before, now = contents.get("machine"), describe_machine()
    if not isinstance(before, dict):
        return choices, ""
    other = other_machine(before, now, threads=choices.threads, precision=choices.precision)
    if other is None:
        return choices, ""
    kept = contents.get("asked")
    wanted = replace(Asked(), **(kept if isinstance(kept, dict) else {}) | asked.named())
    wanted.check()
    threads = None if wanted.threads is None else min(wanted.threads, now["cores"])
    again, seconds = measure_choices(config, wanted.precision, threads, wanted.forms, engine)
    newest = nimg_of(folder.list_snapshots()[-1])
    move = {"nimg": newest, "machine": before, "choices": choices.to_dict()}
    contents |= {"choices": again.to_dict(), "measured_seconds": seconds, "machine": now}
    folder.create(contents | {"moves": [*contents.get("moves", []), move]})
    return again, (
        f"this machine has {other}. Precision, threads and algorithms were measured again ({choices.precision}, "
        f"{choices.threads} threads then; {again.precision}, {again.threads} now): up to {newest:,} images the run can "
        "be repeated to the bit, beyond them to rounding"
    )


def base_recipe(
    name: str | None, resolution: int, *, run: Path, fork: Path | None = None, init: Path | None = None
) -> RecipeConfig:
    """Return the recipe that a command's settings change.

    That of the run, if it exists, or of the run that is forked; so a command need not repeat settings, and a recipe
    whose defaults have changed since locks nobody out. Else the recipe called ``name``, or that of ``init``.

    Raises:
        UserError: there is nothing to go by.
    """
    own = run_config(RunFolder(fork or run))
    if own is None and fork is not None:
        own = _snapshot_config(find_snapshot(run))
    if own is None and init is not None and name is None:
        own = _snapshot_config(find_snapshot(init))
    if own is not None and name in (None, own.recipe.name):
        return own.recipe
    if name is None:
        raise UserError(f"{run} is no run yet: say how to begin it, with --recipe NAME ({', '.join(RECIPES)})")
    return recipe_named(name, resolution)


def run_data(folder: RunFolder, parent: Path | None = None) -> list[Path]:
    """Return the data that a run was begun with, or the run that ``parent`` is or is a snapshot of.

    Raises:
        UserError: there is no such run, or its ``run.json`` names no data.
    """
    if not folder.exists() and parent is not None:
        folder = RunFolder(parent if (parent / "run.json").is_file() else parent.parent.parent)
    if not folder.exists():
        raise UserError(f"{folder.path} is no run yet: give the folder of packed faces to train on")
    paths = folder.read().get("data")
    if not isinstance(paths, list) or not paths or not all(isinstance(path, str) for path in paths):
        raise _damaged(folder)
    return [Path(path) for path in paths]


def run_config(folder: RunFolder) -> RunConfig | None:
    """Return the config of a run that has a snapshot, or None.

    Raises:
        UserError: ``run.json`` is damaged.
    """
    if not folder.exists() or not folder.list_snapshots():
        return None
    try:
        return from_dict(RunConfig, folder.read()["config"], str(folder.path / "run.json"))
    except (KeyError, TypeError):
        raise _damaged(folder) from None


def _snapshot_config(info: SnapshotInfo) -> RunConfig:
    return from_dict(RunConfig, info.config, str(info.path / INFO_FILE))


def resolve_config(
    folder: RunFolder,
    recipe: RecipeConfig,
    origin: Origin,
    *,
    data: str,
    batch: int | None,
    seed: int | None,
    warmup: int | None,
) -> RunConfig:
    """Return the config that a command asks for; what it does not name is the run's own, or the forked run's."""
    own = run_config(folder)
    parent = own if own is not None else _snapshot_config(origin.fork) if origin.fork is not None else None
    if batch is None:
        batch = parent.batch if parent else usual_batch(recipe.name)
    if seed is None:
        seed = parent.seed if parent else 0
    init = weights_digest(origin.init, fresh_discriminator=origin.fresh_discriminator) if origin.init else ""
    start_nimg = origin.init.nimg if origin.init is not None and origin.keep_nimg else 0
    if parent is not None and origin.init is None:
        init, start_nimg = "" if own is None else own.init, parent.start_nimg
    if warmup is None:
        warmup = own.warmup if own is not None else WARMUP if origin.init is not None else 0
    return RunConfig(recipe=recipe, batch=batch, seed=seed, data=data, init=init, warmup=warmup, start_nimg=start_nimg)


def _damaged(folder: RunFolder) -> UserError:
    return UserError(f"{folder.path / 'run.json'} is damaged; restore it from a copy, or train a new run")


def refuse_other_origin(folder: RunFolder, origin: Origin) -> None:
    """Refuse to fork into a run that began elsewhere."""
    if origin.fork is None:
        return
    first = (folder.read().get("ancestry") or [{}])[0]
    if first.get("how") != "fork" or first.get("sha256") != origin.fork.sha256:
        raise UserError(
            f"{folder.path} exists and did not begin with {origin.fork.path}; to go on with it, name it with --run and "
            "leave --fork out"
        )


def refuse_other_settings(folder: RunFolder, config: RunConfig, asked: Asked) -> None:
    """Refuse to go on with a run under other settings than its own.

    Raises:
        UserError: a table of those that differ.
    """
    contents, old = folder.read(), run_config(folder)
    assert old is not None
    try:
        choices = {"forms": "direct", **contents["choices"]}
        threads, precision = int(choices["threads"]), str(choices["precision"])
        other = other_machine(contents["machine"], describe_machine(), threads=threads, precision=precision)
    except (KeyError, TypeError, ValueError):
        raise _damaged(folder) from None
    changed = differences(old, config)
    if other is None:
        changed += [(name, choices.get(name), new) for name, new in asked.named().items() if new != choices.get(name)]
    if changed:
        raise UserError(
            f"{folder.path} was begun with other settings; repeat its own, begin another run, or go on from here "
            f"under the new ones with --fork NEWRUN:\n{table_of(changed, 'the run has', 'asked for')}"
        )


def room(folder: RunFolder, state: TrainingState, schedule: Schedule) -> dict[str, int]:
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


def begin(
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
        fresh = origin.fresh_discriminator
        return warm_start(origin.init, config, choices, engine, fresh_discriminator=fresh), []
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
