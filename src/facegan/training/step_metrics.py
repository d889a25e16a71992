"""What is counted between two lines of the log: sums of the steps' metrics, and images a second."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class MetricWindow:
    """Sums of the steps since the last line of the log, kept on the device until they are asked for."""

    def __init__(self, saved: Mapping[str, Any] | None = None, *, is_main: bool = True, processes: int = 1) -> None:
        """Begin anew, or where ``to_dict`` left off, in so many processes.

        The main process then has the sums of all; of another number of processes, each has their mean.
        """
        saved = saved or {"sums": {}}
        before = int(saved.get("processes", processes))  # unknown of snapshots of version 0.1.0
        self._processes = processes
        self._sums = {
            name: torch.tensor((value if is_main else 0.0) if before == processes else value / before)
            for name, value in saved["sums"].items()
        }
        # How many steps had each value: where D learns alone, G's are missing. Version 0.1.0 stored one number for all.
        self._counts = dict(saved.get("counts") or dict.fromkeys(self._sums, int(saved.get("steps", 0))))

    def add(self, metrics: Mapping[str, Tensor]) -> None:
        """Add one step."""
        for name, value in metrics.items():
            value = value.float()
            self._sums[name] = self._sums[name].to(value.device) + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def _summed(self, all_reduce_sum: Any) -> dict[str, float]:
        names = sorted(self._sums)
        if not names:
            return {}
        return dict(zip(names, all_reduce_sum(torch.stack([self._sums[name] for name in names])).tolist(), strict=True))

    def means(self, all_reduce_sum: Any) -> dict[str, float]:
        """Return the means over steps and processes. ``all_reduce_sum`` sums a tensor over processes."""
        return {
            name: value / (self._counts[name] * self._processes) for name, value in self._summed(all_reduce_sum).items()
        }

    def restart(self) -> None:
        """Forget the steps so far."""
        self._sums, self._counts = {}, {}

    def to_dict(self, all_reduce_sum: Any) -> dict[str, Any]:
        """Return the sums over processes, for a snapshot: a resumed run's next line has them in."""
        return {"sums": self._summed(all_reduce_sum), "counts": dict(self._counts), "processes": self._processes}


class Throughput:
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
