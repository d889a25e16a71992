"""What generated faces are held against: real people's features in a space, cached by content hash.

The floor stands beside every score: one half of the real people against the other half.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facegan.data.packed import DataView, PackedDataset
from facegan.errors import UserError
from facegan.evaluation.receipt import Receipt, Score, read_receipt
from facegan.files import cache_folder
from facegan.metrics import neighbours
from facegan.metrics.frechet import Gaussian
from facegan.metrics.kernel import mean_of_pairs
from facegan.perception.spaces import Space
from facegan.randomness import Stream
from facegan.tensor_cache import cached_tensors, keep, keep_tensors

_BATCH = 256
_CACHE_VERSION = 2
MOST_PAIRED = 50_000
"""Generated faces of which each pair, and each pair with a real one, is looked at: that takes the square of their
number. Of more, so many are drawn."""
MOST_PAIRED_REAL = 250_000
"""The same of the real faces: more than CelebA has."""
Progress = Callable[[int], None]
"""Called with the number of faces that were looked at."""
Stage = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


def drawn(features_ND: Tensor, most: int) -> Tensor:
    """Return ``most`` of the samples in Philox order, or all if there are no more; they keep their order."""
    if len(features_ND) <= most:
        return features_ND
    row_K = np.sort(Stream(0, "pairs").permutation(0, len(features_ND))[:most])
    return features_ND[torch.from_numpy(row_K)]


@dataclass(frozen=True)
class RealFeatures:
    """Real faces in one space."""

    features_MD: Tensor
    person_M: np.ndarray
    """int32 [M]: who it is; 0 unknown, each then a person of its own."""
    known: Mapping[str, Tensor] = field(default_factory=dict)
    """What is known already: "pairs" and "radii"."""

    @cached_property
    def gaussian(self) -> Gaussian:
        return Gaussian.of(self.features_MD)

    @cached_property
    def paired(self) -> Tensor:
        """Those of the faces that pairs are made with: at most ``MOST_PAIRED_REAL``."""
        return drawn(self.features_MD, MOST_PAIRED_REAL)

    @cached_property
    def pairs(self) -> float:
        """Mean kernel between two of ``paired``."""
        return float(self.known["pairs"]) if "pairs" in self.known else mean_of_pairs(self.paired)

    @cached_property
    def radii(self) -> Tensor:
        """Of ``paired``, float64 [K]."""
        return self.known["radii"] if "radii" in self.known else neighbours.radii(self.paired)

    def halves(self, seed: int = 0) -> tuple[RealFeatures, RealFeatures]:
        """Return two references of unlike people, about half of the faces each."""
        person_M = np.where(self.person_M > 0, self.person_M, -1 - np.arange(len(self.person_M)))
        people, person_of_M = np.unique(person_M, return_inverse=True)
        order = Stream(seed, "halves").permutation(0, len(people))
        faces_P = np.bincount(person_of_M)[order]
        first = set(order[: int(np.searchsorted(faces_P.cumsum(), len(person_M) / 2)) + 1].tolist())
        mine_M = np.isin(person_of_M, list(first))
        return (
            RealFeatures(self.features_MD[torch.from_numpy(mine_M)], self.person_M[mine_M]),
            RealFeatures(self.features_MD[torch.from_numpy(~mine_M)], self.person_M[~mine_M]),
        )


def counter(stage: Stage, name: str, whole: int) -> Progress:
    """Return what adds up the faces that were looked at, and tells the stage how many of the ``whole`` they are."""
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        stage(name, done, whole)

    return advance


def view_batches(view: DataView) -> Iterator[np.ndarray]:
    """Yield the faces of a view, uint8 [n, R, R, 3]."""
    for start in range(0, len(view), _BATCH):
        yield view.images(np.arange(start, min(start + _BATCH, len(view))))


def _cache_file(kind: str, space: Space, *whose: str) -> Path:
    key = json.dumps([_CACHE_VERSION, *whose, space.describe()], sort_keys=True)
    return cache_folder() / kind / hashlib.sha256(key.encode()).hexdigest()[:32]


def view_features(
    view: DataView, space: Space, progress: Progress = lambda _: None, *, mirrored: bool = False
) -> Tensor:
    """Return float32 [M, D]: the faces of a view, or their mirror images, in a space.

    Each dataset is looked at once, as a whole, and then kept in the cache.
    """
    features_MD = torch.empty(len(view), space.dimensions)
    for number, dataset in enumerate(view.datasets):
        place_M, row_M = view.places(number)
        features_MD[torch.from_numpy(place_M)] = _dataset_features(dataset, space, progress, mirrored)[row_M]
    return features_MD


def _dataset_features(dataset: PackedDataset, space: Space, progress: Progress, mirrored: bool) -> Tensor:
    kind = "mirrored" if mirrored else "features"
    file = _cache_file(kind, space, dataset.content_hash).with_suffix(".safetensors")
    cached = cached_tensors(file, {"features": (torch.float32, (len(dataset), space.dimensions))})
    if cached is None:
        parts = []
        for image_NHWC in view_batches(DataView([dataset], held_out=None)):
            parts.append(space.features(image_NHWC[:, :, ::-1] if mirrored else image_NHWC))
            progress(len(image_NHWC))
        cached = {"features": torch.cat(parts)}
        keep_tensors(file, cached)
    else:
        progress(len(dataset))
    return cached["features"]


def reference_of(view: DataView, people: str, space: Space, progress: Progress = lambda _: None) -> RealFeatures:
    """Return the reference of a view in a space, with what takes long to compute, from the cache if it is there.

    ``people`` names which of the data's people the view shows.
    """
    features_MD, person_M = view_features(view, space, progress), view.identities(np.arange(len(view)))
    file = _cache_file("statistics", space, view.content_hash, people).with_suffix(".safetensors")
    shapes = {"pairs": (torch.float64, (1,)), "radii": (torch.float64, (min(len(view), MOST_PAIRED_REAL),))}
    known = cached_tensors(file, shapes)
    if known is None:
        found = RealFeatures(features_MD, person_M)
        known = {"pairs": torch.tensor([found.pairs], dtype=torch.float64), "radii": found.radii.contiguous()}
        keep_tensors(file, known)
    return RealFeatures(features_MD, person_M, known)


def kept_floor(view: DataView, people: str, space: Space, measure: Callable[[], list[Score]]) -> list[Score]:
    """Return the scores of one half of the real people against the other, measured once.

    ``people`` names which of the data's people the view shows.
    """
    file = _cache_file("floors", space, view.content_hash, people).with_suffix(".json")
    try:
        return read_receipt(file).scores
    except UserError:
        scores = measure()
        keep(file, Receipt({}, {}, scores, {}).save)
        return scores
