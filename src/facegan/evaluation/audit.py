"""The audits on real data: are generated faces copies of training people, and whom do they leave out?"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facegan.data.packed import DataView, PackedDataset, joint_hash
from facegan.errors import UserError
from facegan.evaluation.memorisation import (
    NEIGHBOURS,
    CopyTest,
    Nearest,
    judge_copies,
    nearest_training,
    pixel_features,
    worse_ranks,
)
from facegan.evaluation.reference import Stage, counter, view_batches, view_features
from facegan.evaluation.representation import AttributeShare, attribute_shares
from facegan.perception.labeller import Labeller
from facegan.perception.spaces import Space

LEAST_HELD_OUT = 20
"""Held-out faces below which chance cannot be told from copies."""
LEAST_FACES = 200
"""Fewer generated faces than this are not audited."""
_MOST_PERMUTED = 6
"""Datasets whose orders are all looked at."""
PIXELS = "pixels"
SPACES = ("judge-net",)
"""Feature spaces that are looked at beside pixels: what takes faces for alike that people take for alike."""


@dataclass(frozen=True)
class Audit:
    """What was found, and where the closest pairs are."""

    copy_test: CopyTest
    generated: int
    training: int
    held_out: int
    closest: list[tuple[str, float, np.ndarray, np.ndarray]]
    """(space, ratio, generated face, training face), uint8 [R, R, 3], the smallest ratio first."""
    representation: list[AttributeShare]
    """How often each attribute is seen among generated faces and among held-out people."""
    other_data: bool = False
    """Whether the model was trained on other data than this: copies of faces that are not here cannot be seen."""


@dataclass(frozen=True)
class _Seen:
    """What was seen of some faces."""

    nearest: dict[str, Nearest]
    there_NA: np.ndarray


class _Closest:
    """The ``pairs`` faces that are closest to a training face in one space, of all that were looked at so far."""

    def __init__(self, held_out: Nearest, pairs: int) -> None:
        self._held_out, self._pairs = held_out, pairs
        self._place_P, self.ratio_P = np.empty(0, np.int64), np.empty(0)
        self.index_P = np.empty(0, np.int64)
        self.image_PHWC: list[np.ndarray] = []

    def add(self, image_NHWC: np.ndarray, nearest: Nearest) -> None:
        """Look at further faces, uint8 [n, R, R, 3]; of faces of one place, the earlier ones are kept."""
        place_P = np.concatenate([self._place_P, worse_ranks(nearest, self._held_out)[0]])
        kept = place_P.argsort(kind="stable")[: self._pairs]
        before = len(self._place_P)
        self.image_PHWC = [
            self.image_PHWC[row] if row < before else image_NHWC[row - before].copy() for row in kept.tolist()
        ]
        self._place_P = place_P[kept]
        self.ratio_P = np.concatenate([self.ratio_P, nearest.ratio_N])[kept]
        self.index_P = np.concatenate([self.index_P, nearest.index_N])[kept]


def audit(
    batches: Iterator[np.ndarray],
    model: dict[str, Any],
    count: int,
    data: Sequence[PackedDataset],
    spaces: Sequence[Space],
    labeller: Labeller,
    *,
    pairs: int = 24,
    stage: Stage = lambda *_: None,
) -> Audit:
    """Compare ``count`` generated faces, uint8 [n, R, R, 3] a batch, with the training people of packed datasets for
    copies, and with their held-out people for who is there how often. ``model``: what made them; its "resolution" must
    be the data's, and its "data", where it has one, says what it was trained on.

    Raises:
        UserError: too few held-out people, or faces of another size.
    """
    training, held_out = DataView(data), DataView(data, held_out=True)
    _check(training, held_out, model["resolution"], count)
    lookers: dict[str, Callable[[np.ndarray], Tensor]] = {PIXELS: pixel_features}
    lookers |= {space.name: space.features for space in spaces}
    whole = 2 * len(spaces) * sum(len(dataset) for dataset in data)
    advance = counter(stage, "training faces and their mirror images", whole)
    both = {PIXELS: _pixels(training)}
    for space in spaces:
        plain, mirrored = (view_features(training, space, advance, mirrored=way) for way in (False, True))
        both[space.name] = (plain, mirrored)

    def look_at(name: str, source: Iterator[np.ndarray], whole: int, closest: dict[str, _Closest]) -> _Seen:
        found: dict[str, list[Nearest]] = {space: [] for space in lookers}
        there, advance = [], counter(stage, name, whole)
        for image_NHWC in source:
            there.append(labeller.logits(image_NHWC) > 0)
            for space, look in lookers.items():
                found[space].append(nearest_training(look(image_NHWC), both[space]))
                if space in closest:
                    closest[space].add(image_NHWC, found[space][-1])
            advance(len(image_NHWC))
        return _Seen({space: Nearest.joined(parts) for space, parts in found.items()}, np.concatenate(there))

    unseen = look_at("held-out faces", view_batches(held_out), len(held_out), {})
    closest = {space: _Closest(nearest, pairs) for space, nearest in unseen.nearest.items()}
    made = look_at("generated faces", batches, count, closest)
    return Audit(
        copy_test=judge_copies(made.nearest, unseen.nearest),
        generated=len(made.there_NA),
        training=len(training),
        held_out=len(held_out),
        closest=_pairs_of(closest, training),
        representation=attribute_shares(made.there_NA, unseen.there_NA, held_out.identities(np.arange(len(held_out)))),
        other_data=not _is_trained_on(model.get("data"), training),
    )


def _is_trained_on(content_hash: str | None, training: DataView) -> bool:
    """Return whether a model's data are these datasets, in whatever order they are named; if nothing is known, yes."""
    if not content_hash or content_hash == training.content_hash:
        return True
    orders = itertools.permutations(training.datasets) if len(training.datasets) <= _MOST_PERMUTED else ()
    return any(joint_hash(order) == content_hash for order in orders)


def _check(training: DataView, held_out: DataView, resolution: int, count: int) -> None:
    if len(held_out) < LEAST_HELD_OUT:
        raise UserError(
            f"the data has {len(held_out)} held-out faces, and at least {LEAST_HELD_OUT} are needed to know how near "
            f"an unseen person comes to the training faces by chance: run facegan prepare again, with more images, "
            f"--identities or another --hold-out"
        )
    if len(training) <= NEIGHBOURS:
        raise UserError(
            f"the data has {len(training)} faces to train on, and at least {NEIGHBOURS + 1} are needed to know how "
            f"near they are to each other"
        )
    if resolution != training.resolution:
        raise UserError(
            f"the faces have {resolution} px and the data {training.resolution} px: prepare the data at the model's "
            "resolution"
        )
    if count < LEAST_FACES:
        raise UserError(f"{count} faces are too few to find copies, or who is left out: give at least {LEAST_FACES}")


def _pairs_of(closest: dict[str, _Closest], training: DataView) -> list[tuple[str, float, np.ndarray, np.ndarray]]:
    """Return the closest pairs of each space, as ``Audit`` has them."""
    return [
        (space, float(found.ratio_P[row]), image, training.images(found.index_P[row : row + 1])[0])
        for space, found in closest.items()
        for row, image in enumerate(found.image_PHWC)
    ]


def _pixels(view: DataView) -> tuple[Tensor, Tensor]:
    """Return the pixels of a view's faces, and of their mirror images."""
    found = [(pixel_features(image_NHWC), pixel_features(image_NHWC[:, :, ::-1])) for image_NHWC in view_batches(view)]
    plain, mirrored = zip(*found, strict=True)
    return torch.cat(plain), torch.cat(mirrored)
