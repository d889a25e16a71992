"""What a run says about itself: ``log.jsonl``, TensorBoard events, and whoever watches."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from facegan.run import RunFolder


class Watcher(Protocol):
    """Someone who follows a training: the command line, a notebook, or nobody."""

    def event(self, kind: str, **fields: Any) -> None:
        """Take note of something that happened: "start", "log", "grid", "snapshot", "stop"."""

    def progress(self, nimg: int, target: int | None, rate: float, seconds_left: float | None = None) -> None:
        """Take note of one more step; ``rate`` in images/s, ``target`` in images."""


class Nobody:
    """A watcher that looks away."""

    def event(self, kind: str, **fields: Any) -> None: ...

    def progress(self, nimg: int, target: int | None, rate: float, seconds_left: float | None = None) -> None: ...


class MetricWindow:
    """Means of the steps since the last line of the log, kept on the device until they are asked for."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._steps = 0

    def add(self, metrics: Mapping[str, Tensor]) -> None:
        """Add one step."""
        for name, value in metrics.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._steps += 1

    def means(self, world_size: int, total: Any) -> dict[str, float]:
        """Return the means over steps and processes, and begin anew. ``total`` sums a tensor over processes."""
        names = list(self._sums)
        stacked = torch.stack([self._sums[name].float() for name in names])
        values = (total(stacked) / (self._steps * world_size)).tolist()
        self._sums, self._steps = {}, 0
        return dict(zip(names, values, strict=True))


class RunLog:
    """The one writer of ``log.jsonl`` and of the TensorBoard events of a run."""

    def __init__(self, folder: RunFolder, nimg: int) -> None:
        """Open the log of a run that stands at ``nimg``: lines from beyond (of a killed process) are cut away."""
        from torch.utils.tensorboard import SummaryWriter

        _cut_back(folder.log, nimg)
        self._file = folder.log.open("a", encoding="utf-8")
        self._events = SummaryWriter(str(folder.tensorboard), purge_step=nimg + 1, flush_secs=30)

    def scalars(self, nimg: int, values: Mapping[str, float]) -> None:
        """Write one line and one event for each value, at ``nimg`` images."""
        line = {"nimg": nimg, **{name: float(f"{value:.6g}") for name, value in values.items()}}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._events.add_scalar(name, value, nimg)

    def picture(self, nimg: int, image_HWC: np.ndarray) -> None:
        """Write a grid of samples as an event."""
        self._events.add_image("samples", image_HWC, nimg, dataformats="HWC")

    def close(self) -> None:
        """Flush and close both."""
        self._file.close()
        self._events.close()


def _cut_back(path: Path, nimg: int) -> None:
    """Drop the lines of a log that lie beyond ``nimg``, and a last line that was cut off."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            if json.loads(line)["nimg"] > nimg:
                break
        except (ValueError, KeyError, TypeError):
            break
        kept.append(line + "\n")
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text("".join(kept), encoding="utf-8")
    partial.replace(path)


class Clock:
    """Images per second, smoothed over about the last half minute, and seconds since the process began to train."""

    def __init__(self) -> None:
        self.started = self._last = self._window_began = time.perf_counter()
        self._seconds = self._images = 0.0
        self._window_images = 0

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started

    def step(self, batch: int) -> float:
        """Count one step and return the rate in images/s."""
        now = time.perf_counter()
        elapsed, self._last = now - self._last, now
        self._window_images += batch
        fade = 0.5 ** (elapsed / 15)
        self._seconds, self._images = self._seconds * fade + elapsed, self._images * fade + batch
        return self._images / self._seconds

    def window_rate(self) -> float:
        """Return the images/s of all steps since the last call, or since the start."""
        rate = self._window_images / max(1e-9, self._last - self._window_began)
        self._window_began, self._window_images = self._last, 0
        return rate
