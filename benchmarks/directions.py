"""The 40 directions beside asking by labels: effect, spill-over and drift, on the same fresh faces.

    python benchmarks/directions.py celeba64 --count 500
    python benchmarks/directions.py celeba64 --count 500 --find 20k --others 0 1 3 10

For one unit of a direction, and for asking for an attribute (label 1) instead of its absence (-1): how much its logit
in attributes-net rises, the mean absolute shift of the 39 others (both in standard deviations among the model's faces),
and how far the face moves in judge-net, as a share of the distance between two faces. Per rise: spill and drift divided
by the rise, which makes both ways comparable. --find looks for directions anew, with several weights of the others.
--picture shows the ten cleanest, from two units less to two more, on the faces 0, 1, 2 ... of seed 0.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import numpy as np

import facegan
from facegan import pixels
from facegan.api import Model
from facegan.attributes import ATTRIBUTE_NAMES
from facegan.cli.progress import stages
from facegan.config_changes import parse_count
from facegan.editing.directions import Directions, directions_of, find_directions
from facegan.editing.effects import Effect, effects_of_directions, effects_of_labels
from facegan.machine import describe_machine
from facegan.provenance import Provenance


def per_rise(effect: Effect) -> tuple[float, float]:
    rise = max(effect.rise, 0.05)
    return effect.spill / rise, effect.drift / rise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--find", type=parse_count)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--others", type=float, nargs="+", default=[3.0])
    options = parser.parse_args()
    model = facegan.load(options.model)
    print(describe_machine())
    with stages() as stage:
        if options.find:
            for weight in options.others:
                found = find_directions(model, count=options.find, others_weight=weight, report=stage)
                effects = effects_of_directions(model, found, count=options.count, report=stage)
                spill, drift = zip(*map(per_rise, effects), strict=True)
                rise = statistics.median(effect.rise for effect in effects)
                print(
                    f"others {weight:g}: median rise {rise:.2f}, spill per rise {statistics.median(spill):.3f}, "
                    f"drift per rise {statistics.median(drift):.3f}",
                    flush=True,
                )  # fmt: skip
            return
        directions = directions_of(model)
        assert directions is not None, "no directions come with this model: see --find"
        along = effects_of_directions(model, directions, count=options.count, report=stage)
        asked = effects_of_labels(model, directions, count=options.count, report=stage)
    print("| attribute | rise | spill | drift | spill per rise | by labels: rise | spill | drift | spill per rise |")
    print("|---|---|---|---|---|---|---|---|---|")
    ordered = sorted(zip(along, asked, strict=True), key=lambda pair: per_rise(pair[0])[0])
    for one, other in ordered:
        cells = [f"{value:.2f}" for effect in (one, other)
                 for value in (effect.rise, effect.spill, effect.drift, per_rise(effect)[0])]  # fmt: skip
        print(f"| {one.name} | {' | '.join(cells)} |")
    for name, effects in (("directions", along), ("labels", asked)):
        spill, drift = zip(*map(per_rise, effects), strict=True)
        medians = statistics.median(spill), statistics.median(drift)
        print(f"{name}: median spill per rise {medians[0]:.3f}, drift per rise {medians[1]:.3f}")
    if options.picture:
        show(model, directions, [one.name for one, _ in ordered[:10]], options.picture)


def show(model: Model, directions: Directions, names: list[str], path: Path) -> None:
    """Save a grid: a row for each attribute, from two units less to two more."""
    captions, faces = [], []
    for number, name in enumerate(names):
        style_1W = model.numbered_styles(0, [number], truncation=0.7)
        change_W = directions.direction_AW[ATTRIBUTE_NAMES.index(name)]
        steps_5W = style_1W + np.arange(-2, 3, dtype=np.float32)[:, None] * change_W
        faces.append(model.generate(styles=steps_5W))
        captions += [f"{name[:15]} {step:+d}" if step else "as it was" for step in range(-2, 3)]
    picture = pixels.grid(pixels.enlarge(np.concatenate(faces), 2), columns=10, captions=captions)
    pixels.save_png(path, picture, Provenance(model=model.name, sha256=model.sha256, sheet=True))


if __name__ == "__main__":
    main()
