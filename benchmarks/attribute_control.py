"""Does attributes-net see what a model was asked for? All 40 attributes, beside the real faces that have them.

    python benchmarks/attribute_control.py celeba64 data/celeba64
    python benchmarks/attribute_control.py runs/style data/celeba64 --count 500 --pictures control.png
    python benchmarks/attribute_control.py celeba64 data/celeba64 --only Bald --only Mustache --labels none

For each attribute, in per cent of faces in which attributes-net sees it: held-out real faces that are labelled with it
(what the network can see at best), those labelled without it; and faces of the model asked for it, for its absence,
and for nothing. "variety": the mean distance between two faces asked for it, in judge-net's features, in per cent of
that between two real faces with it. Then the same latents with this attribute alone turned from -1 to 1: how much its
mean probability changes, and the mean absolute change of the 39 others, beside the difference of the others between
real faces with it and without it. --pictures: rows of the same faces asked for each. --labels: the other attributes are
drawn from the label prior, or not said. --factor 3 amplifies what is asked threefold, as facegan 0.1.0 did.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

import facegan
from facegan import pixels
from facegan.api import LABELS
from facegan.attributes import ATTRIBUTE_NAMES
from facegan.data.packed import DataView, PackedDataset
from facegan.machine import keep_freed_memory
from facegan.perception.labeller import shipped
from facegan.perception.spaces import open_space
from facegan.sampling import conditioning


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data", type=Path, help="a labelled packed dataset with held-out people")
    parser.add_argument("--count", type=int, default=500, help="faces of each question")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--labels", choices=LABELS, default="prior")
    parser.add_argument(
        "--only", choices=ATTRIBUTE_NAMES, action="append", help="an attribute (repeatable); default: all"
    )
    parser.add_argument("--factor", type=float, help="amplify what is asked at most so much, in place of the default")
    parser.add_argument("--pictures", type=Path, help="write a picture of the same faces asked for some attributes")
    arguments = parser.parse_args()
    keep_freed_memory()
    if arguments.factor is not None:
        conditioning._LARGEST_FACTOR = arguments.factor
    asked_for: tuple[str, ...] = tuple(arguments.only or ATTRIBUTE_NAMES)
    model, labeller, judge = facegan.load(arguments.model), shipped(), open_space("judge-net")
    view = DataView([PackedDataset.open(arguments.data)], held_out=True)
    label_MA, real_MHWC = view.attributes(np.arange(len(view))), view.images(np.arange(len(view)))
    real_logit_MA = labeller.logits(real_MHWC)
    real_MA, real_probability_MA = real_logit_MA > 0, sigmoid(real_logit_MA)
    plain_NA = labeller.logits(model.sample(arguments.count, seed=arguments.seed, labels=arguments.labels))

    print(f"{arguments.count} faces of seed {arguments.seed} a question; {len(view):,} held-out real faces")
    print(
        f"{'seen in % of faces':<22}{'real with':>10}{'without':>9}{'asked':>9}{'asked not':>11}{'plain':>9}"
        f"{'variety':>9}",
        end="",
    )
    print(f"{'its change':>12}{'others':>8}{'really':>8}")
    rows = []
    for place, name in ((ATTRIBUTE_NAMES.index(name), name) for name in asked_for):
        asked_NHWC, not_NHWC = (
            model.sample(arguments.count, seed=arguments.seed, attributes={name: sign}, labels=arguments.labels)
            for sign in (1, -1)
        )
        asked_NA, not_NA = labeller.logits(asked_NHWC), labeller.logits(not_NHWC)
        change_A = (sigmoid(asked_NA) - sigmoid(not_NA)).mean(0)
        having, lacking = (real_probability_MA[label_MA[:, place] * sign > 0] for sign in (1, -1))
        really_A = having.mean(0) - lacking.mean(0) if len(having) and len(lacking) else np.full_like(change_A, np.nan)
        row = [
            share(real_MA[label_MA[:, place] > 0, place]), share(real_MA[label_MA[:, place] < 0, place]),
            share(asked_NA[:, place] > 0), share(not_NA[:, place] > 0), share(plain_NA[:, place] > 0),
            distance(judge.features(asked_NHWC)) / distance(judge.features(real_MHWC[label_MA[:, place] > 0])),
            float(change_A[place]), *(float(np.delete(np.abs(of_A), place).mean()) for of_A in (change_A, really_A)),
        ]  # fmt: skip
        rows.append(row)
        show(name, row)
    show(f"mean of the {len(rows)}", np.nanmean(np.array(rows), axis=0).tolist())
    nearer = sum(row[2] > (row[0] + row[1]) / 2 for row in rows)
    print(
        f"asked faces are nearer to the rate of real faces with it than of those without, for {nearer} of {len(rows)}"
    )
    if arguments.pictures:
        provenance = model.provenance(seed=arguments.seed, sheet=True)
        pixels.save_png(arguments.pictures, picture(model, arguments.seed), provenance)
        print(arguments.pictures)


def sigmoid(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))


def share(seen_N: np.ndarray) -> float:
    """Return the share of true values; NaN of none."""
    return float(seen_N.mean()) if len(seen_N) else float("nan")


def distance(feature_ND: torch.Tensor) -> float:
    """Return the mean Euclidean distance between two rows; NaN of fewer than two."""
    count = len(feature_ND)
    return float(torch.cdist(feature_ND, feature_ND).sum()) / (count * (count - 1)) if count > 1 else float("nan")


def show(name: str, row: list[float]) -> None:
    widths = (10, 9, 9, 11, 9, 9)
    percents = "".join(f"{100 * value:>{width}.0f}" for value, width in zip(row[:6], widths, strict=True))
    print(f"{name:<22}{percents}{100 * row[6]:>+12.0f}{100 * row[7]:>8.1f}{100 * row[8]:>8.1f}", flush=True)


SHOWN = ("Smiling", "Eyeglasses", "Male", "Blond_Hair", "Bangs", "Young", "Wearing_Hat")


def picture(model: facegan.api.Model, seed: int) -> np.ndarray:
    """Return rows of the same eight faces: plain, then asked for one attribute each."""
    questions: list[dict[str, float]] = [{}, *({name: 1.0} for name in SHOWN)]
    faces = [model.sample(8, seed=seed, attributes=question) for question in questions]
    return pixels.grid(np.concatenate(faces))


if __name__ == "__main__":
    main()
