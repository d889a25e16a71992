"""The audit of copies on real data: training people, held-out people and generated faces, and the closest pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from facegan.data.packed import DataView, PackedDataset
from facegan.errors import UserError
from facegan.evaluation.memorisation import Nearest, Verdict, judge_copies, nearest_training, pixel_features
from facegan.evaluation.reference import view_batches
from facegan.perception.spaces import Space

LEAST_HELD_OUT = 200
"""Held-out faces below which chance cannot be told from copies."""
PIXELS = "pixels"
Stage = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Audit:
    """What was found, and where the closest pairs are."""

    verdict: Verdict
    generated: int
    training: int
    held_out: int
    closest: list[tuple[str, float, np.ndarray, np.ndarray]]
    """(space, ratio, generated face, training face), uint8 [R, R, 3], the smallest ratio first."""


def audit(
    batches: Iterator[np.ndarray],
    count: int,
    data: Sequence[PackedDataset],
    spaces: Sequence[Space],
    *,
    pairs: int = 24,
    stage: Stage = lambda *_: None,
) -> Audit:
    """Compare ``count`` generated faces, uint8 [n, R, R, 3] a batch, with the training people of packed datasets.

    Raises:
        UserError: too few held-out people, or faces of another size.
    """
    training = DataView(data)
    held_out = DataView(data, held_out=True)
    if len(held_out) < LEAST_HELD_OUT:
        raise UserError(
            f"the data has {len(held_out)} faces of held-out people, and at least {LEAST_HELD_OUT} are needed to know "
            "how near an unseen person comes to the training faces by chance: prepare the data with --identities"
        )
    lookers: dict[str, Callable[[np.ndarray], Tensor]] = {PIXELS: pixel_features}
    lookers |= {space.name: space.features for space in spaces}
    known: dict[str, tuple[list[Tensor], list[Tensor]]] = {name: ([], []) for name in lookers}
    done = 0
    for image_NHWC in view_batches(training):
        for name, look in lookers.items():
            known[name][0].append(look(image_NHWC))
            known[name][1].append(look(image_NHWC[:, :, ::-1]))
        done += len(image_NHWC)
        stage("training faces and their mirror images", done, len(training))
    both = {name: (torch.cat(plain), torch.cat(mirrored)) for name, (plain, mirrored) in known.items()}

    def look_at(name: str, source: Iterator[np.ndarray], whole: int) -> tuple[dict[str, Nearest], list[np.ndarray]]:
        found: dict[str, list[Nearest]] = {space: [] for space in lookers}
        faces, seen = [], 0
        for image_NHWC in source:
            if image_NHWC.shape[1] != training.resolution:
                raise UserError(
                    f"the faces have {image_NHWC.shape[1]} px and the data {training.resolution} px: prepare the data "
                    "at the model's resolution"
                )
            faces.append(image_NHWC)
            for space, look in lookers.items():
                found[space].append(nearest_training(look(image_NHWC), both[space]))
            seen += len(image_NHWC)
            stage(name, seen, whole)
        return {space: _joined(parts) for space, parts in found.items()}, faces

    unseen, _ = look_at("held-out people", view_batches(held_out), len(held_out))
    made, faces = look_at("generated faces", batches, count)
    verdict = judge_copies(
        {name: nearest.ratio_N for name, nearest in made.items()},
        {name: nearest.ratio_N for name, nearest in unseen.items()},
    )
    image_NHWC = np.concatenate(faces)
    closest = []
    for name, nearest in made.items():
        for place in np.argsort(nearest.ratio_N, kind="stable")[:pairs]:
            match = training.images(nearest.index_N[place : place + 1])[0]
            closest.append((name, float(nearest.ratio_N[place]), image_NHWC[place], match))
    return Audit(verdict, len(image_NHWC), len(training), len(held_out), closest)


def _joined(parts: Sequence[Nearest]) -> Nearest:
    return Nearest(
        np.concatenate([part.ratio_N for part in parts]),
        np.concatenate([part.index_N for part in parts]),
    )
