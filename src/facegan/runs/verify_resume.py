"""Proof on this machine that a run which was stopped, killed and started again ends as one that was not.

Both runs are real: ``facegan train`` in processes of their own, which this one kills.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from facegan.errors import UserError
from facegan.files import read_json_lines
from facegan.runs.folder import RunFolder, nimg_of
from facegan.runs.snapshot import read_info

_PATIENCE = 600.0
"""Seconds without a sign of life after which a training is given up."""


@dataclass(frozen=True)
class Interruption:
    """One end of a training that was not its own."""

    how: str
    """"stopped" (SIGTERM), "killed", or "killed while writing a snapshot"."""
    nimg: int
    """Images of the newest line of the log then."""
    resumed_at: int
    """Images of the newest snapshot, from which the next process goes on."""


@dataclass(frozen=True)
class ResumeCheck:
    """What a comparison of two runs found."""

    nimg: int
    interruptions: list[Interruption]
    tensors: int
    """Tensors compared."""
    difference: str | None
    """The first thing in which the runs differ, or None: they are identical."""


def verify_resume(
    options: Sequence[str],
    work: Path,
    *,
    images: int,
    batch: int,
    seed: int = 0,
    say: Callable[[str], None] = lambda _: None,
) -> ResumeCheck:
    """Train twice in ``work``, straight and interrupted, and compare the ends.

    ``options`` are those of ``facegan train`` but ``--run``, ``--images``, ``--batch`` and the intervals. ``seed``
    chooses where to interrupt.

    Raises:
        UserError: a training failed.
    """
    steps = max(8, -(-images // batch))
    images, every = steps * batch, max(1, steps // 8) * batch
    intervals = [f"--{name}-every={every}" for name in ("snapshot", "sample")]
    command = [sys.executable, "-m", "facegan", "train", *options, f"--batch={batch}", f"--log-every={batch}"]
    command += [*intervals, "--keep=2", "--score-faces=0"]  # it changes nothing of the training
    say(f"1/3  A run begins: {work / 'begun'}")
    _finish([*command, "--images=0", f"--run={work / 'begun'}"])
    for name in ("straight", "interrupted"):
        shutil.copytree(work / "begun", work / name)
    choices = RunFolder(work / "begun").read().get("choices") or {}
    rate = choices.get("images_per_s")
    about = "" if not rate else f"; both take about {2 * images / rate / 60 + 0.5:.0f} minutes on a quiet machine"
    say(f"2/3  One run goes straight to {images:,} images, {steps} steps{about}")
    _finish([*command, f"--images={images}", f"--run={work / 'straight'}"])
    say("3/3  The other is stopped, killed, and killed while it writes a snapshot")
    interrupted = [*command, f"--images={images}", f"--run={work / 'interrupted'}"]
    interruptions = []
    for interruption in _interrupt(interrupted, RunFolder(work / "interrupted"), steps, batch, random.Random(seed)):
        say(f"     {interruption.how} at {interruption.nimg:,} images; goes on from {interruption.resumed_at:,}")
        interruptions.append(interruption)
    _finish(interrupted)
    tensors, difference = compare_runs(RunFolder(work / "straight"), RunFolder(work / "interrupted"), images)
    return ResumeCheck(images, interruptions, tensors, difference)


_ENDS = (0, -9, -15, 128 + 15)
"""Exit codes of a training that was left alone, killed by SIGKILL or SIGTERM, or that ended itself on SIGTERM."""


def _interrupt(
    command: list[str], folder: RunFolder, steps: int, batch: int, chance: random.Random
) -> Iterator[Interruption]:
    """Interrupt the training a few times on its way: at two random steps, and inside the writing of a snapshot."""
    first, second = sorted(chance.sample(range(1, max(3, steps - steps // 4)), 2))
    yield _end(command, folder, "stopped", lambda: _newest_line(folder) >= first * batch)
    yield _end(command, folder, "killed", lambda: _newest_line(folder) >= second * batch)
    for _ in range(5):
        ended = _end(command, folder, "killed while writing a snapshot", lambda: any(_half_written(folder)))
        if any(_half_written(folder)):
            yield ended
            return
        if _newest_line(folder) >= steps * batch:
            return


def _half_written(folder: RunFolder) -> Iterator[Path]:
    return folder.snapshots.glob(".nimg-*.partial")


def _newest_line(folder: RunFolder) -> int:
    return max((line["nimg"] for line in read_json_lines(folder.log) if "D_loss" in line), default=0)


def _end(command: list[str], folder: RunFolder, how: str, due: Callable[[], bool]) -> Interruption:
    """Run until something is due, then end the process; it may have ended by itself."""
    for left_over in _half_written(folder):  # of a kill before: what this process writes must not be taken for it
        shutil.rmtree(left_over, ignore_errors=True)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            _wait_until(due, process)
            if how == "stopped":
                process.terminate()
            else:
                process.kill()
            _, errors = process.communicate()
        except BaseException:  # SIGTERM, say: nothing is to train on in a folder that goes
            process.kill()
            raise
    if process.returncode not in _ENDS:
        raise UserError(f"the training ended with exit code {process.returncode}: {errors.strip()[-2000:]}")
    resumed_at = nimg_of(folder.latest_snapshot())
    return Interruption(how, _newest_line(folder), resumed_at)


def _wait_until(due: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not due() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.0005)


def _finish(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"the training failed: {done.stderr.strip()[-2000:]}")


def compare_runs(one: RunFolder, other: RunFolder, nimg: int, *, logs: bool = True) -> tuple[int, str | None]:
    """Return how many tensors of two runs' snapshots were compared, and the first difference, or None.

    Every tensor of every file must have the same bytes; so must the ``logs``, but for the rates.
    """
    compared = 0
    infos = [read_info(folder.snapshot(nimg)) for folder in (one, other)]
    if infos[0].sha256.keys() != infos[1].sha256.keys():
        return 0, f"files: {sorted(infos[0].sha256.keys() ^ infos[1].sha256.keys())[0]} is in one of them only"
    for file in sorted(infos[0].sha256):
        with safe_open(infos[0].path / file, "pt") as first, safe_open(infos[1].path / file, "pt") as second:
            names = sorted(first.keys())
            if names != sorted(second.keys()):
                return compared, f"{file}: the names of its tensors"
            for name in names:
                mine, theirs = first.get_tensor(name), second.get_tensor(name)
                compared += 1
                if not _same_bytes(mine, theirs):
                    return compared, f"{file}: {name}"
    if not logs:
        return compared, None
    lines, others = _without_rates(one), _without_rates(other)
    for line, twin in zip(lines, others, strict=False):
        if line != twin:
            return compared, f"log.jsonl at {line.get('nimg')} images"
    if len(lines) != len(others):
        return compared, "log.jsonl: the number of its lines"
    return compared, None


def _same_bytes(mine: Tensor, theirs: Tensor) -> bool:
    if mine.shape != theirs.shape or mine.dtype != theirs.dtype:
        return False
    return torch.equal(mine.reshape(-1).view(torch.uint8), theirs.reshape(-1).view(torch.uint8))


def _without_rates(folder: RunFolder) -> list[dict[str, object]]:
    return [
        {name: value for name, value in line.items() if name != "images_per_s"} for line in read_json_lines(folder.log)
    ]
