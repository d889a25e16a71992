"""How often the 95% intervals of scores hold the truth: python benchmarks/interval_coverage.py DATA

    python benchmarks/interval_coverage.py data/celeba64 --repeats 1000

A generator that can be asked for any number of samples is made of real faces' features: one of them at random, plus
noise, and, to be far from the reference, moved by a third of the features' spread. Each repeat draws a set of it and
scores it against other people's features. The truth, the score that sets of this size have on average, is the mean over
all repeats, which a thousand of them give to a thirtieth of their spread; a repeat is covered if its interval holds it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facegan.data.packed import DataView, PackedDataset
from facegan.evaluation.reference import RealFeatures, reference_of
from facegan.evaluation.scores import frechet_estimate
from facegan.metrics.kernel import kernel_estimate
from facegan.metrics.neighbours import neighbour_estimates
from facegan.perception.spaces import open_space

DIMENSIONS = 64
"""Of the space, by a random projection: the sets are small."""


def draw(pool_PD: Tensor, count: int, number: int, shift: float = 0.0) -> Tensor:
    """Return features [count, D] of the generator's set ``number``, moved by so much of their spread."""
    generator = torch.Generator().manual_seed(number)
    chosen = torch.randint(len(pool_PD), (count,), generator=generator)
    noise = torch.randn(count, pool_PD.shape[1], generator=generator)
    return pool_PD[chosen] + pool_PD.std(0) * (0.4 * noise + shift)


def scores(x_ND: Tensor, reference: RealFeatures) -> dict[str, tuple[float, float, float]]:
    found = {"frechet": frechet_estimate(x_ND, reference)}
    found["kernel"] = kernel_estimate(x_ND, reference.features_MD, reference_pairs=reference.pairs)
    found |= neighbour_estimates(x_ND, reference.features_MD, reference_radii=reference.radii)
    return {name: (estimate.value, estimate.low, estimate.high) for name, estimate in found.items()}


def show(name: str, tried: np.ndarray) -> None:
    truth, spread = tried[:, 0].mean(), tried[:, 0].std(ddof=1)
    covered = ((tried[:, 1] <= truth) & (truth <= tried[:, 2])).mean()
    width = (tried[:, 2] - tried[:, 1]).mean() / (2 * 1.96 * spread)
    print(f"  {name:<10} truth {truth:9.5f}, spread {spread:.5f}; the interval holds it in {covered:6.1%}, and is "
          f"{width:.2f} times as wide as it need be", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--count", type=int, default=1000, help="samples of a set")
    parser.add_argument("--space", default="random-net")
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    view = DataView([PackedDataset.open(arguments.data)], held_out=None)
    whole = reference_of(view, "all", open_space(arguments.space))
    width = whole.features_MD.shape[1]
    projection = torch.randn(width, DIMENSIONS, generator=torch.Generator().manual_seed(0)) / width**0.5
    one, other = RealFeatures(whole.features_MD @ projection, whole.person_M).halves()
    reference = RealFeatures(other.features_MD[:2000], other.person_M[:2000])
    print(f"{arguments.repeats} sets of {arguments.count}", flush=True)
    for what, shift in (("near the reference", 0.0), ("far from it", 1 / 3)):
        print(what, flush=True)
        found: dict[str, list[tuple[float, float, float]]] = {}
        for number in range(arguments.repeats):
            for name, row in scores(draw(one.features_MD, arguments.count, number, shift), reference).items():
                found.setdefault(name, []).append(row)
        for name, rows in found.items():
            show(name, np.array(rows))


if __name__ == "__main__":
    main()
