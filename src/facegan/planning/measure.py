"""Trials of recipes, each in a process of its own with a time limit, and what they measured."""

from __future__ import annotations

import itertools
import json
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import facegan

_FEWEST = 3
"""Steps, after the first, that a rate is taken from."""
_STARTING = 60.0
"""Seconds that a trial has to start Python and PyTorch."""
_LAUNCHER = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is tried."""

    data: Sequence[Path]
    recipe: str
    resolution: int
    settings: Sequence[str] = ()
    batch: int
    penalty_every: int = 1
    threads: int | None = None
    accelerator: str = "auto"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a trial found out; None: it was cut off before, or ended otherwise."""

    images_per_s: float | None = None
    """Of whole steps."""
    tuned: bool = False
    """Whether the fastest way to compute was looked for first."""
    rough: bool = False
    """Whether the rate is that of few steps, or of layers whose fastest algorithms were not looked for."""
    steps: int = 0
    start: float | None = None
    """Seconds from the command to the first step."""
    make: float | None = None
    """Seconds for each face made for a quick score, and for each that attributes-net looks at."""
    look: float | None = None
    cores: float | None = None
    """Cores that its steps really got: fewer than its threads where other work took them."""
    memory: int | None = None
    """Peak bytes of the process."""
    gpu_gib: float | None = None
    snapshot_bytes: int | None = None
    threads: int | None = None
    device: str = "cpu"
    error: str = ""
    """Why there was no training."""
    cut_off: str = ""
    """What the trial was doing when its time was over, or ""."""
    seconds: float = 0.0
    lines: list[dict[str, Any]] = field(default_factory=list, repr=False)


def measure(subject: Subject, *, tuned: bool, stepping: float, limit: float) -> Measured:
    """Return what a trial of at most ``limit`` seconds found out, ``stepping`` seconds of them for steps.

    The limit counts from when Python and PyTorch have started, which takes long beside other work.

    ``tuned``: precision, threads and the layers' algorithms are looked for first, as a run does when it begins; else
    the library's convolutions in float32 are taken.
    """
    with tempfile.TemporaryDirectory(prefix="facegan-plan-") as folder:
        begun = time.time()
        request = {
            "data": [str(path.absolute()) for path in subject.data], "run": str(Path(folder) / "run"),
            "recipe": subject.recipe, "resolution": subject.resolution, "settings": list(subject.settings),
            "batch": subject.batch, "threads": subject.threads, "forms": "auto" if tuned else "direct",
            "accelerator": subject.accelerator, "seconds": stepping, "begun": begun,
        }  # fmt: skip
        lines, ended = _listen([sys.executable, "-m", "facegan.planning.trial", json.dumps(request)], limit)
    return parse_trial(lines, subject, tuned=tuned, ended=ended, seconds=time.time() - begun)


def _listen(command: list[str], limit: float) -> tuple[list[dict[str, Any]], int | None]:
    """Return the JSON lines that a command printed within ``limit`` seconds, and its exit code; None: it was killed."""
    environment = {name: value for name, value in os.environ.items() if not _of_launcher(name)}
    source = str(Path(facegan.__file__).parents[1])
    environment["PYTHONPATH"] = os.pathsep.join([source, *filter(None, [environment.get("PYTHONPATH")])])
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    assert process.stdout is not None
    waiting: queue.Queue[str | None] = queue.Queue()
    thread = threading.Thread(target=_forward, args=(process.stdout, waiting), daemon=True)
    thread.start()
    lines: list[dict[str, Any]] = []
    deadline, over = time.monotonic() + _STARTING + limit, False
    try:
        while not over:
            try:
                text = waiting.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return lines, None
            over = text is None
            if text is not None and text.startswith("{"):
                lines.append(json.loads(text))
                if lines[-1].get("what") == "ready":
                    deadline = time.monotonic() + limit
        return lines, process.wait()
    finally:
        process.kill()
        process.wait()
        thread.join()
        process.stdout.close()


