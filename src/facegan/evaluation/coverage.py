"""Which people does the generator leave out, or make too often? Attributes among generated and among real faces.

Attributes-net looks at both, so that its own mistakes are on both sides; the real ones are people that it has not
learned from, as it has not learned from generated faces. Intervals are Newcombe's for a difference of two shares (1998,
method 10). Several faces of one person count for less than as many people: the variances of real shares are clustered.
Over all attributes and pairs the p-values are corrected by Holm's step-down method.

Legend: N generated faces, M real ones, A attributes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import NormalDist

import numpy as np

from facegan.attributes import ATTRIBUTE_NAMES

SIGNIFICANT = 0.05
PAIRED = ("Male", "Young", "Eyeglasses", "Smiling", "Blond_Hair", "Black_Hair", "Gray_Hair", "Bald", "Pale_Skin",
          "Wearing_Hat", "Heavy_Makeup", "Chubby")  # fmt: skip
"""Attributes whose pairs are looked at too: who somebody is, and what hides a face."""


@dataclass(frozen=True)
class Presence:
    """How often an attribute, or a pair of them, is seen."""

    name: str
    generated: float
    real: float
    low: float
    """Limits of the 95% interval of the difference, generated less real."""
    high: float
    p_value: float
    """Corrected for everything that was looked at."""

    @property
    def verdict(self) -> str:
        if self.p_value >= SIGNIFICANT:
            return ""
        return "too often" if self.generated > self.real else "too seldom"


def wilson(count: float, whole: float, z: float = 1.959964) -> tuple[float, float]:
    """Return Wilson's interval of a share (1927)."""
    share, square = count / whole, z * z
    centre = (share + square / (2 * whole)) / (1 + square / whole)
    reach = z / (1 + square / whole) * math.sqrt(share * (1 - share) / whole + square / (4 * whole**2))
    return max(0.0, centre - reach), min(1.0, centre + reach)


def effective_count(there_M: np.ndarray, person_M: np.ndarray) -> float:
    """Return how many unrelated faces would give a share as certain as these do: bool [M], people's numbers [M]."""
    _, cluster_M = np.unique(person_M, return_inverse=True)
    people, faces, share = int(cluster_M.max()) + 1, len(there_M), there_M.mean()
    if share in (0, 1) or people < 2:
        return float(people)
    residual_C = np.bincount(cluster_M, weights=there_M - share)
    variance = people / (people - 1) * float((residual_C**2).sum()) / faces**2
    if variance == 0:  # every person has the same share
        return float(faces)
    return float(min(faces, max(1.0, share * (1 - share) / variance)))


def _compared(name: str, mine_N: np.ndarray, theirs_M: np.ndarray, person_M: np.ndarray) -> Presence:
    one, two = float(mine_N.mean()), float(theirs_M.mean())
    whole, others = len(mine_N), effective_count(theirs_M, person_M)
    (low_1, high_1), (low_2, high_2) = wilson(one * whole, whole), wilson(two * others, others)
    low = one - two - math.hypot(one - low_1, high_2 - two)
    high = one - two + math.hypot(high_1 - one, two - low_2)
    pooled = (one * whole + two * others) / (whole + others)
    error = math.sqrt(pooled * (1 - pooled) * (1 / whole + 1 / others))
    p_value = 2 * (1 - NormalDist().cdf(abs(one - two) / error)) if 0 < pooled < 1 else 1.0
    return Presence(name, one, two, low, high, p_value)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm 1979)."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


def presences(generated_NA: np.ndarray, real_MA: np.ndarray, person_M: np.ndarray) -> list[Presence]:
    """Return how often each attribute and each of the main pairs is seen: bool [N, 40] and [M, 40].

    ``person_M``: int [M], who the real faces are; 0 unknown, each then a person of its own.
    """
    person_M = np.where(person_M > 0, person_M, -1 - np.arange(len(person_M)))
    rows = [_compared(name, generated_NA[:, at], real_MA[:, at], person_M) for at, name in enumerate(ATTRIBUTE_NAMES)]
    for one, two in combinations([ATTRIBUTE_NAMES.index(name) for name in PAIRED], 2):
        name = f"{ATTRIBUTE_NAMES[one]} + {ATTRIBUTE_NAMES[two]}"
        mine_N, theirs_M = (seen_KA[:, one] & seen_KA[:, two] for seen_KA in (generated_NA, real_MA))
        rows.append(_compared(name, mine_N, theirs_M, person_M))
    corrected = holm([row.p_value for row in rows])
    return [replace(row, p_value=p_value) for row, p_value in zip(rows, corrected, strict=True)]
