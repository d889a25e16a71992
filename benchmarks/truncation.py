"""What truncation costs and gives, towards the mean style of all faces or of those with the same labels.

    python benchmarks/truncation.py celeba64 data/part-a data/part-b
    python benchmarks/truncation.py runs/style data/celeba64 --count 10000 --only 0.7 0.5

"all faces": every style goes towards one mean (Karras et al. 2019), over labels as they are drawn; "same labels": each
towards the mean over latents with its own labels, as facegan does it (Dobler et al. 2022). Scores in judge-net, all
real people are the reference; 95% intervals for the Frechet distance. A Markdown table.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from facegan import api
from facegan.data.packed import PackedDataset
from facegan.evaluation.evaluate import evaluate, open_view
from facegan.evaluation.receipt import four_digits
from facegan.machine import describe_machine, keep_freed_memory
from facegan.perception.spaces import open_space

SCORES = ("frechet", "precision", "density", "recall", "coverage")
MEAN_COUNT = 1024
BATCH = 64


def faces(
    model: api.Model, count: int, seed: int, truncation: float, mean_1W: np.ndarray | None
) -> Iterator[np.ndarray]:
    """Yield numbered faces, uint8 [n, R, R, 3], truncated towards one mean style or (None) as ``sample`` does."""
    for start in range(0, count, BATCH):
        index = range(start, min(start + BATCH, count))
        if mean_1W is None:
            style_NW = model.numbered_styles(seed, index, truncation=truncation)
        else:
            style_NW = mean_1W + np.float32(truncation) * (model.numbered_styles(seed, index) - mean_1W)
        yield model.generate(styles=style_NW)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data", type=Path, nargs="+", help="the folders that the model was trained on")
    parser.add_argument("--count", type=int, default=5000, help="faces of each row")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=float, nargs="+", default=[0.9, 0.8, 0.7, 0.6, 0.5], help="truncations")
    arguments = parser.parse_args()
    keep_freed_memory()
    began, model = time.perf_counter(), api.load(arguments.model)
    view = open_view([PackedDataset.open(path) for path in arguments.data], "all")
    space = open_space("judge-net")
    mean_1W = model.numbered_styles(arguments.seed + 1, range(MEAN_COUNT)).mean(0, keepdims=True)
    print(f"{arguments.model}, {arguments.count:,} faces of seed {arguments.seed} a row")
    print(describe_machine(), torch.get_num_threads(), "threads")
    print(f"| truncation | towards the mean of | {' | '.join(SCORES)} |")
    print("|---" * (2 + len(SCORES)) + "|")
    rows = [(1.0, "", None), *((value, name, mean) for value in arguments.only
                               for name, mean in (("all faces", mean_1W), ("same labels", None)))]  # fmt: skip
    for truncation, name, mean in rows:
        made = faces(model, arguments.count, arguments.seed, truncation, mean)
        receipt = evaluate(made, {"resolution": model.resolution}, view, [space], count=arguments.count)
        found = {score.name: score.estimate for score in receipt.scores}
        cells = [four_digits(found[score].value) for score in SCORES]
        cells[0] += f" ({four_digits(found['frechet'].low)} to {four_digits(found['frechet'].high)})"
        print(f"| {truncation:g} | {name} | {' | '.join(cells)} |", flush=True)
    print(f"{time.perf_counter() - began:.0f} s, real faces included")


if __name__ == "__main__":
    main()
