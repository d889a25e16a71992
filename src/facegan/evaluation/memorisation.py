"""Are the faces copies? Nearest training faces of generated faces, set against those of real people held out.

For each face two things are taken: the distance to its nearest training face (or mirror image), and that distance over
the mean distance to the next ``NEIGHBOURS``. A copy is small in both: it is near, and far nearer to one face than to
all others. A blurred or a common face is near to many alike; a failed one may lie on the side of one odd training face,
but far from it. So each face is ranked among the held-out people by both, and the worse rank counts.

The test asks, for a few tails of the held-out people's ranks (their j smallest, j from 1 to a twentieth of them), how
many generated faces lie below the j-th smallest. If both kinds came from one distribution that number would be
negative-hypergeometric, whatever the distribution: the p-value needs no model of faces (the nonparametric test of
Meehan, Chaudhuri and Dasgupta 2020 compares the same two samples by their ranks, but over the whole range, where a few
copies drown). The smallest p-value is multiplied by the number of tails and feature spaces that were looked at.

Legend: N faces, M training faces, D dimensions, K neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

NEIGHBOURS = 20
TAILS = (0.0, 0.01, 0.05)
"""Shares of the held-out people below whose rank generated faces are counted; 0: below all of them."""
SIGNIFICANT = 0.01
_THUMBNAIL = 16
_BLOCK = 512


def pixel_features(image_NHWC: np.ndarray) -> Tensor:
    """Return float32 [N, 768]: 16x16 thumbnails, each channel's mean taken away, of length 1.

    Brightness, a cast of colour and contrast do not matter, and shifts of a pixel little.
    """
    image_NCHW = torch.from_numpy(np.require(image_NHWC, requirements=("C", "W"))).permute(0, 3, 1, 2).float()
    thumb_NCHW = F.adaptive_avg_pool2d(image_NCHW, _THUMBNAIL)
    return F.normalize((thumb_NCHW - thumb_NCHW.mean((2, 3), keepdim=True)).flatten(1))


class Nearest(NamedTuple):
    """The nearest training face of each face."""

    ratio_N: np.ndarray
    """float64: distance to it, over the mean distance to the next ones."""
    distance_N: np.ndarray
    """float64: distance to it."""
    index_N: np.ndarray
    """int64: which training face it is."""

    @staticmethod
    def joined(parts: Sequence[Nearest]) -> Nearest:
        """Return the nearest of several sets of faces."""
        return Nearest(*map(np.concatenate, zip(*parts, strict=True)))


def nearest_training(features_ND: Tensor, training_2MD: tuple[Tensor, Tensor], neighbours: int = NEIGHBOURS) -> Nearest:
    """Return the nearest of training faces, whose features and whose mirror images' features are given."""
    plain_MD, mirrored_MD = (part_MD.double() for part_MD in training_2MD)
    parts = []
    for part_BD in features_ND.double().split(_BLOCK):
        apart_BM = torch.minimum(
            torch.cdist(part_BD, plain_MD, compute_mode="use_mm_for_euclid_dist"),
            torch.cdist(part_BD, mirrored_MD, compute_mode="use_mm_for_euclid_dist"),
        )
        found = apart_BM.topk(neighbours + 1, largest=False)
        nearest_B = found.values[:, 0]
        ratio_B = nearest_B / found.values[:, 1:].mean(1).clamp(min=1e-12)
        parts.append(Nearest(ratio_B.numpy(), nearest_B.numpy(), found.indices[:, 0].numpy()))
    return Nearest.joined(parts)


def worse_ranks(generated: Nearest, held_out: Nearest) -> tuple[np.ndarray, np.ndarray]:
    """Return int64 [N] and [K] in 0 .. K, of generated and of held-out faces: the worse of a face's ranks among the
    held-out people's ratios and distances."""
    ratio_K, distance_K = np.sort(held_out.ratio_N), np.sort(held_out.distance_N)
    rank_N, rank_K = (
        np.maximum(np.searchsorted(ratio_K, faces.ratio_N), np.searchsorted(distance_K, faces.distance_N))
        for faces in (generated, held_out)
    )
    return rank_N, rank_K


