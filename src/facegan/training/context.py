"""What all parts of a training share: its settings, where it computes, and who follows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from facegan.config import RunConfig
from facegan.data.packed import DataView
from facegan.runs.folder import RunFolder
from facegan.training.engine import Engine
from facegan.training.execution_plan import ExecutionPlan
from facegan.training.schedule import Schedule


class Listener(Protocol):
    """What is told about a training as it goes on."""

    def event(self, kind: str, **fields: Any) -> None:
        """Take note of something that happened: "measuring", "labels", "start", "reference", "log", "grid", "snapshot",
        "alarm", "warning", "stopping", "stop"."""

    def progress(self, nimg: int, target: int | None, rate: float, seconds_left: float | None = None) -> None:
        """Take note of one more step; ``rate`` in images/s, ``target`` in images."""


class NullListener:
    """A listener that does nothing."""

    def event(self, kind: str, **fields: Any) -> None: ...

    def progress(self, nimg: int, target: int | None, rate: float, seconds_left: float | None = None) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Context:
    """A run's settings, and where and how this process trains it."""

    config: RunConfig
    view: DataView
    schedule: Schedule
    plan: ExecutionPlan
    engine: Engine
    folder: RunFolder
    listener: Listener
    labels_MA: np.ndarray | None = None
    """Attributes to learn with in place of the view's own."""
