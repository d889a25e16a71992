"""What processes tell each other on the way: one number of each, which travels with the sums of every step.

On a CPU a step's numbers are there when it ends. A GPU still computes then, so that the numbers of the step before are
read: no step waits for its own, and every process reads the same ones after the same step.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor

from facegan.collectives import LostProcessError
from facegan.training.engine import Engine

GO_ON, TIME_IS_UP = 0, 1000
"""What is said besides the number of a signal."""
_LOOK = 5e-4
"""Seconds between two looks at a GPU."""


class Messages:
    """The last numbers of all processes that are known in every process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.mine = GO_ON
        """What this process says: a signal's number, ``TIME_IS_UP`` or ``GO_ON``."""
        self._said: list[int] = []
        self._coming: list[tuple[Tensor, torch.cuda.Event]] = []

    def to_send(self) -> Tensor | None:
        """Return float32 [P] with this process's number in its place; None where it is alone."""
        engine = self._engine
        if engine.world_size == 1:
            return None
        number_P = torch.zeros(engine.world_size)
        number_P[engine.rank] = self.mine
        return number_P.pin_memory().to(engine.device, non_blocking=True) if engine.device.type == "cuda" else number_P

    def receive(self, number_P: Tensor) -> None:
        """Take note of a step's sum."""
        if number_P.device.type != "cuda":
            self._said = [round(value) for value in number_P.tolist()]
            return
        copy = torch.empty(number_P.shape, pin_memory=True).copy_(number_P, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        self._coming.append((copy, event))
        if len(self._coming) > 1:
            copy, event = self._coming.pop(0)
            self._wait_for(event)
            self._said = [round(value) for value in copy.tolist()]

    def _wait_for(self, event: torch.cuda.Event) -> None:
        started = time.monotonic()
        while not event.query():
            if time.monotonic() - started > self._engine.timeout:
                raise LostProcessError("it did not answer in time")
            time.sleep(_LOOK)

    def heard(self) -> int:
        """Return what any process says, the same in all of them: a signal first, then that time is up."""
        said = self._said if self._engine.world_size > 1 else [self.mine]
        signals = [number for number in said if 0 < number < TIME_IS_UP]
        return max(signals, default=max(said, default=GO_ON))