def _forward(stream: Any, waiting: queue.Queue[str | None]) -> None:
    for text in stream:
        waiting.put(text)
    waiting.put(None)


def _of_launcher(name: str) -> bool:
    """Return whether a variable tells of other processes, which a trial has none of."""
    return name in _LAUNCHER or name.startswith(("TORCHELASTIC_", "SLURM_"))


def parse_trial(
    lines: list[dict[str, Any]], subject: Subject, *, tuned: bool, ended: int | None, seconds: float
) -> Measured:
    """Return what the lines of a trial say. ``ended``: its exit code, None if it was cut off."""
    last = {line["what"]: line for line in lines}
    steps = [line["t"] for line in lines if line["what"] == "step"]
    start, faces = last.get("start", {}), last.get("faces", {})
    rate = step_rate(steps, subject.batch, subject.penalty_every)
    exact = rate is not None and tuned
    if rate is None:
        rate = start.get("images_per_s")  # of the few steps that the plan rests on
    error = str(last["error"]["message"]) if "error" in last else ""
    if ended not in (0, None) and not error:
        error = "the system ended it, probably for want of memory" if ended < 0 else f"it ended with exit code {ended}"
    doing = ""
    if ended is None:
        doing = _doing(last, tuned)
    first = None
    if steps:
        first = steps[0] - (steps[1] - steps[0] if len(steps) > 1 else 0.0)
    cores, timed = None, [line for line in lines if line["what"] == "step" and "cpu" in line]
    if len(timed) > 1 and timed[-1]["t"] > timed[0]["t"]:
        cores = round((timed[-1]["cpu"] - timed[0]["cpu"]) / (timed[-1]["t"] - timed[0]["t"]), 3)
    return Measured(
        images_per_s=rate, cores=cores, tuned=tuned, rough=not exact, steps=len(steps), start=first,
        make=faces.get("make"), look=faces.get("look"), memory=last.get("memory", {}).get("bytes"),
        gpu_gib=last.get("stop", {}).get("gpu_gib"), snapshot_bytes=start.get("snapshot_bytes"),
        threads=start.get("threads"), device=str(start.get("device", "cpu")), error=error, cut_off=doing,
        seconds=seconds, lines=lines,
    )  # fmt: skip


def _doing(last: Mapping[str, Any], tuned: bool) -> str:
    """Return what a trial was doing, by what it had told."""
    looking = "looking for the fastest way to compute" if tuned else "its first steps"
    for what, doing in (
        ("stop", "making faces"), ("step", "its steps"), ("start", "its first step"),
        ("measuring", looking), ("ready", "reading the data"),
    ):  # fmt: skip
        if what in last:
            return doing
    return "starting Python"


def step_rate(times: Sequence[float], batch: int, penalty_every: int) -> float | None:
    """Return the images/s of steps that ended at these times, or None if too few of them were seen to go by.

    The first step is left out, in which memory is taken for the first time. Every ``penalty_every`` steps, beginning
    with the first, one has penalties and takes longer, so that one more of these must have been seen.
    """
    seconds = [after - before for before, after in itertools.pairwise(times)]
    ordinary = [took for number, took in enumerate(seconds, 1) if number % penalty_every or penalty_every == 1]
    longer = [took for number, took in enumerate(seconds, 1) if penalty_every > 1 and number % penalty_every == 0]
    if len(ordinary) < _FEWEST or (penalty_every > 1 and not longer):
        return None
    whole = trimmed_mean(ordinary) * (penalty_every - 1 if longer else 1) + (statistics.fmean(longer) if longer else 0)
    return batch * (penalty_every if longer else 1) / whole


def trimmed_mean(values: Sequence[float]) -> float:
    """Return the mean without the tenth that is largest and the tenth that is smallest."""
    ordered = sorted(values)
    cut = len(ordered) // 10
    return statistics.fmean(ordered[cut : len(ordered) - cut])
