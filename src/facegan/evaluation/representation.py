"""Which people does the generator leave out, or make too often? Attributes among generated and among real faces.

Attributes-net looks at both, so that its own mistakes are on both sides; the real ones are people that it has not
learned from, as it has not learned from generated faces. Intervals are Newcombe's for a difference of two shares (1998,
method 10). Several faces of one person count for less than as many people: the variances of real shares are clustered.
Over all attributes and pairs the p-values are corrected by Holm's step-down method.

Legend: N generated faces, M real ones, A attributes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import NormalDist

import numpy as np

from facegan.attributes import ATTRIBUTE_NAMES
from facegan.metrics.proportions import effective_count, holm, wilson

SIGNIFICANT = 0.05
PAIRED = ("Male", "Young", "Eyeglasses", "Smiling", "Blond_Hair", "Black_Hair", "Gray_Hair", "Bald", "Pale_Skin",
          "Wearing_Hat", "Heavy_Makeup", "Chubby")  # fmt: skip
"""Attributes whose pairs are looked at too: who somebody is, and what hides a face."""


@dataclass(frozen=True)
class AttributeShare:
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


def _compared(name: str, mine_N: np.ndarray, theirs_M: np.ndarray, person_M: np.ndarray) -> AttributeShare:
    one, two = float(mine_N.mean()), float(theirs_M.mean())
    whole, others = len(mine_N), effective_count(theirs_M, person_M)
    (low_1, high_1), (low_2, high_2) = wilson(one * whole, whole), wilson(two * others, others)
    low = one - two - math.hypot(one - low_1, high_2 - two)
    high = one - two + math.hypot(high_1 - one, two - low_2)
    pooled = (one * whole + two * others) / (whole + others)
    error = math.sqrt(pooled * (1 - pooled) * (1 / whole + 1 / others))
    p_value = 2 * (1 - NormalDist().cdf(abs(one - two) / error)) if 0 < pooled < 1 else 1.0
    return AttributeShare(name, one, two, low, high, p_value)


def attribute_shares(generated_NA: np.ndarray, real_MA: np.ndarray, person_M: np.ndarray) -> list[AttributeShare]:
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
