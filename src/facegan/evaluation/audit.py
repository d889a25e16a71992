"""The audits on real data: are generated faces copies of training people, and whom do they leave out?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facegan.data.packed import DataView, PackedDataset
from facegan.errors import UserError
from facegan.evaluation.coverage import Presence, presences
from facegan.evaluation.memorisation import CopyTest, Nearest, judge_copies, nearest_training, pixel_features, places
from facegan.evaluation.reference import Stage, counter, view_batches, view_features
from facegan.perception.labeller import Labeller
from facegan.perception.spaces import Space

LEAST_HELD_OUT = 20
"""Held-out faces below which chance cannot be told from copies."""
LEAST_FACES = 200
"""Fewer generated faces than this are not audited."""
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
    coverage: list[Presence]
    """How often each attribute is seen among generated faces and among held-out people."""
    other_data: bool = False
    """Whether the model was trained on other data than this: copies of faces that are not here cannot be seen."""


@dataclass(frozen=True)
class _Seen:
    """What was seen of some faces."""

    nearest: dict[str, Nearest]
    image_NHWC: np.ndarray
    there_NA: np.ndarray


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

    def look_at(name: str, source: Iterator[np.ndarray], whole: int) -> _Seen:
        found: dict[str, list[Nearest]] = {space: [] for space in lookers}
        faces, logits, advance = [], [], counter(stage, name, whole)
        for image_NHWC in source:
            faces.append(image_NHWC)
            logits.append(labeller.logits(image_NHWC))
            for space, look in lookers.items():
                found[space].append(nearest_training(look(image_NHWC), both[space]))
            advance(len(image_NHWC))
        nearest = {space: Nearest.joined(parts) for space, parts in found.items()}
        return _Seen(nearest, np.concatenate(faces), np.concatenate(logits) > 0)

    unseen = look_at("held-out faces", view_batches(held_out), len(held_out))
    made = look_at("generated faces", batches, count)
    return Audit(
        copy_test=judge_copies(made.nearest, unseen.nearest),
        generated=len(made.image_NHWC),
        training=len(training),
        held_out=len(held_out),
        closest=_closest(made, unseen, training, pairs),
        coverage=presences(made.there_NA, unseen.there_NA, held_out.identities(np.arange(len(held_out)))),
        other_data=(model.get("data") or training.content_hash) != training.content_hash,
    )


def _check(training: DataView, held_out: DataView, resolution: int, count: int) -> None:
    if len(held_out) < LEAST_HELD_OUT:
        raise UserError(
            f"the data has {len(held_out)} held-out faces, and at least {LEAST_HELD_OUT} are needed to know how near "
            f"an unseen person comes to the training faces by chance: run facegan prepare again, with more images, "
            f"--identities or another --hold-out"
        )
    if resolution != training.resolution:
        raise UserError(
            f"the faces have {resolution} px and the data {training.resolution} px: prepare the data at the model's "
            "resolution"
        )
    if count < LEAST_FACES:
        raise UserError(f"{count} faces are too few to find copies, or who is left out: give at least {LEAST_FACES}")


def _closest(
    made: _Seen, unseen: _Seen, training: DataView, pairs: int
) -> list[tuple[str, float, np.ndarray, np.ndarray]]:
    """Return the closest ``pairs`` of each space, as ``Audit`` has them."""
    closest = []
    for name, nearest in made.nearest.items():
        order_N = places(nearest, unseen.nearest[name])[0].argsort(kind="stable")
        for place in order_N[:pairs]:
            match = training.images(nearest.index_N[place : place + 1])[0]
            closest.append((name, float(nearest.ratio_N[place]), made.image_NHWC[place], match))
    return closest


def _pixels(view: DataView) -> tuple[Tensor, Tensor]:
    """Return the pixels of a view's faces, and of their mirror images."""
    found = [(pixel_features(image_NHWC), pixel_features(image_NHWC[:, :, ::-1])) for image_NHWC in view_batches(view)]
    plain, mirrored = zip(*found, strict=True)
    return torch.cat(plain), torch.cat(mirrored)
