"""The training loop: next batch -> discriminator step -> generator step -> average -> whatever is due."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from facegan.runs.snapshot import LABEL_PRIOR
from facegan.training.context import Context
from facegan.training.ema import ema_decay, update_ema
from facegan.training.faces import run_prior
from facegan.training.log import RunLog
from facegan.training.messages import GO_ON, TIME_IS_UP, Messages
from facegan.training.monitor import Monitor
from facegan.training.prefetch import batch_source
from facegan.training.recovery import Decision, Recovery
from facegan.training.schedule import lr_factor, value_at
from facegan.training.snapshot_writer import SnapshotWriter
from facegan.training.state import TrainingState
from facegan.training.steps import Step, StepValues, train_step
from facegan.training.stop import StopRequest


class Trainer:
    """A run that is being trained, in one of its processes."""

    def __init__(self, context: Context, state: TrainingState) -> None:
        self.context, self.state = context, state
        config, engine, folder, schedule = context.config, context.engine, context.folder, context.schedule
        # Lines before the first snapshot are of a start that was killed; this one writes them again.
        log = RunLog(folder, state.nimg if folder.list_snapshots() else -1) if engine.is_main else None
        prior = run_prior(folder.label_prior, context.view, config, context.labels_MA) if engine.is_main else None
        constant = {} if prior is None else {LABEL_PRIOR: prior.to_tensors()}
        writer = SnapshotWriter(
            folder, context.listener, newest=schedule.keep, every=schedule.keep_every, constant_tensors=constant
        )
        self.recovery = Recovery(context, log, writer, prior)
        self.monitor = Monitor(context, state, self.recovery, log, writer, prior)
        self.source = batch_source(context.view, config, engine, state.discriminator.dtype, context.labels_MA)
        self.stop, self.messages = StopRequest(), Messages(engine)

    def fit(self) -> Decision | None:
        """Train until the schedule's end, a signal or an alarm that stops, and leave a snapshot.

        Return what was decided about the alarm that ended it, if one did.

        Raises:
            SnapshotWriteError: the last snapshot could not be written.
        """
        with self.stop.listening(), self.source:
            decision = self.monitor.begin(self.state)
            while True:
                if decision is not None and decision.rewind_to is not None:
                    self.state = self.recovery.rewind(self.state, decision)
                    self.monitor.restart(self.state)
                    decision = None
                if decision is not None:
                    if decision.alarm.is_collapse:
                        self.monitor.finish(self.state)
                    break
                if self._is_over():
                    if self.signal is not None:
                        self.context.listener.event("stopping", nimg=self.state.nimg, signal=self.signal)
                    decision = self.monitor.finish(self.state)
                    if decision is None or decision.rewind_to is None or self.signal is not None:
                        break
                    continue
                decision = self.monitor.after_step(self.state, self.step())
            self.monitor.close()
        self.context.engine.barrier()
        return decision

    def step(self) -> dict[str, Tensor]:
        """Take the next step of both networks and of the averages; return the log's tensors."""
        state, config = self.state, self.context.config
        batch = self.source.batch(self._next_images())
        step = Step(config.recipe, config.seed, batch, self._values(), self.messages.to_send())
        metrics = train_step(state.generator, state.discriminator, step)
        if step.message is not None:
            self.messages.receive(metrics.pop("messages"))
        state.nimg += config.batch
        mean_sign = metrics.pop("D_sign")
        if state.adaptive is not None:
            state.adaptive.after_step(mean_sign, config.batch)
        for halflife, average in state.averages(config.recipe.ema_halflife):
            update_ema(average, state.generator.network, ema_decay(state.nimg, config.batch, halflife))
        return metrics

    def _next_images(self) -> np.ndarray:
        """Return int64 [N]: the positions in the run of this process's share of the next batch."""
        batch, engine = self.context.config.batch, self.context.engine
        share = slice(engine.rank * batch // engine.world_size, (engine.rank + 1) * batch // engine.world_size)
        return np.arange(self.state.nimg, self.state.nimg + batch)[share]

    def _values(self) -> StepValues:
        """Return what the schedules say of the next step."""
        state, config, recipe = self.state, self.context.config, self.context.config.recipe
        lr = lr_factor(recipe, state.nimg, warmup=config.warmup, start_nimg=config.start_nimg)
        augment_p = value_at(recipe.augment_schedule, state.nimg) if recipe.augment == "scheduled" else 0.0
        return StepValues(
            lr_scale=lr * state.lr_scale,
            penalties=state.nimg // config.batch % recipe.penalty_every == 0,
            penalty_weight=value_at(recipe.penalty_schedule, state.nimg),
            augment_p=augment_p if state.adaptive is None else state.adaptive.p,
            noise_std=value_at(recipe.instance_noise, state.nimg, 0.0),
            generator_learns=state.nimg >= config.start_nimg + recipe.generator_start,
        )

    def _is_over(self) -> bool:
        """Return whether to stop now. Processes agree: one that went on alone would wait for the others for ever."""
        schedule, messages = self.context.schedule, self.messages
        late = schedule.minutes is not None and self.monitor.throughput.seconds >= schedule.minutes * 60
        if self.stop.signal is not None:
            messages.mine = self.stop.signal
        elif late and self.context.engine.is_main:  # one clock for all
            messages.mine = TIME_IS_UP
        whole = schedule.images is not None and self.state.nimg >= schedule.images
        return whole or messages.heard() != GO_ON

    @property
    def signal(self) -> int | None:
        """The signal that asked any process to stop, or None."""
        if self.context.engine.world_size == 1:
            return self.stop.signal
        heard = self.messages.heard()
        return heard if heard not in (GO_ON, TIME_IS_UP) else None
