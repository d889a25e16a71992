"""Memory of training: the peak of each recipe, and its growth over many steps: python benchmarks/memory.py

    python benchmarks/memory.py classic-dcgan --batch 64
    python benchmarks/memory.py --growth 10000

Every figure is of a process of its own: resident memory as Linux counts it, all of Python and torch included. The
growth is that of whole runs with log, grids and snapshots, of the recipe's layers at 16 px and two images a step.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from facegan.config import RecipeConfig
from facegan.config_changes import with_settings
from facegan.data.writer import PackedWriter
from facegan.machine import describe_machine
from facegan.recipes import recipe
from facegan.training.schedule import Schedule
from facegan.training.train import Start, train


def mebibytes(field: str) -> float:
    """Return VmRSS (now) or VmHWM (the peak) of this process."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


class Witness:
    """A listener of the training that writes down the resident memory every so many steps."""

    def __init__(self, every: int) -> None:
        self.every, self.seen = every, {}

    def event(self, kind: str, **fields: Any) -> None: ...

    def progress(self, nimg: int, target: int | None, rate: float, seconds_left: float | None = None) -> None:
        if nimg % self.every == 0:
            self.seen[nimg] = mebibytes("VmRSS")


def run(settings: RecipeConfig, batch: int, steps: int, every: int) -> dict[int, float]:
    """Train a while on random pixels; return the memory in MiB by images seen."""
    with tempfile.TemporaryDirectory() as folder:
        images = np.random.default_rng(0).integers(0, 256, (256, settings.resolution, settings.resolution, 3), np.uint8)
        with PackedWriter(Path(folder) / "data", resolution=settings.resolution, capacity=len(images)) as writer:
            writer.write(0, images)
            writer.finish(identities=np.ones(len(images), np.int32))
        witness = Witness(every * batch)
        schedule = Schedule(
            images=steps * batch, log_every=100 * batch, sample_every=1000 * batch, snapshot_every=10**9
        )
        train(
            [Path(folder) / "data"],
            Path(folder) / "run",
            settings,
            start=Start(batch=batch),
            schedule=schedule,
            listener=witness,
        )
        return witness.seen


def one(arguments: argparse.Namespace) -> None:
    """Measure one recipe in this process."""
    name = arguments.recipe[0]
    if not arguments.growth:
        run(recipe(name, arguments.resolution), arguments.batch, 4, 1)
        print(f"{name} at {arguments.resolution} px, batch {arguments.batch}: peak {mebibytes('VmHWM'):,.0f} MiB")
        return
    small = ["generator.width=8", "discriminator.width=8"] if name == "dcgan" else []
    seen = run(with_settings(recipe(name, 16), small), 2, arguments.growth, max(1, arguments.growth // 10))
    path = ", ".join(f"{nimg // 2:,}: {value:,.1f}" for nimg, value in seen.items())
    print(f"{name} at 16 px, batch 2, MiB after so many steps: {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="*", default=["classic-tanh", "classic-dcgan", "dcgan"])
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--growth", type=int, default=0, metavar="STEPS", help="measure the growth over so many steps")
    arguments = parser.parse_args()
    if len(arguments.recipe) == 1:
        one(arguments)
        return
    print(", ".join(f"{name} {value}" for name, value in describe_machine().items()))
    for name in arguments.recipe:
        options = [f"--{option}={getattr(arguments, option)}" for option in ("resolution", "batch", "growth")]
        subprocess.run([sys.executable, __file__, name, *options], check=True)


if __name__ == "__main__":
    main()
