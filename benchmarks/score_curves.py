"""Scores over images on logarithmic axes, several runs in one picture, and what their lines promise for more images.

    facegan evaluate RUN/snapshots/nimg-000300000 DATA --count 5k --labels none --out 300k.json
    python benchmarks/score_curves.py docs/celeba64/scores.csv --add "long run" 300k.json --out scores.png

The table has a row for each snapshot: run, images, then a Frechet distance for each feature space. ``--add`` writes a
receipt's scores into it. The reckoning draws a line through log(score - floor) over log(images) from ``--since`` on,
once with nothing as the floor and once with the score of real faces (``--floor``). Runs bend upwards, away from such a
line, so it promises too much where it reaches far.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np

from facegan.config_changes import parse_count

Curves = dict[str, dict[int, dict[str, float]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--add", nargs="+", metavar=("RUN", "RECEIPT"), help="name of a run and receipts of it")
    parser.add_argument("--floor", type=float, nargs="+", default=[1.08, 0.036], help="real faces' score in each space")
    parser.add_argument("--since", type=parse_count, default=200_000, help="images from which a line is fitted")
    parser.add_argument("--at", type=parse_count, nargs="+", default=[1_000_000, 3_000_000, 5_000_000, 10_000_000])
    parser.add_argument("--out", type=Path, help="picture")
    arguments = parser.parse_args()
    curves = read_table(arguments.table)
    if arguments.add:
        name, *receipts = arguments.add
        for receipt in receipts:
            images, scores = read_receipt(Path(receipt))
            curves.setdefault(name, {})[images] = scores
        write_table(arguments.table, curves)
    spaces = list(next(iter(next(iter(curves.values())).values())))
    floors = dict(zip(spaces, arguments.floor, strict=True))
    for line in reckoning(curves, floors, arguments.since, arguments.at):
        print(line)
    if arguments.out:
        draw(curves, floors, arguments.out)


def read_table(path: Path) -> Curves:
    """Return the scores of each run, by images and feature space."""
    curves: Curves = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            scores = {key: float(value) for key, value in row.items() if key not in ("run", "images")}
            curves.setdefault(row["run"], {})[int(row["images"])] = scores
    return curves


def write_table(path: Path, curves: Curves) -> None:
    """Write the table anew, each run in the order of its images."""
    rows = [
        {"run": run, "images": images, **{space: f"{value:.4g}" for space, value in scores.items()}}
        for run, points in curves.items()
        for images, scores in sorted(points.items())
    ]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_receipt(path: Path) -> tuple[int, dict[str, float]]:
    """Return the images and the Frechet distances of a receipt of ``facegan evaluate``."""
    receipt = json.loads(path.read_text(encoding="utf-8"))
    scores = {score["space"]: score["estimate"]["value"] for score in receipt["scores"] if score["name"] == "frechet"}
    return receipt["model"]["nimg"], scores


def reckoning(curves: Curves, floors: dict[str, float], since: int, at: list[int]) -> list[str]:
    """Return a Markdown table: the scores that each run's lines reach ``at`` so many images."""
    lines = [
        f"| run, space, images fitted | {' | '.join(f'{images:,}' for images in at)} |",
        "|---" * (len(at) + 1) + "|",
    ]
    for run, points in curves.items():
        fitted = {images: scores for images, scores in points.items() if images >= since}
        if len(fitted) < 3:
            continue
        for space, floor in floors.items():
            low, high = (extrapolate(fitted, space, low, at) for low in (0.0, floor))
            cells = " | ".join(f"{a:.3g} to {b:.3g}" for a, b in zip(low, high, strict=True))
            lines.append(f"| {run}, {space}, {min(fitted):,} to {max(fitted):,} | {cells} |")
    return lines


def extrapolate(points: dict[int, dict[str, float]], space: str, floor: float, at: list[int]) -> list[float]:
    """Return floor + c images^-b ``at`` so many images, b and c by least squares on logarithms."""
    images = np.log(list(points))
    excess = np.log([max(scores[space] - floor, 1e-9) for scores in points.values()])
    slope, offset = np.polyfit(images, excess, 1)
    return [floor + float(np.exp(offset + slope * np.log(n))) for n in at]


def draw(curves: Curves, floors: dict[str, float], out: Path) -> None:
    """Draw a panel for each feature space, a line for each run, and the score of real faces."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    figure, panels = pyplot.subplots(1, len(floors), figsize=(5 * len(floors), 4), layout="constrained", squeeze=False)
    for panel, (space, floor) in zip(panels[0], floors.items(), strict=True):
        for run, points in curves.items():
            ordered = sorted(points)
            panel.plot(ordered, [points[images][space] for images in ordered], "o-", markersize=4, label=run)
        panel.axhline(floor, linestyle=":", color="grey", label="real against real")
        panel.set(xscale="log", yscale="log", xlabel="images", ylabel="Frechet distance", title=space)
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_locator(LogLocator(10, subs=(1, 2, 5), numticks=20))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.9g}"))
            axis.set_minor_formatter(NullFormatter())
        panel.tick_params(axis="x", rotation=30)
        panel.grid(visible=True, which="major", alpha=0.3)
        panel.legend()
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    main()
