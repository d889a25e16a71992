"""What all parts of a training share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facegan.config import RunConfig
from facegan.data.packed import DataView
from facegan.runs.folder import RunFolder
from facegan.training.engine import Engine
from facegan.training.execution_plan import ExecutionPlan
from facegan.training.listener import Listener
from facegan.training.schedule import Schedule


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
