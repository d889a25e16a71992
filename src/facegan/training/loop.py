"""The training loop: next batch -> discriminator step -> generator step -> average -> whatever is due."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from facegan.config import RecipeConfig, RunConfig
from facegan.data.packed import DataView
from facegan.errors import UserError
from facegan.runs.folder import RunFolder
from facegan.training.duties import Duties, Verdict, slower
from facegan.training.ema import ema_decay, update_ema
from facegan.training.engine import Engine
from facegan.training.log import Watcher
from facegan.training.prefetch import batch_source
from facegan.training.schedule import Schedule, lr_factor, value_at
from facegan.training.state import TrainingState
from facegan.training.steps import StepInput, play_step


@dataclass(frozen=True)
class Ending:
    """How a loop ended."""

    state: TrainingState
    signal: int | None
    """The signal that ended it early, or None."""
    verdict: Verdict | None
    """The alarm that ended it early, or None."""


class StopRequest:
    """Remembers the first SIGINT or SIGTERM, so that the step in progress can be finished."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def _remember(self, number: int, _frame: object) -> None:
        self.signal = number
        signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen inside the block (signals reach the main thread only)."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        wanted = [signal.SIGINT, signal.SIGTERM]
        # A terminal that closes; under nohup it is ignored, and stays so.
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            wanted.append(signal.SIGHUP)
        before = {number: signal.signal(number, self._remember) for number in wanted}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def train_loop(
    state: TrainingState,
    config: RunConfig,
    view: DataView,
    schedule: Schedule,
    engine: Engine,
    folder: RunFolder,
    watcher: Watcher,
    reload: Callable[[int], TrainingState],
    labels_MA: np.ndarray | None = None,
) -> Ending:
    """Train until the schedule's end, a signal or an alarm that stops, and leave a snapshot.

    ``reload`` returns the state of the run's snapshot at a number of images; ``labels_MA``: attributes to learn with
    in place of the view's own.

    Raises:
        SnapshotWriteError: the last snapshot could not be written.
    """
    recipe, batch = config.recipe, config.batch
    share = slice(engine.rank * batch // engine.world_size, (engine.rank + 1) * batch // engine.world_size)
    source = batch_source(view, config, engine, state.discriminator.dtype, labels_MA)
    stop = StopRequest()
    duties = Duties(state, config, view, schedule, engine, folder, watcher, labels_MA)
    with stop.listening(), source:
        verdict = duties.begin(state)
        while True:
            if verdict is not None:
                if verdict.rewind_to is None:
                    if verdict.alarm.is_collapse:
                        duties.finish(state)
                    break
                state, verdict = _go_back(state, verdict, duties, reload), None
            if _is_over(state.nimg, schedule, duties.clock.seconds, stop, engine):
                verdict = duties.finish(state)
                if verdict is None or verdict.rewind_to is None or stop.signal is not None:
                    break
                continue
            index_N = np.arange(state.nimg, state.nimg + batch)[share]
            lr = lr_factor(recipe, state.nimg, warmup=config.warmup, start_nimg=config.start_nimg)
            step = StepInput(
                recipe=recipe,
                seed=config.seed,
                index_N=index_N,
                rate=lr * float(state.learnt.get("rate", 1.0)),
                attributes_NA=source.attributes(index_N),
                penalties=state.nimg // batch % recipe.penalty_every == 0,
                penalty_weight=value_at(recipe.penalty_schedule, state.nimg),
                augment_p=_augment_p(state, recipe),
                noise_std=value_at(recipe.instance_noise, state.nimg, 0.0),
                generator_learns=state.nimg >= config.start_nimg + recipe.generator_start,
                draws=source.draws(index_N),
            )
            real_NCHW = source.images(index_N)
            metrics = play_step(state.generator, state.discriminator, real_NCHW, step)
            state.nimg += batch
            mean_sign = metrics.pop("D_sign")
            if state.adaptive is not None:
                state.adaptive.after_step(mean_sign, batch, engine.mean)
            for halflife, average in state.averages(recipe.ema_halflife):
                update_ema(average, state.generator.network, ema_decay(state.nimg, batch, halflife))
            verdict = duties.after_step(state, metrics)
        duties.close()
    engine.barrier()
    return Ending(state, stop.signal, verdict)


def _augment_p(state: TrainingState, recipe: RecipeConfig) -> float:
    if state.adaptive is not None:
        return state.adaptive.p
    return value_at(recipe.augment_schedule, state.nimg) if recipe.augment == "scheduled" else 0.0


def _go_back(
    state: TrainingState, verdict: Verdict, duties: Duties, reload: Callable[[int], TrainingState]
) -> TrainingState:
    """Return the state of the snapshot that the verdict names, with half the learning rate."""
    assert verdict.rewind_to is not None
    duties.rewind(verdict)
    try:
        earlier = reload(verdict.rewind_to)
    except UserError as error:
        raise UserError(f"{verdict.alarm.message}, and the run cannot go back: {error}") from None
    earlier.learnt = slower(state.learnt, earlier.learnt)
    duties.restart(earlier)
    return earlier


def _is_over(nimg: int, schedule: Schedule, seconds: float, stop: StopRequest, engine: Engine) -> bool:
    """Return whether to stop now. Processes agree: one that went on alone would wait for the others for ever."""
    late = schedule.minutes is not None and seconds >= schedule.minutes * 60
    mine = stop.signal is not None or late or (schedule.images is not None and nimg >= schedule.images)
    if engine.world_size == 1:
        return mine
    return bool(engine.sum(torch.tensor(float(mine), device=engine.device)).item() > 0)
