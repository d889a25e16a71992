"""Are the faces copies? Nearest training faces of generated faces, set against those of real people held out.

For each face: its distance to the nearest training face (or mirror image), divided by its mean distance to the next
``NEIGHBOURS``. A copy is far nearer to one face than to all others; a blurred or a common face is near to many alike,
and is no copy. Held-out people of the same part show how small that ratio gets by chance.

The test asks, for a few tails of the held-out people's ratios (their j smallest, j from 1 to a twentieth of them), how
many generated faces lie below the j-th smallest. If both kinds came from one distribution that number would be
negative-hypergeometric, whatever the distribution: the p-value is exact (the nonparametric test of Meehan, Chaudhuri
and Dasgupta 2020 compares the same two samples by their ranks, but over the whole range, where a few copies drown). The
smallest p-value is multiplied by the number of tails and feature spaces that were looked at.

Legend: N faces, M training faces, D dimensions, K neighbours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

NEIGHBOURS = 20
TAILS = (0.0, 0.01, 0.05)
"""Shares of the held-out people below whose ratio generated faces are counted; 0: below all of them."""
SIGNIFICANT = 0.01
_THUMBNAIL = 16
_BLOCK = 512


def pixel_features(image_NHWC: np.ndarray) -> Tensor:
    """Return float32 [N, 768]: 16x16 thumbnails, each channel's mean taken away, of length 1.

    Brightness, a cast of colour and contrast do not matter, and shifts of a pixel little.
    """
    image_NCHW = torch.from_numpy(np.ascontiguousarray(image_NHWC)).permute(0, 3, 1, 2).float()
    thumb_NCHW = F.adaptive_avg_pool2d(image_NCHW, _THUMBNAIL)
    return F.normalize((thumb_NCHW - thumb_NCHW.mean((2, 3), keepdim=True)).flatten(1))


@dataclass(frozen=True)
class Nearest:
    """The nearest training face of each face."""

    ratio_N: np.ndarray
    """float64: distance to it, over the mean distance to the next ones."""
    index_N: np.ndarray
    """int64: which training face it is."""


def nearest_training(features_ND: Tensor, training_2MD: tuple[Tensor, Tensor], neighbours: int = NEIGHBOURS) -> Nearest:
    """Return the nearest of training faces, whose features and whose mirror images' features are given."""
    plain_MD, mirrored_MD = (part_MD.double() for part_MD in training_2MD)
    ratios, indices = [], []
    for part_BD in features_ND.double().split(_BLOCK):
        apart_BM = torch.minimum(
            torch.cdist(part_BD, plain_MD, compute_mode="use_mm_for_euclid_dist"),
            torch.cdist(part_BD, mirrored_MD, compute_mode="use_mm_for_euclid_dist"),
        )
        found = apart_BM.topk(neighbours + 1, largest=False)
        ratios.append(found.values[:, 0] / found.values[:, 1:].mean(1).clamp(min=1e-12))
        indices.append(found.indices[:, 0])
    return Nearest(torch.cat(ratios).numpy(), torch.cat(indices).numpy())


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
    """How many faces lie below one of the held-out people's smallest ratios."""

    space: str
    held_out_share: float
    """Share of held-out people up to that ratio."""
    ratio: float
    below: int
    p_value: float
    """Of this tail alone."""


@dataclass(frozen=True)
class Verdict:
    """What the audit found."""

    p_value: float
    """After correction for all tails and spaces."""
    suspicious: float
    """Share of faces below the held-out people's first percentile in any space, less the percent that chance gives."""
    tails: list[Tail]

    @property
    def copies(self) -> bool:
        return self.p_value < SIGNIFICANT

    def sentence(self) -> str:
        """Return the verdict in one sentence."""
        chance = f"p = {self.p_value:.2g}"
        if self.copies:
            share = f"about {self.suspicious:.1%} of the faces are"
            return f"COPIES: {share} nearer to a training face than chance allows ({chance})"
        return f"no copies seen: the faces are no nearer to training faces than unseen people are ({chance})"


def judge_copies(generated: dict[str, np.ndarray], held_out: dict[str, np.ndarray]) -> Verdict:
    """Return the verdict on ratios of generated faces [N] and held-out people's [K], in the same spaces."""
    tails = []
    for space, ratio_N in generated.items():
        known_K = np.sort(held_out[space])
        for share in TAILS:
            smallest = max(1, round(share * len(known_K)))
            limit = float(known_K[smallest - 1])
            below = int((ratio_N < limit).sum())
            p_value = tail_p_value(below, len(ratio_N), len(known_K), smallest)
            tails.append(Tail(space, smallest / len(known_K), limit, below, p_value))
    limits = {space: np.quantile(held_out[space], 0.01) for space in generated}
    struck = np.any([generated[space] < limits[space] for space in generated], axis=0).mean()
    by_chance = np.any([held_out[space] < limits[space] for space in generated], axis=0).mean()
    p_value = min(1.0, len(tails) * min(tail.p_value for tail in tails))
    return Verdict(p_value, float(max(0.0, struck - by_chance)), tails)
