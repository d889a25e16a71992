"""What log, watchdog, score and snapshots cost a training, at 64 px and batch 64: python benchmarks/run_costs.py

    python benchmarks/run_costs.py dcgan --steps 60

A real training with the default intervals scaled down: a line of the log every 20 steps as by default, one snapshot
in the middle. Each part is timed where the training waits for it; shares are of the time between two of its kind at
the default intervals (1,280 images for the log, 5,000 for a grid, 20,000 for a snapshot).
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facegan.data.writer import PackedWriter
from facegan.machine import describe_machine
from facegan.recipes import recipe
from facegan.training import monitor
from facegan.training.recovery import Recovery
from facegan.training.schedule import Schedule
from facegan.training.snapshot_writer import SnapshotWriter
from facegan.training.step_metrics import MetricWindow
from facegan.training.train import Start, train
from facegan.training.watchdog import alarms

BATCH = 64
spent: dict[str, list[float]] = defaultdict(list)


def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*arguments: Any, **options: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            spent[name].append(time.perf_counter() - started)

    return wrapped


class Events:
    """A listener that keeps the snapshots' events and the steps' moments."""

    def __init__(self) -> None:
        self.snapshots: list[dict[str, Any]] = []
        self.moments: list[float] = []

    def event(self, kind: str, **fields: Any) -> None:
        if kind == "snapshot":
            self.snapshots.append(fields)

    def progress(self, nimg: int, target: int | None, rate: float, seconds_left: float | None = None) -> None:
        self.moments.append(time.perf_counter())


def ranks(number: int) -> float:
    """Return the seconds that ``D_ranks`` and the window's sums take in a step."""
    real_N, fake_N, window = torch.randn(BATCH), torch.randn(BATCH), MetricWindow()
    started = time.perf_counter()
    for _ in range(number):
        value = (real_N[:, None] > fake_N).float().mean()
        window.add({f"metric {name}": value for name in range(8)})
    return (time.perf_counter() - started) / number


def one(name: str, steps: int) -> None:
    for method in ("_write_losses", "_grid", "_snapshot"):
        setattr(monitor.Monitor, method, timed(method, getattr(monitor.Monitor, method)))
    Recovery.judge = timed("judge", Recovery.judge)  # type: ignore[method-assign]
    monitor.quick_score = timed("quick score", monitor.quick_score)
    monitor.first_not_finite = timed("finite", monitor.first_not_finite)
    SnapshotWriter.save = timed("copy", SnapshotWriter.save)  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory(dir=".") as folder:
        images = np.random.default_rng(0).integers(0, 256, (512, 64, 64, 3), np.uint8)
        with PackedWriter(Path(folder) / "data", resolution=64, capacity=len(images)) as writer:
            writer.write(0, images)
            writer.finish(identities=np.ones(len(images), np.int32))
        events = Events()
        schedule = Schedule(
            images=steps * BATCH, log_every=20 * BATCH, sample_every=steps // 2 * BATCH,
            snapshot_every=steps // 2 * BATCH,
        )  # fmt: skip
        train(
            [Path(folder) / "data"],
            Path(folder) / "run",
            recipe(name),
            start=Start(batch=BATCH),
            schedule=schedule,
            listener=events,
        )
    step = statistics.median(np.diff(events.moments))
    line, judge = statistics.median(spent["_write_losses"]), statistics.median(spent["judge"])
    history = [{"nimg": 1280 * number, "D_loss": 0.7, "D_ranks": 0.9, "D_on_G": 0.3, "D_accuracy_fake": 0.8,
                "G_gradient_norm": 1.0} for number in range(1600)]  # fmt: skip
    started = time.perf_counter()
    alarms(history)
    long_judge = time.perf_counter() - started
    each = ranks(200)
    print(f"{name} at 64 px, batch {BATCH}: a step takes {step * 1000:,.0f} ms")
    share = (line + max(judge, long_judge) + 20 * each) / (20 * step)
    print(f"  log and watchdog: {share:.3%} of the time")
    print(f"    {line * 1000:.1f} ms a line, {judge * 1000:.1f} ms to judge it")
    print(f"    {long_judge * 1000:.1f} ms to judge it after 2 M images")
    print(f"    {each * 1000:.2f} ms a step")
    grid, score = statistics.median(spent["_grid"]), statistics.median(spent["quick score"])
    print(f"  grid: {grid:.2f} s, {grid / (5000 / BATCH * step):.2%}")
    print(f"  quick score: {score:.2f} s, {score / (20_000 / BATCH * step):.2%}")
    event = events.snapshots[len(events.snapshots) // 2]
    pause = statistics.median(spent["copy"]) + sum(spent["finite"][-4:])
    rate = event["megabytes"] / event["written_s"]
    print(f"  snapshot: {event['megabytes']:,.0f} MB; training pauses {pause:.3f} s (copied, checked for NaN)")
    print(f"    written behind it in {event['written_s']:.2f} s, {rate:,.0f} MB/s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="*", default=["dcgan", "classic-dcgan", "classic-tanh"])
    parser.add_argument("--steps", type=int, default=60)
    arguments = parser.parse_args()
    if len(arguments.recipe) == 1:
        one(arguments.recipe[0], arguments.steps)
        return
    print(", ".join(f"{name} {value}" for name, value in describe_machine().items()))
    for name in arguments.recipe:
        subprocess.run([sys.executable, __file__, name, f"--steps={arguments.steps}"], check=True)


if __name__ == "__main__":
    main()
