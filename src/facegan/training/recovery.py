"""What is done about an alarm: to warn, to go back to a snapshot at half the learning rate, or to stop."""

from __future__ import annotations

from dataclasses import dataclass

from facegan.errors import UserError
from facegan.runs import incidents
from facegan.runs.folder import nimg_of
from facegan.runs.retention import best_of, scores
from facegan.sampling.label_prior import LabelPrior
from facegan.training.checkpointing import load_state
from facegan.training.context import Context
from facegan.training.faces import grid_faces, grid_provenance
from facegan.training.log import RunLog
from facegan.training.shared_state import share_state
from facegan.training.snapshot_writer import SnapshotWriter
from facegan.training.state import TrainingState
from facegan.training.watchdog import MOST_REWINDS, REWIND_LR_FACTOR, Alarm, alarms


@dataclass(frozen=True)
class Decision:
    """What is decided about an alarm: to stop, or to go back."""

    alarm: Alarm
    rewind_to: int | None
    """Images of the snapshot to go back to, or None: stop."""
    best: str | None
    """Path of the best snapshot, by the quick score."""


class Recovery:
    """Records alarms, decides about them, and takes a run back. Every process gets the same answers."""

    def __init__(self, context: Context, log: RunLog | None, writer: SnapshotWriter, prior: LabelPrior | None) -> None:
        """``log``: None in processes that do not write; ``prior``: what the attributes of faces are drawn from."""
        self._context, self._log, self._writer, self._prior = context, log, writer, prior
        self._judged = 0 if log is None else len(log.history)
        """Lines of the log that have been judged."""

    def judge(self, state: TrainingState) -> Decision | None:
        """Record the alarms of the log's newest line; return what is decided, or None to go on."""

        def decided() -> Decision | None:
            if self._log is None or len(self._log.history) == self._judged:
                return None
            self._judged = len(self._log.history)
            return self._decide(state)

        return self._context.engine.on_main(decided)

    def rewind(self, state: TrainingState, decision: Decision) -> TrainingState:
        """Take the run's files back to the snapshot that was decided on; return its state, at half the learning rate.

        Raises:
            UserError: the snapshot cannot be read.
        """
        nimg = decision.rewind_to
        assert nimg is not None
        context = self._context
        self._writer.wait()
        after = {"rollbacks": state.rewinds + 1, "rate": state.lr_scale * REWIND_LR_FACTOR}
        loaded: list[TrainingState] = []

        def go_back() -> None:
            assert self._log is not None
            try:
                loaded.append(load_state(context.folder.snapshot(nimg), context.config, context.plan, context.engine))
            except UserError as error:
                raise UserError(f"{decision.alarm.message}, and the run cannot go back: {error}") from None
            context.folder.update({"rewound": {"nimg": nimg, **after}})  # until the next snapshot has it
            context.folder.set_aside(nimg)
            self._log.cut_back(nimg)
            self._judged = len(self._log.history)

        context.engine.on_main(go_back)
        earlier = share_state(loaded[0] if loaded else None, context.config, context.plan, context.engine)
        earlier.extra |= after
        return earlier

    def _decide(self, state: TrainingState) -> Decision | None:
        assert self._log is not None
        context, rewinds = self._context, state.rewinds
        for alarm in alarms(self._log.history):
            action = self._action(alarm, rewinds)
            incident = {
                "kind": alarm.kind, "nimg": alarm.nimg, "message": alarm.message, "evidence": alarm.evidence,
                "action": action, "rollbacks": rewinds,
            }  # fmt: skip
            faces_NHWC = grid_faces(state.sampling_generator, context.config, self._prior)
            incidents.record(context.folder, incident, faces_NHWC, grid_provenance(context.config, state.nimg))
            decision = self._decision(alarm, action)
            context.listener.event(
                "alarm",
                nimg=alarm.nimg,
                alarm=alarm.kind,
                message=alarm.message,
                action=f"stop, after {rewinds} rewinds" if action == "stop" and rewinds else action,
                rewind_to=decision.rewind_to if decision else None,
            )
            if decision is not None:
                return decision
        return None

    def _action(self, alarm: Alarm, rewinds: int) -> str:
        wanted = self._context.schedule.on_collapse if alarm.is_collapse else "rewind"
        if wanted == "rewind" and (rewinds >= MOST_REWINDS or alarm.kind == "data"):
            return "stop"
        return wanted

    def _decision(self, alarm: Alarm, action: str) -> Decision | None:
        if action == "warn":
            return None
        self._writer.wait()
        folder = self._context.folder
        known, existing = scores(folder), [nimg_of(path) for path in folder.list_snapshots()]
        best = best_of(existing, known)
        path = None if best is None else str(folder.snapshot(best))
        if action == "stop" or not existing:
            return Decision(alarm, None, path)
        if not alarm.is_collapse:
            return Decision(alarm, existing[-1], path)
        before = [nimg for nimg in existing if nimg <= alarm.since] or existing[:1]
        return Decision(alarm, best_of(before, known), path)
