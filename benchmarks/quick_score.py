"""What the quick score sees, how sure it is and what it costs: python benchmarks/quick_score.py DATA [DATA ...]

    python benchmarks/quick_score.py data/part-a data/part-b --model celeba64 older/celeba64

Real held-out faces and a model's, as they are and made worse, against the data's training view: on some numbers of
components, of which facegan.training.quick_score takes one. "repeats": the same model on other latents, mean and
standard deviation; of the data itself: other faces of it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facegan import api
from facegan.attributes import attribute_index
from facegan.data.order import evenly
from facegan.data.packed import DataView, PackedDataset
from facegan.machine import describe_machine
from facegan.metrics.frechet import Gaussian, frechet_distance
from facegan.perception.corruptions import CORRUPTIONS
from facegan.perception.labeller import shipped
from facegan.training.quick_score import COMPONENTS, score_faces

CHUNK = 64


def chunks(image_NHWC: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(image_NHWC), CHUNK):
        yield image_NHWC[start : start + CHUNK]


def features(image_NHWC: np.ndarray) -> Tensor:
    return shipped().features(image_NHWC).double()


def corrupted(image_NHWC: np.ndarray, kind: str, strength: float) -> np.ndarray:
    parts = []
    for number, part in enumerate(chunks(image_NHWC)):
        x_NCHW = torch.from_numpy(part).permute(0, 3, 1, 2).float() / 127.5 - 1
        numbers = np.arange(len(part)) + number * CHUNK
        x_NCHW = CORRUPTIONS[kind](x_NCHW, torch.full((len(part),), strength), numbers)
        parts.append(((x_NCHW.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy())
    return np.concatenate(parts)


class Table:
    """Rows of scores on several numbers of components."""

    def __init__(self, reference_ND: Tensor, components: list[int]) -> None:
        values_D, vectors_DD = torch.linalg.eigh(reference_ND.T.cov())
        self.projections = {number: vectors_DD[:, -number:] for number in components}
        self.references = {number: Gaussian.of(reference_ND @ on) for number, on in self.projections.items()}
        shares = [f"{values_D[-number:].sum() / values_D.sum():.1%} of the variance" for number in components]
        print("| faces | " + " | ".join(f"{number} components" for number in components) + " |")
        print("|---|" + "---|" * len(components))
        print("| (the data) | " + " | ".join(shares) + " |", flush=True)

    def scores(self, features_ND: Tensor) -> list[float]:
        return [
            frechet_distance(Gaussian.of(features_ND @ on), self.references[number])
            for number, on in self.projections.items()
        ]

    def row(self, name: str, features_ND: Tensor) -> None:
        print(f"| {name} | " + " | ".join(f"{score:.3f}" for score in self.scores(features_ND)) + " |", flush=True)

    def repeats(self, name: str, sets: list[Tensor]) -> None:
        scores = np.array([self.scores(one) for one in sets])
        cells = [f"{mean:.3f}, sd {sd:.3f}" for mean, sd in zip(scores.mean(0), scores.std(0, ddof=1), strict=True)]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def worse(table: Table, name: str, image_NHWC: np.ndarray) -> None:
    """Print a set of faces as it is and made worse."""
    plain_ND = features(image_NHWC)
    table.row(name, plain_ND)
    for kind in ("blur", "noise"):
        for strength in (0.15, 0.25, 1.0):
            table.row(f"{name}, {kind} {strength}", features(corrupted(image_NHWC, kind, strength)))
    men_N = shipped().logits(image_NHWC)[:, attribute_index("Male")] > 0
    table.row(f"{name}, without men", plain_ND[np.resize(np.flatnonzero(~men_N), len(men_N))])
    for share in (2, 8):
        table.row(f"{name}, each {share} times", plain_ND[np.arange(len(plain_ND)) // share * share])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--model", nargs="+", default=["celeba64"])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--components", type=int, nargs="+", default=[32, COMPONENTS, 128, 256])
    parser.add_argument("--reference", type=Path, help="file that keeps the data's features between two calls (.npy)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(", ".join(f"{name} {value}" for name, value in describe_machine().items()))
    datasets = [PackedDataset.open(path) for path in arguments.data]
    view, count = DataView(datasets), arguments.count
    if arguments.reference is not None and arguments.reference.exists():
        reference_ND = torch.from_numpy(np.load(arguments.reference))
    else:
        index_N, started = evenly(len(view), 20_000), time.process_time()
        reference_ND = torch.cat([features(view.images(part)) for part in np.array_split(index_N, 100)])
        print(f"reference: {len(index_N):,} images in {time.process_time() - started:.1f} s of one core")
        if arguments.reference is not None:
            np.save(arguments.reference, reference_ND.numpy())
    table = Table(reference_ND, arguments.components)
    for size in (500, count):
        order = np.random.default_rng(0).permutation(len(reference_ND))
        sets = [reference_ND[order[start * size : (start + 1) * size]] for start in range(arguments.repeats)]
        table.repeats(f"{size:,} of the data's own", sets)
    held_out = DataView(datasets, held_out=True)
    worse(table, "held-out people", held_out.images(evenly(len(held_out), count)))
    for name in arguments.model:
        measure_model(table, name, count, arguments.repeats)


def measure_model(table: Table, name: str, count: int, repeats: int) -> None:
    """Print a model's faces of several latents, made worse, and what the score costs."""
    model = api.load(name)
    sets, spent = [], dict.fromkeys(("making", "looking"), 0.0)
    for seed in range(repeats):
        config, timer = replace(model.config, seed=seed), time.process_time
        started = timer()
        faces_NHWC = np.concatenate(list(score_faces(model.generator, config, count)))
        made = timer()
        sets.append(features(faces_NHWC))
        spent["making"] += made - started
        spent["looking"] += timer() - made
    table.repeats(f"{name} at {model.nimg:,} images, {repeats} repeats", sets)
    table.repeats(f"{name}, of each the first 500", [one[:500] for one in sets])
    if name == "celeba64":
        worse(table, name, faces_NHWC)
        for truncation in (0.9, 0.7, 0.5):
            faces_NHWC = model.sample(count, seed=0, truncation=truncation)
            table.row(f"{name}, truncation {truncation}", features(faces_NHWC))
    seconds = ", ".join(f"{what} {spent[what] / repeats:.1f} s" for what in ("making", "looking"))
    print(f"{name}: {count:,} faces, one core: {seconds}")


if __name__ == "__main__":
    main()
