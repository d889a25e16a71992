"""From a command to a training: checks, the run's settings and its execution plan, and the state to begin with."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import facegan
from facegan.config import RunConfig, to_dict
from facegan.data.packed import DataView, PackedDataset
from facegan.errors import UserError, is_out_of_memory
from facegan.files import free_bytes
from facegan.machine import describe_machine, keep_freed_memory, other_machine
from facegan.runs.folder import RunFolder, nimg_of
from facegan.runs.snapshot import SnapshotDamagedError
from facegan.training.autotune import autotune
from facegan.training.checkpointing import full_snapshot_bytes, load_state, restore
from facegan.training.context import Context, Listener
from facegan.training.engine import Engine
from facegan.training.execution_plan import ExecutionPlan, ExecutionRequest
from facegan.training.labels import Labeller, prepare_labels, run_labels
from facegan.training.lost_process import record_change
from facegan.training.schedule import Schedule
from facegan.training.shared_state import share_state
from facegan.training.state import TrainingState, new_state
from facegan.training.trainer import Trainer
from facegan.training.warm_start import InitialWeights, warm_start


def open_data(paths: Sequence[Path], engine: Engine) -> DataView:
    """Return the faces that training sees: those of packed datasets, without those of held-out people.

    One process of each host reads them all once, to see that they are whole.

    Raises:
        UserError: a dataset cannot be used.
    """

    def opened() -> DataView:
        datasets = [PackedDataset.open(path) for path in paths]
        for dataset in datasets if engine.local_rank == 0 else []:
            dataset.verify()
        return DataView(datasets)

    return engine.run_on_all(opened)


@contextmanager
def removed_unless_begun(folder: RunFolder, *, new: bool) -> Iterator[None]:
    """Remove a folder that was made for this call, if the run cannot be begun: nothing has been trained."""
    try:
        yield
    except BaseException as error:
        if new and not folder.list_snapshots():
            shutil.rmtree(folder.path, ignore_errors=True)
            if isinstance(error, KeyboardInterrupt):
                error.add_note(f"before the first step; nothing is left of {folder.path}")
        raise


@contextmanager
def explain_out_of_memory(folder: RunFolder, config: RunConfig) -> Iterator[None]:
    """Turn an error of memory that ran out into one that says what to ask for instead.

    Raises:
        UserError: it ran out; a smaller batch is proposed.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        smaller = max(2, config.batch // 8 * 4 or config.batch // 2)  # a multiple of the groups that a D may look at
        instead = f"go on from {folder.path} with --fork NEWRUN" if folder.list_snapshots() else "try"
        raise UserError(
            f"--batch {config.batch}: not enough memory for a step of so many images at {config.recipe.resolution} px"
            f"{_asked_for(error)}; {instead} --batch {smaller}, or narrower networks (--set "
            "generator.width=..., discriminator.width=...)"
        ) from error


def _asked_for(error: BaseException) -> str:
    """Return how much more memory was asked for, as PyTorch says it."""
    found = re.search(r"allocate ([\d.]+) ?(bytes|[KMG]iB)", str(error))
    if found is None:
        return ""
    amount, unit = float(found[1]), {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}[found[2]]
    return f" ({amount * unit / 1e9:,.2f} GB more were asked for)"


def set_up(context: Context, initial: InitialWeights, labeller: Labeller | None, *, notice: str) -> Trainer:
    """Return what trains a run, from its last snapshot if it has one. The caller holds the folder's lock.

    ``notice``: what the user is to be told of its execution plan.

    Raises:
        UserError: the run cannot be begun or gone on with.
    """
    config, plan, engine, folder = context.config, context.plan, context.engine, context.folder
    view, listener, schedule = context.view, context.listener, context.schedule
    torch.set_num_threads(plan.threads)
    state, damaged = first_state(folder, config, plan, initial, engine)

    def settle() -> tuple[dict[str, int], np.ndarray | None]:
        space, recipe = disk_space(folder, state, schedule, plan.images_per_s), config.recipe
        parent = initial.run_with_data(config.data)
        if parent is not None and not folder.quick_reference.exists() and parent.quick_reference.is_file():
            shutil.copyfile(parent.quick_reference, folder.quick_reference)
        prepare_labels(folder, view, recipe, labeller, parent, lambda count: listener.event("labels", faces=count))
        wanted = {"images": schedule.images, "minutes": schedule.minutes, "pid": os.getpid()}
        folder.write_status({**wanted, "started": time.strftime("%Y-%m-%dT%H:%M:%S%z")})
        return space, run_labels(folder.labels, view, recipe, None)

    space, labels_MA = engine.on_main(settle)
    listener.event(
        "start",
        run=str(folder.path),
        recipe=config.recipe.name,
        resolution=config.recipe.resolution,
        nimg=state.nimg,
        faces=len(view),
        held_out=sum(len(dataset) for dataset in view.datasets) - len(view),
        device=str(engine.device),
        processes=engine.world_size,
        hosts=engine.hosts,
        on_collapse=schedule.on_collapse,
        images=schedule.images,
        minutes=schedule.minutes,
        origin="" if state.nimg > initial.first_nimg(config) else initial.sentence(config.warmup),
        **space,
        **plan.to_dict(),
    )
    for sentence in [*view.warnings, *damaged, *([notice] if notice else [])]:
        listener.event("warning", nimg=state.nimg, message=sentence)
    with engine.main_works():
        return Trainer(replace(context, labels_MA=labels_MA), state)


def resolve_plan(
    folder: RunFolder,
    config: RunConfig,
    requested: ExecutionRequest,
    view: DataView,
    initial: InitialWeights,
    engine: Engine,
    listener: Listener,
) -> tuple[ExecutionPlan, str]:
    """Return the run's execution plan, the same in every process, and what the user is to be told of it.

    It is the one in ``run.json``; of a new run, a new one, measured here and written there. On a machine with another
    processor it is measured again: with bfloat16, say, a processor without such units computes at half the speed.
    """
    keeps = engine.device.type == "cpu" and keep_freed_memory()

    def settled() -> tuple[ExecutionPlan, str]:
        if folder.list_snapshots():
            return _resolve_again(folder, config, requested, view, engine, listener)
        # A new run, or an earlier start failed before there was anything to keep.
        listener.event("measuring", recipe=config.recipe.name, batch=config.batch)
        plan, seconds = autotune(config, requested, engine)
        plan = replace(plan, deterministic=requested.deterministic)
        folder.create(
            {
                "config": to_dict(config),
                "choices": plan.to_dict(),
                "asked": requested.named(),
                "measured_seconds": seconds,
                "machine": describe_machine(engine.device.type),
                "allocator": "glibc, keeps freed memory" if keeps else "as it comes",
                "processes": engine.world_size,
                **initial.ancestry(),
                "data": [str(dataset.path.absolute()) for dataset in view.datasets],
                "facegan": facegan.__version__,
                "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            }
        )
        return plan, ""

    return engine.on_main(settled)


def _resolve_again(
    folder: RunFolder,
    config: RunConfig,
    requested: ExecutionRequest,
    view: DataView,
    engine: Engine,
    listener: Listener,
) -> tuple[ExecutionPlan, str]:
    contents, where = folder.read(), str(folder.path / "run.json")
    plan = ExecutionPlan.from_dict(contents.get("choices"), where)
    before, now = contents.get("machine"), describe_machine(engine.device.type)
    found = [str(dataset.path.absolute()) for dataset in view.datasets]
    if contents.get("data") not in (None, found):  # the same content, at another place
        folder.update({"data": found})
    if not isinstance(before, dict):
        return plan, ""
    other = other_machine(before, now, threads=plan.threads, precision=plan.precision)
    processes, many = contents.get("processes", 1), engine.world_size
    if other is None and processes == many:
        return plan, ""
    wanted = requested.with_stored(contents.get("asked")).limited_to(max(1, now["cores"] // engine.local_size))
    listener.event("measuring", recipe=config.recipe.name, batch=config.batch)
    again, seconds = autotune(config, wanted, engine)
    again = replace(again, deterministic=wanted.deterministic)
    newest = nimg_of(folder.list_snapshots()[-1])
    move = {"nimg": newest, "machine": before, "choices": plan.to_dict(), "processes": processes}
    changes = {"choices": again.to_dict(), "measured_seconds": seconds, "machine": now, "processes": many}
    folder.update(changes | {"moves": [*contents.get("moves", []), move]})
    what = [] if other is None else [f"this machine has {other}"]
    if processes != many:
        what.append(
            f"until now the run was trained by {processes} process{'es' if processes > 1 else ''}, now by {many}"
        )
        record_change(folder, newest, processes, many, engine)
    anew = ""
    if (plan.precision, plan.threads) != (again.precision, again.threads):
        anew = f"; measured again, it computes in {again.precision} with {again.threads} threads"
        anew += f", before in {plan.precision} with {plan.threads}"
    return again, (
        f"{'; '.join(what)}{anew}: up to {newest:,} images the run can be repeated to the bit, beyond them to rounding"
    )


def disk_space(
    folder: RunFolder, state: TrainingState, schedule: Schedule, rate: float | None = None
) -> dict[str, int]:
    """Return what the run's snapshots will need and what is free, in bytes; ``rate``: images/s, if known.

    Raises:
        UserError: not even one snapshot fits.
    """
    size = full_snapshot_bytes(state)
    existing = len(folder.list_snapshots())
    more = max(0, schedule.keep + 2 - existing)  # the best one, and the one that is being written
    end = schedule.expected_end(state.nimg, rate)
    if schedule.keep_every and end is not None:
        every = max(schedule.keep_every, schedule.snapshot_every)
        more += end // every - state.nimg // every
    free = free_bytes(folder.path)
    if not existing and free < size:
        raise UserError(
            f"{folder.path}: a snapshot needs {size / 1e6:,.1f} MB, and {free / 1e6:,.1f} MB are free; make room, or "
            "choose another place for --run"
        )
    return {"snapshot_bytes": size, "needed_bytes": more * size, "free_bytes": free}


def first_state(
    folder: RunFolder, config: RunConfig, plan: ExecutionPlan, initial: InitialWeights, engine: Engine
) -> tuple[TrainingState, list[str]]:
    """Return the state of the newest snapshot that is whole, or that before the first step; and what is damaged.

    Damaged snapshots are set aside; if none is whole, they stay, and the newest one's error is raised. The main process
    reads, and gives the others what it has read: they need not see the run's folder.
    """
    loaded: list[TrainingState] = []

    def load() -> list[str]:
        state, damaged = _stored_state(folder, config, plan, initial, engine)
        loaded.append(state)
        return damaged

    damaged = engine.on_main(load)
    return share_state(loaded[0] if loaded else None, config, plan, engine), damaged


def _stored_state(
    folder: RunFolder, config: RunConfig, plan: ExecutionPlan, initial: InitialWeights, engine: Engine
) -> tuple[TrainingState, list[str]]:
    folder.remove_leftovers()
    snapshots = folder.list_snapshots()
    if snapshots:
        state, damaged = _newest_whole(folder, snapshots, config, plan, engine)
        rewound = folder.read().get("rewound")
        if isinstance(rewound, dict) and rewound.get("nimg") == state.nimg:
            state.extra |= {name: rewound[name] for name in ("rollbacks", "rate") if name in rewound}
        return state, damaged
    if initial.fork is not None:
        state = restore(initial.fork, config, plan, engine)
        state.extra = {}
        return state, []
    if initial.init is not None:
        fresh = initial.fresh_discriminator
        return warm_start(initial.init, config, plan, engine, fresh_discriminator=fresh), []
    return new_state(config, plan, engine), []


def _newest_whole(
    folder: RunFolder, snapshots: list[Path], config: RunConfig, plan: ExecutionPlan, engine: Engine
) -> tuple[TrainingState, list[str]]:
    damaged: dict[Path, SnapshotDamagedError] = {}
    for path in reversed(snapshots):
        try:
            state = load_state(path, config, plan, engine)
        except SnapshotDamagedError as error:
            damaged[path] = error
            continue
        for bad in damaged:
            folder.set_aside_damaged(bad)
        return state, [f"{error}; it is set aside, and the run goes on from {path.name}" for error in damaged.values()]
    raise damaged[snapshots[-1]]
