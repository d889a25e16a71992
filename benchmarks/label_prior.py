"""What labels are worth when faces are made: the same weights and latents with no labels, drawn ones, and real rows.

    python benchmarks/label_prior.py celeba64 data/part-a data/part-b
    python benchmarks/label_prior.py runs/style data/celeba64 --count 10000

"none": every attribute unknown (facegan 0.1.0); "prior": labels drawn from the model's label prior; "rows": labels
of faces of the training, drawn at random, those of attributes-net where a face has none. Of the last two as much is
withheld as in training. 95% intervals; judge-net and random-net; all real people are the reference. A Markdown table.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from facegan import api
from facegan.data.packed import DataView, PackedDataset
from facegan.evaluation.evaluate import evaluate, open_view
from facegan.evaluation.receipt import Receipt, four_digits
from facegan.machine import describe_machine, keep_freed_memory
from facegan.perception.labeller import shipped
from facegan.perception.spaces import DEFAULT, open_space
from facegan.pixels import to_uint8
from facegan.randomness import Stream
from facegan.sampling.conditioning import kept_mask
from facegan.sampling.inference import for_inference
from facegan.sampling.latents import draw_latents
from facegan.sampling.sampler import INTERNAL_BATCH, generate
from facegan.training.labels import label_faces

SHOWN = ("frechet", "precision", "recall")


def faces_of_rows(model: api.Model, labels_MA: np.ndarray, count: int, seed: int) -> Iterator[np.ndarray]:
    """Yield the faces of a seed, each with the labels of a training face, withheld as in training."""
    generator, recipe = for_inference(model.generator), model.recipe
    for start in range(0, count, INTERNAL_BATCH):
        number_N = np.arange(start, min(start + INTERNAL_BATCH, count))
        row_N = Stream(seed, "rows").below(number_N, len(labels_MA))
        kept_NA = kept_mask(Stream(seed, "labels/withheld"), number_N, recipe.label_dropout)
        latent_NZ = draw_latents(seed, "latents", number_N, recipe.latent_size, recipe.latent)
        yield to_uint8(generate(generator, latent_NZ, np.float32(labels_MA[row_N]) * kept_NA))


def show(name: str, receipt: Receipt) -> None:
    found = {(score.space, score.name): score.estimate for score in receipt.scores}
    cells = [
        f"{four_digits(estimate.value)} ({four_digits(estimate.low)} to {four_digits(estimate.high)})"
        for estimate in (found[space, score] for space in DEFAULT for score in SHOWN)
    ]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data", type=Path, nargs="+", help="the folders that the model was trained on")
    parser.add_argument("--count", type=int, default=5000, help="faces of each row")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    keep_freed_memory()
    datasets, began = [PackedDataset.open(path) for path in arguments.data], time.perf_counter()
    model, view = api.load(arguments.model), open_view(datasets, "all")
    spaces = [open_space(name) for name in DEFAULT]
    count, seed = arguments.count, arguments.seed
    labels_MA = label_faces(DataView(datasets), shipped().logits)
    print(f"{arguments.model}, {count:,} faces of seed {seed} a row")
    print(describe_machine(), torch.get_num_threads(), "threads")
    print("| labels | " + " | ".join(f"{space} {score}" for space in DEFAULT for score in SHOWN) + " |")
    print("|---" * (1 + len(DEFAULT) * len(SHOWN)) + "|")
    sources = {
        "none": (faces for faces, _ in model.batches(count, seed=seed, labels="none")),
        "prior": (faces for faces, _ in model.batches(count, seed=seed)),
        "rows": faces_of_rows(model, labels_MA, count, seed),
    }
    for name, batches in sources.items():
        show(name, evaluate(batches, {"resolution": model.resolution}, view, spaces, count=count))
    print(f"{time.perf_counter() - began:.0f} s, real faces included")


if __name__ == "__main__":
    main()
