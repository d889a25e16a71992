"""What a training shows of itself when it is due: the log's lines, grids of samples, snapshots with a quick score."""

from __future__ import annotations

import torch

from facegan import pixels
from facegan.errors import reason
from facegan.runs.retention import score_state, without_score
from facegan.runs.snapshot import SnapshotWriteError, first_not_finite
from facegan.sampling.label_prior import LabelPrior
from facegan.training.checkpointing import state_tensors
from facegan.training.context import Context
from facegan.training.ema import calibrate_for
from facegan.training.face_statistics import data_distance, ranking_faces, training_rank, variety
from facegan.training.faces import grid_faces, grid_provenance
from facegan.training.log import RunLog
from facegan.training.quick_score import quick_score, reference_of
from facegan.training.recovery import Decision, Recovery
from facegan.training.schedule import grid_name, is_due
from facegan.training.snapshot_writer import SnapshotWriter
from facegan.training.state import TrainingState
from facegan.training.step_metrics import MetricWindow, Throughput


class Monitor:
    """Logs, draws, saves and scores when it is due. All processes must call the same methods; the main one writes."""

    def __init__(
        self,
        context: Context,
        state: TrainingState,
        recovery: Recovery,
        log: RunLog | None,
        writer: SnapshotWriter,
        prior: LabelPrior | None,
    ) -> None:
        """``log``: None in processes that do not write; ``prior``: what the attributes of faces are drawn from."""
        self._config, self._view, self._schedule = context.config, context.view, context.schedule
        self._engine, self._folder, self._listener = context.engine, context.folder, context.listener
        self._recovery, self._log, self._writer, self._prior = recovery, log, writer, prior
        is_main = context.engine.is_main
        self._distance = data_distance(context.view) if is_main else None
        self._reference = None
        if is_main and context.schedule.score_count:
            self._reference = reference_of(
                context.folder.quick_reference,
                context.view,
                lambda count: context.listener.event("reference", faces=count),
            )
        self._ranking = ranking_faces(context.view) if is_main else None
        self.throughput = Throughput()
        self.restart(state)

    def begin(self, state: TrainingState) -> Decision | None:
        """Leave the grid and the snapshot of a run's first moment."""
        if self._engine.broadcast_object(bool(self._folder.list_snapshots())):
            return None
        with self._engine.main_works():
            self._grid(state)
        decision = self._recovery.judge(state)
        with self._engine.main_works():
            self._snapshot(state)
            self._writer.wait()  # from here on there is something to go back to
        if self._writer.failed is not None:
            raise self._writer.failed
        self.throughput = Throughput()  # what was done so far was no step's
        return decision

    def after_step(self, state: TrainingState, metrics: dict[str, torch.Tensor]) -> Decision | None:
        """Count a step and do what is due; return what is to be done about an alarm, if there is one."""
        batch, schedule = self._config.batch, self._schedule
        self._window.add(metrics)
        rate = self.throughput.step(batch)
        left = schedule.seconds_left(state.nimg, rate, self.throughput.seconds)
        self._listener.progress(state.nimg, schedule.images, rate, left)
        self._writer.poll()
        log, draw, save = (
            is_due(state.nimg, batch, every)
            for every in (schedule.log_every, schedule.sample_every, schedule.snapshot_every)
        )
        again = log and self._engine.broadcast_object(self._writer.failed is not None)
        return self._leave(state, log=log, draw=draw, save=save or again)

    def finish(self, state: TrainingState) -> Decision | None:
        """Leave a line, a grid and a snapshot of the last step, whatever ended the loop."""
        log, draw, save = (done != state.nimg for done in (self._logged, self._drawn, self._saved))
        return self._leave(state, log=log, draw=draw, save=save, unfinished=True)

    def _leave(
        self, state: TrainingState, *, log: bool, draw: bool, save: bool, unfinished: bool = False
    ) -> Decision | None:
        """Leave what is wanted of a line, a grid and a snapshot, up to the first that leads to a decision."""
        for wanted, leave in ((log, self._write_losses), (draw, self._grid), (save, self._snapshot)):
            if wanted:
                with self._engine.main_works():
                    leave(state, unfinished=unfinished)
                if (decision := self._recovery.judge(state)) is not None:
                    return decision
        return None

    def close(self) -> None:
        """Wait for the last write and close the log; whatever could not be written is said.

        Raises:
            SnapshotWriteError: the last snapshot could not be written.
        """
        with self._engine.main_works():
            self._writer.wait()
        if self._log is not None:
            self._log.close()
        if (failed := self._writer.failed) is not None:
            newest = self._folder.list_snapshots()[-1:]
            kept = f"; the newest one is {newest[0]}, and the same command goes on from there" if newest else ""
            raise SnapshotWriteError(f"{failed}{kept}")

    def restart(self, state: TrainingState) -> None:
        """Go on from a state that was loaded again."""
        self._window = MetricWindow(
            state.extra.get("window"), is_main=self._engine.is_main, processes=self._engine.world_size
        )
        self._logged = self._drawn = self._saved = state.nimg
        self._calibrated = -1

    def _write_losses(self, state: TrainingState, *, unfinished: bool = False) -> None:
        means = self._window.means(self._engine.all_reduce_sum)
        if state.adaptive is not None:
            means["augment_p"] = state.adaptive.p
        values = {**means, "images_per_s": self.throughput.window_rate()}
        if self._log is not None and (self._engine.world_size > 1 or "processes" in (self._log.last_losses() or {})):
            values["processes"] = self._engine.world_size
        if not unfinished:
            self._window.restart()
        if self._log is not None:
            self._log.line(state.nimg, values, unfinished=unfinished)
            self._listener.event("log", nimg=state.nimg, seconds=round(self.throughput.seconds, 1), **values)
        self._logged = state.nimg

    def _grid(self, state: TrainingState, *, unfinished: bool = False) -> None:
        self._calibrate(state)
        self._drawn = state.nimg
        if self._log is None or self._distance is None:
            return
        faces_NHWC = grid_faces(state.sampling_generator, self._config, self._prior)
        statistics = variety(faces_NHWC, self._distance)
        if state.nimg == 0:
            statistics["data_distance"] = self._distance
        self._log.line(state.nimg, statistics, unfinished=unfinished)
        picture = pixels.grid(faces_NHWC)
        path = self._folder.samples / grid_name(state.nimg, self._config.batch, len(self._view))
        try:
            pixels.save_png(path, picture, grid_provenance(self._config, state.nimg))
        except OSError as error:
            message = f"the grid {path} cannot be written ({reason(error)})"
            self._listener.event("warning", nimg=state.nimg, message=message)
            return
        self._log.picture(state.nimg, path, picture.shape)
        self._listener.event("grid", nimg=state.nimg, path=str(path), **statistics)

    def _snapshot(self, state: TrainingState, *, unfinished: bool = False) -> None:
        self._calibrate(state)
        extra = {**without_score(state.extra), "window": self._window.to_dict(self._engine.all_reduce_sum)}
        if state.adaptive is not None:
            extra["ada"] = state.adaptive.to_dict()
        if scales := state.loss_scales:
            extra["loss_scale"] = scales
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
            count = self._schedule.score_count
            score = quick_score(state.sampling_generator, self._config, self._reference, count, self._prior)
            extra |= score_state(score, count, self._reference.network)
            values |= {"quick_score": score, "quick_score_faces": count}
        if values:
            self._log.line(state.nimg, values, unfinished=unfinished)
        if not self._log.flush():
            self._writer.failed = SnapshotWriteError(f"{self._folder.log} cannot be written; make room there")
            self._listener.event(
                "warning", nimg=state.nimg, message=f"{self._writer.failed}; training goes on meanwhile"
            )
            return
        self._writer.save(state, self._config, extra)

    def _calibrate(self, state: TrainingState) -> None:
        """Give the averaged generators, if there are any, the statistics of their own activations."""
        if self._calibrated != state.nimg:
            for _, average in state.averages(self._config.recipe.ema_halflife):
                calibrate_for(average, self._config)
        self._calibrated = state.nimg
