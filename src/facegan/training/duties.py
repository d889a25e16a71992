"""What a training does beside learning: log, grids, snapshots, their quick score, and a look at its health."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from facegan import pixels
from facegan.config import RunConfig
from facegan.data.packed import DataView
from facegan.runs import incidents
from facegan.runs.folder import RunFolder, nimg_of
from facegan.runs.retention import ScoreKind, best_of, score_state, scores, without_score
from facegan.runs.snapshot import LABEL_PRIOR, SnapshotWriteError, first_not_finite
from facegan.sampling.label_prior import LabelPrior
from facegan.sampling.latents import draw_latents
from facegan.training.ema import calibrate
from facegan.training.engine import Engine
from facegan.training.faces import make_faces, run_prior
from facegan.training.log import Clock, MetricWindow, RunLog, Watcher
from facegan.training.overfitting import ranking_faces, training_rank
from facegan.training.quick_score import quick_score, reference_of
from facegan.training.saving import Saver
from facegan.training.schedule import Schedule, grid_name, is_due
from facegan.training.state import TrainingState, state_tensors
from facegan.training.thumbnails import data_distance, variety
from facegan.training.watchdog import MOST_ROLLBACKS, RATE_FACTOR, Alarm, alarms

GRID_COUNT = 64
CALIBRATION_COUNT = 256


@dataclass(frozen=True)
class Verdict:
    """What is to be done about an alarm."""

    alarm: Alarm
    rewind_to: int | None
    """Images of the snapshot to go back to, or None: stop."""
    best: str | None
    """Path of the best snapshot, by the quick score."""


def sample_grid(generator: nn.Module, config: RunConfig, prior: LabelPrior | None = None) -> np.ndarray:
    """Return the uint8 faces [64, R, R, 3] of the run's fixed latents and labels."""
    was_training = generator.training
    faces_NHWC = make_faces(generator.eval(), config, prior, "grid", np.arange(GRID_COUNT))
    generator.train(was_training)
    return faces_NHWC


