"""All scores of a set of generated faces in one feature space, with intervals, and the floor beside them."""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import Tensor

from facegan.errors import UserError
from facegan.evaluation.receipt import Score
from facegan.evaluation.reference import MOST_PAIRED_REAL, RealFeatures, drawn
from facegan.metrics.frechet import Gaussian, Sums, frechet_distance
from facegan.metrics.intervals import GROUPS, Estimate, groups_of, jackknife
from facegan.metrics.kernel import kernel_estimate
from facegan.metrics.neighbours import neighbour_estimates
from facegan.randomness import Stream

LEAST = 1000
"""Faces below which no score is given, in any space."""


def refuse_few(count: int, dimensions: int, what: str, hint: str = "") -> None:
    """Refuse sets that are too small for a score; ``hint`` ends the sentence.

    Raises:
        UserError: fewer than ``LEAST``, or no more than two for each dimension: the covariance is then mostly noise.
    """
    least = max(LEAST, 2 * dimensions + 1)
    if count < least:
        raise UserError(
            f"{count:,} {what} are too few for a space of {dimensions:,} dimensions: the covariance would be mostly "
            f"noise and the score mostly bias; give at least {least:,}{hint}"
        )


def frechet_estimate(features_ND: Tensor, reference: RealFeatures, *, groups: int = GROUPS) -> Estimate:
    """Return the Frechet distance with the interval of a delete-d jackknife over the generated faces."""
    group_N = torch.from_numpy(groups_of(len(features_ND), groups))
    parts = [Sums.of(features_ND[group_N == group]) for group in range(groups)]
    whole = sum(parts[1:], start=parts[0])
    value = frechet_distance(whole.gaussian(), reference.gaussian)
    return jackknife(value, [frechet_distance((whole - part).gaussian(), reference.gaussian) for part in parts])


def extrapolated_frechet(features_ND: Tensor, reference: RealFeatures, *, sizes: int = 8) -> float | None:
    """Return the distance at infinitely many generated faces, or None if there are too few to tell: a line through it
    over 1 / N (Chong and Forsyth 2020)."""
    count, dimensions = features_ND.shape
    order = torch.from_numpy(Stream(0, "extrapolation").permutation(0, count))
    least = max(2 * dimensions + 1, count // 5)
    number_S = np.unique(np.linspace(least, count, sizes).astype(int))
    if len(number_S) < 3:
        return None
    values = [frechet_distance(Gaussian.of(features_ND[order[:number]]), reference.gaussian) for number in number_S]
    constant = np.polyfit(1 / number_S, values, 1)[1]
    return float(max(0.0, constant))


def all_scores(
    features_ND: Tensor,
    reference: RealFeatures,
    space_name: str,
    floor: list[Score] | None,
    *,
    most_paired: int = sys.maxsize,
) -> list[Score]:
    """Return every score of generated features; ``floor``: what this function returned for two halves of the real.

    Those that look at pairs, all but the Frechet distance, do so with at most ``most_paired`` of the features.
    """
    paired_KD = drawn(features_ND, most_paired)
    found = {"frechet": frechet_estimate(features_ND, reference)}
    found["kernel"] = kernel_estimate(paired_KD, reference.paired, reference_pairs=reference.pairs)
    found |= neighbour_estimates(paired_KD, reference.paired, reference_radii=reference.radii)
    floors = {score.name: score.estimate for score in floor or []}
    extrapolated = {"frechet": extrapolated_frechet(features_ND, reference)}
    return [
        Score(name, space_name, estimate, floors.get(name), extrapolated.get(name)) for name, estimate in found.items()
    ]


def floor_scores(reference: RealFeatures, space_name: str) -> list[Score]:
    """Return the scores of one half of the real people against the other half; none where a half is too small."""
    one, other = reference.halves()
    if min(len(one.person_M), len(other.person_M)) <= 2 * reference.features_MD.shape[1]:
        return []
    return all_scores(one.features_MD, other, space_name, None, most_paired=MOST_PAIRED_REAL // 2)
