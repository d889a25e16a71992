"""Collect the quick scores of real runs into what ``facegan plan`` expects of others: python benchmarks/plan_curves.py

    python benchmarks/plan_curves.py runs/style-1 runs/style-2 runs/dcgan --out src/facegan/planning/curves.json

Each run folder gives one curve: the quick scores of 2,000 faces in its log.jsonl, with recipe, the settings in which it
differs from that recipe, batch, seed, number of faces, and version. Runs that began with another model's weights are
left out (--init), and so are scores taken before a fork: they belong to the run before. A run that is given twice, in
two stages, is two curves. Prints what it took and what it left out.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from facegan.config import RecipeConfig, from_dict, to_dict
from facegan.config_changes import FIXED, flatten
from facegan.data.packed import DataView, PackedDataset
from facegan.files import read_json_lines, write_text
from facegan.recipes import recipe
from facegan.runs.folder import RunFolder

FACES = 2000.0


def curve_of(path: Path) -> dict[str, Any] | str:
    """Return a run's curve, or why it is left out."""
    folder = RunFolder(path)
    contents = folder.read()
    config, ancestry = contents["config"], contents.get("ancestry") or []
    if config.get("init"):
        return "it began with the weights of another model"
    own = from_dict(RecipeConfig, config["recipe"], str(path))
    usual, mine = (flatten(to_dict(kind)) for kind in (recipe(own.name, own.resolution), own))
    settings = {name: value for name, value in mine.items() if name not in FIXED and value != usual.get(name)}
    first = ancestry[0]["nimg"] if ancestry else 0
    points: dict[int, float] = {}
    for line in read_json_lines(folder.log):
        score = line.get("quick_score")
        if isinstance(score, float) and line.get("quick_score_faces") == FACES and line["nimg"] > first:
            points[line["nimg"]] = round(score, 3)
    if len(points) < 2:
        return f"{len(points)} scores of 2,000 faces"
    faces = len(DataView([PackedDataset.open(data) for data in contents["data"]]))
    return {
        "name": path.name, "recipe": own.name, "resolution": own.resolution, "batch": config["batch"],
        "seed": config["seed"], "faces": faces, "settings": settings, "facegan": contents["facegan"],
        "precision": contents["choices"]["precision"], "points": sorted(points.items()),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    curves = []
    for path in arguments.runs:
        found = curve_of(path)
        if isinstance(found, str):
            print(f"left out {path.name}: {found}")
            continue
        curves.append(found)
        points = found["points"]
        print(f"{path.name}: {found['recipe']}, {len(points)} scores, {points[0][0]:,} to {points[-1][0]:,} images")
    head = {"format_version": 1, "score": "quick score: Frechet distance, attributes-net, 2,000 faces, 64 components"}
    lines = ",\n".join(f"  {json.dumps(curve)}" for curve in curves)
    write_text(arguments.out, f'{json.dumps(head)[:-1]}, "curves": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