class Duties:
    """Does what is due after each step, in one process the writing of it. All processes must call the same methods."""

    def __init__(
        self,
        state: TrainingState,
        config: RunConfig,
        view: DataView,
        schedule: Schedule,
        engine: Engine,
        folder: RunFolder,
        watcher: Watcher,
        labels_MA: np.ndarray | None = None,
    ) -> None:
        self.config, self.view, self.schedule = config, view, schedule
        self.engine, self.folder, self.watcher = engine, folder, watcher
        self._distance = data_distance(view) if engine.is_main else None
        self._reference = None
        if engine.is_main and schedule.score_count:
            self._reference = reference_of(
                folder.quick_reference, view, lambda count: watcher.event("reference", faces=count)
            )
        self.clock = Clock()
        self.window = MetricWindow(state.learnt.get("window"), is_main=engine.is_main)
        self._log = RunLog(folder, state.nimg) if engine.is_main else None
        self._prior = run_prior(folder.label_prior, view, config, labels_MA) if engine.is_main else None
        beside = {} if self._prior is None else {LABEL_PRIOR: self._prior.to_tensors()}
        self._saver = Saver(folder, watcher, newest=schedule.keep, every=schedule.keep_every, beside=beside)
        self._ranking = ranking_faces(view, view.datasets) if engine.is_main else None
        self._calibrated = -1
        self._logged = self._drawn = self._saved = state.nimg

    def begin(self, state: TrainingState) -> Verdict | None:
        """Leave the grid and the snapshot of a run's first moment."""
        if not self._agreed(not self.folder.list_snapshots()):
            return None
        self._grid(state)
        verdict = self._judge(state)
        self._snapshot(state)
        self._saver.wait()  # from here on there is something to go back to
        if self._saver.failed is not None:
            raise self._saver.failed
        self.clock = Clock()  # what was done so far was no step's
        return verdict

    def after_step(self, state: TrainingState, metrics: dict[str, torch.Tensor]) -> Verdict | None:
        """Count a step and do what is due; return what is to be done about an alarm, if there is one."""
        batch, schedule = self.config.batch, self.schedule
        self.window.add(metrics)
        rate = self.clock.step(batch)
        left = schedule.seconds_left(state.nimg, rate, self.clock.seconds)
        self.watcher.progress(state.nimg, schedule.images, rate, left)
        self._saver.poll()
        logging, drawing, saving = (
            is_due(state.nimg, batch, every)
            for every in (schedule.log_every, schedule.sample_every, schedule.snapshot_every)
        )
        verdict = None
        if logging:
            self._write_losses(state)
            verdict = self._judge(state)
        if drawing and verdict is None:
            self._grid(state)
            verdict = self._judge(state)
        again = logging and self._agreed(self._saver.failed is not None)
        if (saving or again) and verdict is None:
            self._snapshot(state)
            verdict = self._judge(state)
        return verdict

    def finish(self, state: TrainingState) -> Verdict | None:
        """Leave a line, a grid and a snapshot of the last step, whatever ended the loop."""
        verdict = None
        if self._logged != state.nimg:
            self._write_losses(state, unfinished=True)
            verdict = self._judge(state)
        if self._drawn != state.nimg and verdict is None:
            self._grid(state, unfinished=True)
        if self._saved != state.nimg and verdict is None:
            self._snapshot(state, unfinished=True)
            verdict = self._judge(state)
        return verdict

    def _agreed(self, mine: bool) -> bool:
        """Return the main process's answer in every process."""
        return mine if self.engine.world_size == 1 else bool(self.engine.fabric.broadcast(mine))

    def close(self) -> None:
        """Wait for the last write and close the log; whatever could not be written is said.

        Raises:
            SnapshotWriteError: the last snapshot could not be written.
        """
        self._saver.wait()
        if self._log is not None:
            self._log.close()
        if (failed := self._saver.failed) is not None:
            newest = self.folder.list_snapshots()[-1:]
            kept = f"; the newest one is {newest[0]}, and the same command goes on from there" if newest else ""
            raise SnapshotWriteError(f"{failed}{kept}")

    def rewind(self, verdict: Verdict) -> None:
        """Take the run's files back to the snapshot that the verdict names."""
        assert verdict.rewind_to is not None
        self._saver.wait()
        if self._log is not None:
            self.folder.set_aside(verdict.rewind_to)
            self._log.cut_back(verdict.rewind_to)
        self.engine.barrier()

    def restart(self, state: TrainingState) -> None:
        """Go on from a state that was loaded again."""
        self.window = MetricWindow(state.learnt.get("window"), is_main=self.engine.is_main)
        self._logged = self._drawn = self._saved = state.nimg
        self._calibrated = -1

    def _write_losses(self, state: TrainingState, *, unfinished: bool = False) -> None:
        means = self.window.means(self.engine.world_size, self.engine.sum)
        if state.adaptive is not None:
            means["augment_p"] = state.adaptive.p
        values = {**means, "images_per_s": self.clock.window_rate()}
        if not unfinished:
            self.window.restart()
        if self._log is not None:
            self._log.line(state.nimg, values, unfinished=unfinished)
            self.watcher.event("log", nimg=state.nimg, seconds=round(self.clock.seconds, 1), **values)
        self._logged = state.nimg

    def _grid(self, state: TrainingState, *, unfinished: bool = False) -> None:
        self._calibrate(state)
        self._drawn = state.nimg
        if self._log is None or self._distance is None:
            return
        faces_NHWC = sample_grid(state.sampler, self.config, self._prior)
        statistics = variety(faces_NHWC, self._distance)
        if state.nimg == 0:
            statistics["data_distance"] = self._distance
        self._log.line(state.nimg, statistics, unfinished=unfinished)
        picture = pixels.grid(faces_NHWC)
        path = self.folder.samples / grid_name(state.nimg, self.config.batch, len(self.view))
        try:
            pixels.save_png(path, picture)
        except OSError as error:
            reason = error.strerror or error
            self.watcher.event("warning", nimg=state.nimg, message=f"the grid {path} cannot be written ({reason})")
            return
        self._log.picture(state.nimg, picture)
        self.watcher.event("grid", nimg=state.nimg, path=str(path), **statistics)

    def _snapshot(self, state: TrainingState, *, unfinished: bool = False) -> None:
        self._calibrate(state)
        learnt = {**without_score(state.learnt), "window": self.window.to_dict(self.engine.sum)}
        if state.adaptive is not None:
            learnt["ada"] = state.adaptive.to_dict(self.engine.mean)
        self._saved = state.nimg
        if self._log is None:
            return
        broken = [
            f"{stem}.{name}"
            for stem, named in state_tensors(state).items()
            if (name := first_not_finite(named)) is not None
        ]
        if broken:  # never written; the watchdog sees the line
            self._log.line(state.nimg, {broken[0]: float("nan")}, unfinished=unfinished)
            return
        values: dict[str, float] = {}
        if self._ranking is not None:
            values["D_training_rank"] = training_rank(state.discriminator.network, *self._ranking)
        if self._reference is not None:
            count = self.schedule.score_count
            score = quick_score(state.sampler, self.config, self._reference, count, self._prior)
            learnt |= score_state(score, ScoreKind(count, self._reference.network))
            values |= {"quick_score": score, "quick_score_faces": count}
        if values:
            self._log.line(state.nimg, values, unfinished=unfinished)
        if not self._log.flush():
            self._saver.failed = SnapshotWriteError(f"{self.folder.log} cannot be written; make room there")
            self.watcher.event("warning", nimg=state.nimg, message=f"{self._saver.failed}; training goes on meanwhile")
            return
        self._saver.save(state, self.config, learnt)

    def _calibrate(self, state: TrainingState) -> None:
        """Make the averaged generators, if there are any, ready to sample from: a function of its weights alone."""
        averages = state.averages(self.config.recipe.ema_halflife)
        if averages and self._calibrated != state.nimg:
            recipe, number_N = self.config.recipe, np.arange(CALIBRATION_COUNT)
            latent_NZ = draw_latents(self.config.seed, "calibration", number_N, recipe.latent_size, recipe.latent)
            for _, average in averages:
                calibrate(average, torch.from_numpy(latent_NZ).to(self.engine.device).split(64))
        self._calibrated = state.nimg

    def _judge(self, state: TrainingState) -> Verdict | None:
        """Record the alarms of the newest line, and return what is to be done; every process gets the same answer."""
        verdict = self._decide(state) if self._log is not None else None
        if self.engine.world_size == 1:
            return verdict
        return self.engine.fabric.broadcast(verdict)

    def _decide(self, state: TrainingState) -> Verdict | None:
        assert self._log is not None
        rollbacks = int(state.learnt.get("rollbacks", 0))
        for alarm in alarms(self._log.history):
            action = self._action(alarm, rollbacks)
            incident = {
                "kind": alarm.kind, "nimg": alarm.nimg, "message": alarm.message, "evidence": alarm.evidence,
                "action": action, "rollbacks": rollbacks,
            }  # fmt: skip
            incidents.record(self.folder, incident, sample_grid(state.sampler, self.config, self._prior))
            verdict = self._verdict(alarm, action)
            self.watcher.event(
                "alarm",
                nimg=alarm.nimg,
                alarm=alarm.kind,
                message=alarm.message,
                action=f"stop, after {rollbacks} rewinds" if action == "stop" and rollbacks else action,
                rewind_to=verdict.rewind_to if verdict else None,
            )
            if verdict is not None:
                return verdict
        return None

    def _action(self, alarm: Alarm, rollbacks: int) -> str:
        wanted = self.schedule.on_collapse if alarm.is_collapse else "rewind"
        if wanted == "rewind" and (rollbacks >= MOST_ROLLBACKS or alarm.kind == "data"):
            return "stop"
        return wanted

    def _verdict(self, alarm: Alarm, action: str) -> Verdict | None:
        if action == "warn":
            return None
        self._saver.wait()
        known, existing = scores(self.folder), [nimg_of(path) for path in self.folder.list_snapshots()]
        best = best_of(existing, known)
        path = None if best is None else str(self.folder.snapshot(best))
        if action == "stop" or not existing:
            return Verdict(alarm, None, path)
        if not alarm.is_collapse:
            return Verdict(alarm, existing[-1], path)
        before = [nimg for nimg in existing if nimg <= alarm.since] or existing[:1]
        return Verdict(alarm, best_of(before, known), path)


def slower(learnt: dict[str, Any], earlier: dict[str, Any]) -> dict[str, Any]:
    """Return what a run that went back has learnt: the ``earlier`` snapshot's state, and half the learning rate."""
    return {
        **earlier,
        "rollbacks": int(learnt.get("rollbacks", 0)) + 1,
        "rate": float(learnt.get("rate", 1.0)) * RATE_FACTOR,
    }
