"""Start a run, or go on with it: the same call does both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from facegan.collectives import LostProcessError
from facegan.config import RecipeConfig, RunConfig
from facegan.data.packed import DataView
from facegan.errors import OthersSayError, UserError
from facegan.machine import peak_gpu_memory
from facegan.runs.folder import RunFolder, find_snapshot
from facegan.training.checks import refuse_before_start, refuse_other_process
from facegan.training.context import Context, Listener, NullListener
from facegan.training.engine import Engine
from facegan.training.execution_plan import ExecutionRequest
from facegan.training.labels import Labeller
from facegan.training.launch import advice
from facegan.training.lost_process import record_error, record_lost_process, sigterm_ignored
from facegan.training.recovery import Decision
from facegan.training.run_settings import began_at, resolve_config, run_data
from facegan.training.schedule import USUAL_IMAGES, Schedule
from facegan.training.setup import explain_out_of_memory, open_data, removed_unless_begun, resolve_plan, set_up
from facegan.training.trainer import Trainer
from facegan.training.warm_start import InitialWeights
from facegan.training.watchdog import Alarm

_FLOAT16 = "float16 is for GPUs without bfloat16: a processor is slower in it than in float32"
_NO_LOCKS = "the file system of {} knows no locks, so nothing keeps a second training out of this run: start only one"


Ended = Literal["images", "minutes", "signal", "alarm"]


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
    ended: Ended
    """What ended it."""
    alarm: Alarm | None = None
    """The alarm that ended it, or None."""
    best: str | None = None
    """With an alarm: the best snapshot, by the quick score."""
    images: int | None = None
    """How many it was to see; None: no limit."""
    past: bool = False
    """Whether the run had gone further already than it was asked to."""


def train(
    data: Sequence[Path],
    run: Path,
    recipe: RecipeConfig | Callable[[int], RecipeConfig],
    *,
    start: Start | None = None,
    schedule: Schedule | None = None,
    requested: ExecutionRequest | None = None,
    labeller: Labeller | None = None,
    listener: Listener | None = None,
) -> TrainResult:
    """Train a recipe on packed datasets in a run folder, from its last snapshot if there is one.

    ``data``: [] for that of the run. ``recipe`` must be of the data's resolution, or is a function of it; held-out
    people are left out. ``schedule``: how long, and when to look; by default two million images more than the run
    began with. ``labeller``: what labels faces without attributes, where the recipe wants that.

    In several processes each needs the data, and only the main one the run's folder.

    Raises:
        UserError: the data cannot be used, or the run was begun with other settings (all that differ are named).
        LostProcessError: another process of this training ended, or did not answer in time.
        OthersSayError: this process cannot go on, and another one says why.
    """
    start, requested = start or Start(), requested or ExecutionRequest()
    listener, schedule = listener or NullListener(), schedule or Schedule(more_images=USUAL_IMAGES)
    engine = Engine(accelerator=requested.accelerator, devices=requested.devices, timeout=requested.timeout)
    folder = RunFolder(start.fork or run)
    asked = _TrainCall(
        data, run, recipe, start, schedule, requested, labeller, listener if engine.is_main else NullListener()
    )
    try:
        return _train(asked, folder, engine)
    except LostProcessError as error:
        with sigterm_ignored():  # torchrun sends one at once
            ending = record_lost_process(error, engine, folder)
        raise ending from error
    except OthersSayError:
        raise
    except UserError:
        engine.say_told()
        raise
    except Exception as error:
        record_error(error, engine, folder)
        raise


@dataclass(frozen=True)
class _TrainCall:
    """What ``train`` was called with."""

    data: Sequence[Path]
    run: Path
    recipe: RecipeConfig | Callable[[int], RecipeConfig]
    start: Start
    schedule: Schedule
    requested: ExecutionRequest
    labeller: Labeller | None
    listener: Listener


def _train(asked: _TrainCall, folder: RunFolder, engine: Engine) -> TrainResult:
    start, listener = asked.start, asked.listener
    own_data = list(asked.data)
    data = own_data or engine.on_main(lambda: run_data(folder, None if start.fork is None else asked.run))
    view = open_data(data, engine)
    settled: list[InitialWeights] = []

    def labelled(recipe: RecipeConfig) -> bool:
        return view.labelled or (asked.labeller is not None and recipe.pseudo_labels)

    def settle() -> tuple[RunConfig, str, int]:
        initial = InitialWeights(
            fork=find_snapshot(asked.run) if start.fork is not None else None,
            init=find_snapshot(start.init) if start.init is not None else None,
            keep_nimg=start.keep_nimg,
            fresh_discriminator=start.fresh_discriminator,
        )
        settled.append(initial)
        recipe = asked.recipe if isinstance(asked.recipe, RecipeConfig) else asked.recipe(view.resolution)
        if view.resolution != recipe.resolution:
            raise UserError(
                f"the data is {view.resolution} px and the recipe {recipe.resolution} px; prepare the data anew"
            )
        config, notice = resolve_config(
            folder, recipe, initial, data=view.content_hash, batch=start.batch, seed=start.seed, warmup=start.warmup,
            processes=engine.world_size,
        )  # fmt: skip
        refuse_before_start(
            folder, config, asked.requested, initial, labelled=labelled(recipe), processes=engine.world_size
        )
        return config, notice, began_at(folder, config, initial)

    config, fitted, first_nimg = engine.on_main(settle)
    asked = replace(asked, schedule=asked.schedule.counted_from(first_nimg))
    initial = settled[0] if settled else InitialWeights()
    engine.run_on_all(lambda: refuse_other_process(view, config, engine, labelled=labelled(config.recipe)))
    missing = not folder.path.exists()
    with ExitStack() as held, explain_out_of_memory(folder, config):
        locks = engine.on_main(lambda: held.enter_context(folder.locked()) and True)
        with removed_unless_begun(folder, new=missing and engine.is_main):
            context, notice = _context(asked, folder, config, initial, view, engine)
            trainer = set_up(context, initial, asked.labeller, notice=notice)
        advised = "" if engine.launch is None else advice(engine.launch)
        slow = _FLOAT16 if context.plan.precision == "float16" and engine.device.type == "cpu" else ""
        for sentence in [fitted, advised, slow, "" if locks else _NO_LOCKS.format(folder.path)]:
            if sentence:
                listener.event("warning", nimg=trainer.state.nimg, message=sentence)
        decision = trainer.fit()
    result = _result(trainer, decision)
    if engine.is_main:
        folder.write_ending(result.ended)
    listener.event(
        "stop", run=str(folder.path), nimg=result.nimg, snapshot=str(result.snapshot), signal=result.signal,
        ended=result.ended, alarm=result.alarm.kind if result.alarm else None, best=result.best,
        **peak_gpu_memory(engine.device),
    )  # fmt: skip
    return result


def _context(
    asked: _TrainCall, folder: RunFolder, config: RunConfig, initial: InitialWeights, view: DataView, engine: Engine
) -> tuple[Context, str]:
    plan, notice = resolve_plan(folder, config, asked.requested, view, initial, engine, asked.listener)
    context = Context(
        config=config, view=view, schedule=asked.schedule, plan=plan, engine=engine, folder=folder,
        listener=asked.listener,
    )  # fmt: skip
    return context, notice


def _result(trainer: Trainer, decision: Decision | None) -> TrainResult:
    context, nimg = trainer.context, trainer.state.nimg
    images, folder = context.schedule.images, context.folder
    whole = images is not None and nimg >= images
    ended: Ended = "images" if whole else "minutes"
    if decision is not None or trainer.signal is not None:
        ended = "signal" if decision is None else "alarm"
    last, kept = folder.snapshot(nimg), folder.list_snapshots()  # of what is not finite there is none
    return TrainResult(
        run=folder.path,
        nimg=nimg,
        snapshot=last if last.exists() or not kept else kept[-1],
        signal=trainer.signal,
        ended=ended,
        is_main=context.engine.is_main,
        alarm=decision.alarm if decision else None,
        best=decision.best if decision else None,
        images=images,
        past=images is not None and nimg >= images + context.config.batch,
    )
