"""Which people does the generator leave out, or make too often? Attributes among generated and among real faces.

Attributes-net looks at both, so that its own mistakes are on both sides. Intervals are Newcombe's for a difference of
two shares (1998, method 10); over all attributes and pairs the p-values are corrected by Holm's step-down method.

Legend: N faces, A attributes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
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


def wilson(count: int, whole: int, z: float = 1.959964) -> tuple[float, float]:
    """Return Wilson's interval of a share (1927)."""
    share, square = count / whole, z * z
    centre = (share + square / (2 * whole)) / (1 + square / whole)
    reach = z / (1 + square / whole) * math.sqrt(share * (1 - share) / whole + square / (4 * whole**2))
    return max(0.0, centre - reach), min(1.0, centre + reach)


def _compared(name: str, mine_N: np.ndarray, theirs_M: np.ndarray) -> Presence:
    count, other, whole, others = int(mine_N.sum()), int(theirs_M.sum()), len(mine_N), len(theirs_M)
    one, two = count / whole, other / others
    (low_1, high_1), (low_2, high_2) = wilson(count, whole), wilson(other, others)
    low = one - two - math.hypot(one - low_1, high_2 - two)
    high = one - two + math.hypot(high_1 - one, two - low_2)
    pooled = (count + other) / (whole + others)
    error = math.sqrt(max(1e-300, pooled * (1 - pooled) * (1 / whole + 1 / others)))
    p_value = 2 * (1 - NormalDist().cdf(abs(one - two) / error)) if 0 < pooled < 1 else 1.0
    return Presence(name, one, two, low, high, p_value)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm 1979)."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


def presences(generated_NA: np.ndarray, real_MA: np.ndarray) -> list[Presence]:
    """Return how often each attribute and each of the main pairs is seen: bool [N, 40] and [M, 40]."""
    rows = [_compared(name, generated_NA[:, at], real_MA[:, at]) for at, name in enumerate(ATTRIBUTE_NAMES)]
    chosen = [ATTRIBUTE_NAMES.index(name) for name in PAIRED]
    for place, one in enumerate(chosen):
        for two in chosen[place + 1 :]:
            name = f"{ATTRIBUTE_NAMES[one]} + {ATTRIBUTE_NAMES[two]}"
            rows.append(_compared(name, generated_NA[:, one] & generated_NA[:, two], real_MA[:, one] & real_MA[:, two]))
    corrected = holm([row.p_value for row in rows])
    return [
        Presence(row.name, row.generated, row.real, row.low, row.high, p_value)
        for row, p_value in zip(rows, corrected, strict=True)
    ]
