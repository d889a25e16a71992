"""What the audit of copies catches: python benchmarks/audit_copies.py DATA

    python benchmarks/audit_copies.py data/celeba64 --run runs/dcgan

Half of the held-out people, a share of them replaced by training faces, stands for a generator; the other half shows
what chance does. The replayed faces are exact, or mirrored at random, moved by up to 2 px and changed in contrast,
brightness and colour. Then 200 random halves of held-out people, nothing replaced: the false alarms.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from facegan import api
from facegan.data.packed import DataView, PackedDataset
from facegan.evaluation.audit import PIXELS, SPACES
from facegan.evaluation.memorisation import Nearest, judge_copies, nearest_training, pixel_features
from facegan.perception.spaces import open_space
from facegan.randomness import Stream

SPLITS = 200


def disguised(image_NHWC: np.ndarray) -> np.ndarray:
    """Mirror, move, and change contrast, brightness and colour."""
    draws = Stream(1, "disguised").uniform(np.arange(len(image_NHWC)), 6)
    found = np.empty_like(image_NHWC)
    for number, (image_HWC, (mirror, down, right, contrast, light, cast)) in enumerate(
        zip(image_NHWC, draws, strict=True)
    ):
        changed = image_HWC[:, ::-1] if mirror < 0.5 else image_HWC
        changed = np.roll(changed, (int(down * 5) - 2, int(right * 5) - 2), (0, 1)).astype(float)
        changed = (changed - 128) * (0.85 + 0.3 * contrast) + 128 + 30 * (light - 0.5)
        found[number] = np.clip(changed + np.array([1, 0, -1]) * 20 * (cast - 0.5), 0, 255)
    return found


def chosen(nearest: Nearest, rows_N: np.ndarray) -> Nearest:
    """Return the nearest of some of the faces: indices or bool."""
    return Nearest(*(values_N[rows_N] for values_N in nearest))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--run", type=Path, nargs="*", default=[], help="runs to audit as well")
    arguments = parser.parse_args()
    dataset = PackedDataset.open(arguments.data)
    training, held_out = DataView([dataset]), DataView([dataset], held_out=True)
    known_NHWC = training.images(np.arange(len(training)))
    lookers = {PIXELS: pixel_features} | {name: open_space(name).features for name in SPACES}

    def look(space: str, image_NHWC: np.ndarray) -> torch.Tensor:
        return torch.cat([lookers[space](part) for part in np.array_split(image_NHWC, len(image_NHWC) // 256 + 1)])

    both = {space: (look(space, known_NHWC), look(space, known_NHWC[:, :, ::-1])) for space in lookers}

    def nearest(image_NHWC: np.ndarray) -> dict[str, Nearest]:
        return {space: nearest_training(look(space, image_NHWC), both[space]) for space in lookers}

    person_K = held_out.identities(np.arange(len(held_out)))
    unseen = nearest(held_out.images(np.arange(len(held_out))))

    def halves(number: int) -> tuple[dict[str, Nearest], dict[str, Nearest]]:
        people = np.unique(person_K)
        order = Stream(number, "halves").permutation(0, len(people))
        mine_K = np.isin(person_K, people[order[: len(people) // 2]])
        return ({space: chosen(found, mine_K) for space, found in unseen.items()},
                {space: chosen(found, ~mine_K) for space, found in unseen.items()})  # fmt: skip

    new, chance = halves(0)
    count = len(new[PIXELS].ratio_N)
    replayed = {"exact": nearest(known_NHWC[:count]), "disguised": nearest(disguised(known_NHWC[:count]))}
    for share in (0.0, 0.01, 0.05, 0.2, 1.0):
        copies = round(share * count)
        for how, found in replayed.items():
            rows = np.arange(count)
            mixed = {
                space: Nearest.joined([chosen(found[space], rows[:copies]), chosen(new[space], rows[copies:])])
                for space in new
            }
            print(f"{share:4.0%} ({copies} of {count}) {how:<10} {judge_copies(mixed, chance).sentence()}", flush=True)
    alarms = np.array([judge_copies(*halves(number)).p_value for number in range(SPLITS)])
    shares = ", ".join(f"p < {limit} in {(alarms < limit).mean():.1%}" for limit in (0.01, 0.05))
    print(f"held-out people against held-out people, {SPLITS} splits: {shares}", flush=True)
    for run in arguments.run:
        print(f"{run}: {judge_copies(nearest(api.load(run).sample(1000)), unseen).sentence()}", flush=True)


if __name__ == "__main__":
    main()