def tail_p_value(below: int, count: int, held_out: int, smallest: int) -> float:
    """Return the chance that ``below`` or more of ``count`` values are under the ``smallest``-th of ``held_out``.

    Both from one distribution, whichever it is: the number is then negative-hypergeometric.
    The j-th smallest held-out value has x generated ones below it with chance
    C(x + j - 1, x) C(N - x + K - j, N - x) / C(N + K, N).
    """
    if below <= 0:
        return 1.0
    total = _log_choose(count + held_out, count)
    logs = [
        _log_choose(x + smallest - 1, x) + _log_choose(count - x + held_out - smallest, count - x) - total
        for x in range(below, count + 1)
    ]
    largest = max(logs)
    return min(1.0, math.exp(largest) * math.fsum(math.exp(value - largest) for value in logs))


def _log_choose(upper: int, lower: int) -> float:
    return math.lgamma(upper + 1) - math.lgamma(lower + 1) - math.lgamma(upper - lower + 1)


@dataclass(frozen=True)
class Tail:
    """How many faces lie below one of the held-out people's smallest ranks."""

    space: str
    held_out_share: float
    """Share of held-out people up to that rank."""
    below: int
    p_value: float
    """Of this tail alone."""


@dataclass(frozen=True)
class CopyTest:
    """What the audit found."""

    p_value: float
    """After correction for all tails and spaces."""
    suspicious: float
    """Share of faces below the held-out people's first percentile in any space, less the share that chance gives."""
    tails: list[Tail]

    held_out: int
    """How many held-out faces set the limits."""

    @property
    def copies(self) -> bool:
        return self.p_value < SIGNIFICANT

    @property
    def detectable(self) -> float:
        """Share of exact copies among the faces from which on the test finds them: fewer held-out faces find fewer.

        All of a share s of many faces lie below the smallest of K held-out ranks with chance (1 - s)^K.
        """
        return 1 - (SIGNIFICANT / len(self.tails)) ** (1 / self.held_out)

    def sentence(self) -> str:
        """Return the verdict in one sentence."""
        chance = f"p = {self.p_value:.2g}"
        if self.copies:
            share = f"about {self.suspicious:.1%} of the faces are"
            return f"COPIES: {share} nearer to a training face than chance allows ({chance})"
        return (
            f"no copies seen: the faces are no nearer to training faces than unseen ones are ({chance}; with "
            f"{self.held_out:,} held-out faces, copies are found where they are {self.detectable:.1%} of all or more)"
        )


def judge_copies(generated: dict[str, Nearest], held_out: dict[str, Nearest]) -> CopyTest:
    """Return the verdict on the nearest of generated faces and of held-out people, in the same spaces."""
    tails, suspicious, by_chance = [], [], []
    for space, nearest in generated.items():
        rank_N, rank_K = worse_ranks(nearest, held_out[space])
        known_K = np.sort(rank_K)
        for smallest in dict.fromkeys(max(1, round(share * len(known_K))) for share in TAILS):
            # Rank 0 is nearer than all held-out people, also where one of them is the nearest of them in both.
            below = int((rank_N < max(1, known_K[smallest - 1])).sum())
            p_value = tail_p_value(below, len(rank_N), len(known_K), smallest)
            tails.append(Tail(space, smallest / len(known_K), below, p_value))
        limit = max(1, known_K[max(1, round(0.01 * len(known_K))) - 1])
        suspicious.append(rank_N < limit)
        by_chance.append(rank_K < limit)
    p_value = min(1.0, len(tails) * min(tail.p_value for tail in tails))
    share = np.any(suspicious, axis=0).mean() - np.any(by_chance, axis=0).mean()
    held_out_count = min(len(nearest.ratio_N) for nearest in held_out.values())
    return CopyTest(p_value, float(max(0.0, share)), tails, held_out_count)
