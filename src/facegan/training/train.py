"""Start a run, or go on with it: the same call does both."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from facegan.config import RecipeConfig
from facegan.errors import UserError
from facegan.machine import most_memory
from facegan.runs.folder import RunFolder, find_snapshot
from facegan.training.checks import refuse_before_start, refuse_impossible
from facegan.training.context import Context, Listener, NullListener
from facegan.training.engine import Engine
from facegan.training.execution_plan import Requested
from facegan.training.labels import Labeller
from facegan.training.recovery import Decision
from facegan.training.run_settings import resolve_config
from facegan.training.schedule import Schedule
from facegan.training.setup import enough_memory, open_data, removed_unless_begun, set_up, settle_plan
from facegan.training.trainer import Trainer
from facegan.training.warm_start import InitialWeights
from facegan.training.watchdog import Alarm

_NO_LOCKS = "the file system of {} knows no locks, so nothing keeps a second training out of this run: start only one"


@dataclass(frozen=True, kw_only=True)
class Start:
    """How a run begins. None: as the run began, or for a new one the recipe's usual value."""

    batch: int | None = None
    """Real images of one step, over all processes."""
    seed: int | None = None
    fork: Path | None = None
    """Path of a new run that begins with the newest snapshot of ``train``'s ``run``, optimizers and clock included."""
    init: Path | None = None
    """Begin with the weights of this run or snapshot, fresh optimizers, and learning rates that rise."""
    keep_nimg: bool = False
    """With ``init``: go on counting its images."""
    fresh_discriminator: bool = False
    """With ``init``: take its generator only."""
    warmup: int | None = None
    """Images over which the learning rates rise."""

    def __post_init__(self) -> None:
        if self.fork is not None and self.init is not None:
            raise UserError(
                "--fork goes on with a run and --init begins one with a model's weights: choose one of them"
            )


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
    start: Start | None = None,
    schedule: Schedule | None = None,
    requested: Requested | None = None,
    labeller: Labeller | None = None,
    listener: Listener | None = None,
) -> TrainResult:
    """Train a recipe on packed datasets in a run folder, from its last snapshot if there is one.

    ``recipe`` must be of the data's resolution; held-out people are left out. ``schedule``: how long, and when to look;
    two million images by default. ``labeller``: what labels faces without attributes, where the recipe wants that.

    Raises:
        UserError: the data cannot be used, or the run was begun with other settings (all that differ are named).
    """
    start, requested = start or Start(), requested or Requested()
    listener, schedule = listener or NullListener(), schedule or Schedule(images=2_000_000)
    folder = RunFolder(start.fork or run)
    initial = InitialWeights(
        fork=find_snapshot(run) if start.fork is not None else None,
        init=find_snapshot(start.init) if start.init is not None else None,
        keep_nimg=start.keep_nimg,
        fresh_discriminator=start.fresh_discriminator,
    )
    view = open_data(data, recipe)
    config = resolve_config(
        folder, recipe, initial, data=view.content_hash, batch=start.batch, seed=start.seed, warmup=start.warmup
    )
    labelled = view.labelled or (labeller is not None and recipe.pseudo_labels)
    refuse_before_start(folder, config, requested, initial, labelled=labelled)
    engine = Engine(accelerator=requested.accelerator, devices=requested.devices)
    if config.batch % engine.world_size:
        raise UserError(
            f"--batch {config.batch} cannot be split over {engine.world_size} processes: choose a multiple of it"
        )
    refuse_impossible(recipe, config.batch // engine.world_size, labelled=labelled)
    if not engine.is_main:
        listener = NullListener()
    missing = not folder.path.exists()
    with enough_memory(folder, config), folder.locked() if engine.is_main else nullcontext(True) as held:
        with removed_unless_begun(folder, new=missing and engine.is_main):
            plan, told = settle_plan(folder, config, requested, view, initial, engine, listener)
            context = Context(
                config=config, view=view, schedule=schedule, plan=plan, engine=engine, folder=folder, listener=listener
            )
            trainer = set_up(context, initial, labeller, told=told)
        if not held:
            listener.event("warning", nimg=trainer.state.nimg, message=_NO_LOCKS.format(folder.path))
        decision = trainer.fit()
    result = _result(trainer, decision)
    listener.event(
        "stop", run=str(folder.path), nimg=result.nimg, snapshot=str(result.snapshot), signal=result.signal,
        alarm=result.alarm.kind if result.alarm else None, best=result.best, **most_memory(engine.device),
    )  # fmt: skip
    return result


def _result(trainer: Trainer, decision: Decision | None) -> TrainResult:
    context, nimg = trainer.context, trainer.state.nimg
    images, folder = context.schedule.images, context.folder
    last = folder.snapshot(nimg)
    return TrainResult(
        run=folder.path,
        nimg=nimg,
        snapshot=last if last.exists() else folder.list_snapshots()[-1],  # what is not finite is not kept
        signal=trainer.stop.signal,
        is_main=context.engine.is_main,
        alarm=decision.alarm if decision else None,
        best=decision.best if decision else None,
        past=images is not None and nimg >= images + context.config.batch,
    )
