"""Two runs side by side, their last common grid and their curves: python benchmarks/fast_and_plain.py RUN RUN OUT.png

    facegan train data/celeba64 --recipe dcgan --run runs/fast --minutes 10
    facegan train data/celeba64 --recipe dcgan --run runs/plain --minutes 10 --forms plain
    python benchmarks/fast_and_plain.py runs/fast runs/plain fast-and-plain.png

Needs matplotlib. The curves are those of log.jsonl over images; the grids have the same latents.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

SHOWN = 6
"""Rows and columns of a grid that are shown, from its upper left."""


def grids(run: Path) -> dict[str, Path]:
    return {path.name: path for path in (run / "samples").glob("epoch*.png")}


def place(name: str) -> tuple[int, int]:
    """Return (epoch, step) of a grid's name."""
    epoch, step = name.removeprefix("epoch").removesuffix(".png").split("-")
    return int(epoch), int(step)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs=2)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    names = [run.name for run in arguments.runs]
    logs = [[json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()] for run in arguments.runs]
    recipe = json.loads((arguments.runs[0] / "run.json").read_text())["config"]["recipe"]
    common = max(grids(arguments.runs[0]).keys() & grids(arguments.runs[1]).keys(), key=place)
    figure, axes = plt.subplots(1, 4, figsize=(15, 3.7), layout="constrained")
    for axis, run, name in zip(axes[:2], arguments.runs, names, strict=True):
        side = SHOWN * (recipe["resolution"] + 2) + 2
        axis.imshow(np.asarray(Image.open(run / "samples" / common))[:side, :side])
        axis.set_title(f"{name}, {common.removesuffix('.png')}")
        axis.axis("off")
    for axis, value in zip(axes[2:], ("D_loss", "G_loss"), strict=True):
        for log, name in zip(logs, names, strict=True):
            axis.plot([line["nimg"] for line in log], [line[value] for line in log], label=name)
        axis.set_title(value)
        axis.set_xlabel("images")
        axis.legend()
    figure.savefig(arguments.out, dpi=70)
    print(arguments.out)
    for log, name in zip(logs, names, strict=True):
        print(f"{name}: {log[-1]['nimg']:,} images, last logged rate {log[-1]['images_per_s']:.1f} images/s")


if __name__ == "__main__":
    main()
