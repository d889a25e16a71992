"""What runs had to show after some minutes of training each, from what they kept: a table, and a picture of faces.

    python benchmarks/equal_times.py runs/style-s runs/dcgan runs/classic --minutes 10 60 180 --out equal-times.png

The time is that of the training alone, without pauses for scores and snapshots, at the rate that nine tenths of the
lines in a run's log do not reach: what it had while other work left it its cores. For each time and run: the last grid
and the last quick score that were there by then, and the images of each. The picture
has a block of rows for each time, in it a row for each run: the first faces of that grid, none chosen. A run that
ended before a time, by more than a twentieth of it, has a dash and grey faces there. Train the runs on one machine,
each with the same number of threads, and with a --sample-every and a --snapshot-every of some minutes.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from facegan import pixels
from facegan.files import read_json_lines
from facegan.report.pictures import read_picture
from facegan.runs.folder import RunFolder

GREY = 128


@dataclass(frozen=True)
class Kept:
    """What a run kept of its training."""

    folder: RunFolder
    recipe: dict[str, Any]
    images: int
    """Seen in all."""
    rate: float
    """Images a second."""
    scores: dict[int, float]
    """Quick scores by images seen."""
    grids: dict[int, Path]
    """Grids of samples by images seen."""


@dataclass(frozen=True)
class Moment:
    """A run after so many minutes."""

    images: int
    score: tuple[int, float] | None
    """Images seen, and the quick score then."""
    grid: tuple[int, Path] | None


def read(path: Path) -> Kept:
    """Return what a run kept.

    Raises:
        UserError: the folder is no run.
    """
    folder = RunFolder(path)
    known = folder.read()
    recipe = known["config"]["recipe"]
    rates, scores = {}, {}
    for line in read_json_lines(folder.log):
        if "images_per_s" in line:
            rates[line["nimg"]] = line["images_per_s"]
        if "quick_score" in line:
            scores[line["nimg"]] = line["quick_score"]
    rate = float(np.quantile(list(rates.values()), 0.9))
    return Kept(folder, recipe, max(rates), rate, scores, {images_seen(grid): grid for grid in folder.list_grids()})


def images_seen(grid: Path) -> int:
    """Return the images that a grid's metadata says its generator had seen."""
    found = re.search(r"([\d,]+) images seen", Image.open(grid).info.get("Description", ""))
    if not found:
        raise SystemExit(f"{grid} does not say after how many images it was drawn")
    return int(found[1].replace(",", ""))


def after(run: Kept, minutes: float) -> Moment | None:
    """Return what there was after so many minutes; None if the run ended before."""
    images = int(60 * minutes * run.rate)
    if run.images < 0.95 * images:
        return None

    def newest(found: dict[int, Any]) -> tuple[int, Any] | None:
        return max(((seen, value) for seen, value in found.items() if seen <= images), default=None)

    return Moment(images, newest(run.scores), newest(run.grids))


def row(run: Kept, moment: Moment | None, faces: int) -> np.ndarray:
    """Return the first faces of a moment's grid, uint8 [faces, side, side, 3]; grey where there is none."""
    side = run.recipe["resolution"]
    if moment is None or moment.grid is None:
        return np.full((faces, side, side, 3), GREY, np.uint8)
    return pixels.ungrid(read_picture(moment.grid[1]), side)[:faces]


def cells(moment: Moment | None) -> str:
    """Return a moment as three cells of a table."""
    if moment is None:
        return "- | - | -"
    score = f"{moment.score[1]:.2f} at {moment.score[0]:,}" if moment.score else "-"
    return f"{moment.images:,} | {score} | {f'{moment.grid[0]:,}' if moment.grid else '-'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--minutes", type=float, nargs="+", default=[10.0, 60.0, 180.0])
    parser.add_argument("--faces", type=int, default=12, help="faces in a row")
    parser.add_argument("--out", type=Path, help="picture")
    arguments = parser.parse_args()
    runs = [read(path) for path in arguments.runs]
    print("| minutes | run | images/s | images | quick score | grid at |\n|---|---|---|---|---|---|")
    rows = []
    for minutes in arguments.minutes:
        for run in runs:
            moment = after(run, minutes)
            rows.append(row(run, moment, arguments.faces))
            print(
                f"| {minutes:g} | {run.folder.path.name} (`{run.recipe['name']}`) | {run.rate:.1f} | {cells(moment)} |"
            )
    if arguments.out:
        picture = pixels.grid(np.concatenate(rows), columns=arguments.faces)
        pixels.save_png(arguments.out, picture, runs[0].folder.provenance())


if __name__ == "__main__":
    main()
