"""Several programs timed in turn, so that a machine that others use slows all of them alike."""

from __future__ import annotations

import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from facegan.machine import describe_machine

PEERS = Path(__file__).resolve().parent / "peers"


@dataclass
class Side:
    """A program of ``peers/`` that answers each number of steps with the seconds they took."""

    name: str
    command: list[str]
    batch: int
    steps: int
    """Steps of a round."""
    note: str = ""
    rates: list[float] = field(default_factory=list)
    """Images/s of each round."""

    def start(self) -> None:
        """Start it, and wait until it has made its first steps; the line before is its note."""
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        while (line := self._answer()) != "ready":
            self.note = line

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with {self.process.wait()}: {' '.join(self.command)}")
        return line.strip()

    def play(self) -> None:
        """Run one round."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{self.steps}\n")
        self.process.stdin.flush()
        self.rates.append(self.batch * self.steps / float(self._answer()))

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def play_in_turn(sides: list[Side], rounds: int) -> None:
    """Give every side ``rounds`` rounds, in turn."""
    for side in sides:
        side.start()
    try:
        for _ in range(rounds):
            for side in sides:
                side.play()
    finally:
        for side in sides:
            side.stop()


def report(ours: Side, peers: list[Side], what: str) -> float:
    """Print every side's median images/s; return the median of our ratio to the best peer by round (no peer: 1)."""
    print("machine:", ", ".join(f"{name} {value}" for name, value in describe_machine().items()))
    print(what)
    for side in (ours, *peers):
        spread = f"{min(side.rates):.1f} to {max(side.rates):.1f}"
        print(f"  {side.name:28} {statistics.median(side.rates):8.1f} images/s  ({spread})  {side.note}")
    if not peers:
        return 1.0
    best = max(peers, key=lambda peer: statistics.median(peer.rates))
    ratio = statistics.median(mine / theirs for mine, theirs in zip(ours.rates, best.rates, strict=True))
    print(f"  ratio to {best.name}: {ratio:.2f}  (median of {len(ours.rates)} rounds in turn)", flush=True)
    return ratio


def facegan_side(arguments: list[str], batch: int, steps: int) -> Side:
    return Side("facegan", [sys.executable, str(PEERS / "facegan_side.py"), *arguments], batch, steps)


def pytorch_side(arguments: list[str], batch: int, steps: int) -> Side:
    return Side("plain PyTorch loop", [sys.executable, str(PEERS / "pytorch_side.py"), *arguments], batch, steps)


def keras_side(python: Path, arguments: list[str], batch: int, steps: int, name: str) -> Side:
    return Side(name, [str(python), str(PEERS / "keras_side.py"), *arguments], batch, steps)
