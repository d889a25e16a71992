"""Shares, and how certain they are: Wilson's interval, faces that are no strangers to each other, many tests at once.

Legend: M faces.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_Z = 1.959964
"""Quantile of the normal distribution for 95% on both sides."""


def wilson(count: float, whole: float) -> tuple[float, float]:
    """Return Wilson's 95% interval of a share (1927)."""
    share, square = count / whole, _Z * _Z
    centre = (share + square / (2 * whole)) / (1 + square / whole)
    reach = _Z / (1 + square / whole) * math.sqrt(share * (1 - share) / whole + square / (4 * whole**2))
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


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm 1979)."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected
