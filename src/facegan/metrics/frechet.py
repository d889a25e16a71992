"""The Frechet distance between two sets of features taken as Gaussians (Heusel et al. 2017, equation 6).

Everything is float64 and symmetric: square roots come from eigenvalues that are cut off at 0, so that a distance of
finite features is never NaN, imaginary or negative. Legend: N samples, D dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

_PART = 1 << 18
"""Samples that are summed at once."""


@dataclass(frozen=True)
class Gaussian:
    """Mean, and covariance divided by N - 1."""

    mean_D: Tensor
    covariance_DD: Tensor

    @classmethod
    def of(cls, features_ND: Tensor) -> Gaussian:
        """Measure features [N, D], N at least 2."""
        return Sums.of(features_ND).gaussian()

    @cached_property
    def factor(self) -> Tensor:
        """A matrix [D, rank] whose product with its transpose is the covariance."""
        values_D, vectors_DD = _symmetric_eigen(self.covariance_DD)
        kept = values_D > values_D[-1] * len(values_D) * torch.finfo(torch.float64).eps
        return vectors_DD[:, kept] * values_D[kept].sqrt()


@dataclass(frozen=True)
class Sums:
    """Sums of features and of their products, which can be added and taken away: streams, and jackknives."""

    sum_D: Tensor
    products_DD: Tensor
    count: int

    @classmethod
    def of(cls, features_ND: Tensor) -> Sums:
        """Sum features [N, D] in float64; very many in parts, as a copy of all would fill the memory."""
        if len(features_ND) > _PART:
            first, *others = (cls.of(part_BD) for part_BD in features_ND.split(_PART))
            return sum(others, start=first)
        features_ND = features_ND.double()
        return cls(features_ND.sum(0), features_ND.T @ features_ND, len(features_ND))

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.sum_D + other.sum_D, self.products_DD + other.products_DD, self.count + other.count)

    def __sub__(self, other: Sums) -> Sums:
        return Sums(self.sum_D - other.sum_D, self.products_DD - other.products_DD, self.count - other.count)

    def gaussian(self) -> Gaussian:
        """Return the moments of what was summed, at least two samples."""
        mean_D = self.sum_D / self.count
        scatter_DD = self.products_DD - self.count * torch.outer(mean_D, mean_D)
        return Gaussian(mean_D, scatter_DD / (self.count - 1))


def frechet_distance(one: Gaussian, reference: Gaussian) -> float:
    """Return |m - m'|^2 + trace(C + C' - 2 (C C')^(1/2)), 0 or more.

    With C' = F F^T, the trace of the root is the sum of the roots of the eigenvalues of F^T C F, which is symmetric.
    """
    factor_DR = reference.factor
    mixed_RR = factor_DR.T @ one.covariance_DD @ factor_DR
    overlap = _symmetric_eigenvalues((mixed_RR + mixed_RR.T) / 2).clamp(min=0).sqrt().sum()
    spread = one.covariance_DD.trace() + reference.covariance_DD.trace() - 2 * overlap
    return float(((one.mean_D - reference.mean_D) ** 2).sum() + spread.clamp(min=0))


def _symmetric_eigenvalues(matrix_DD: Tensor) -> Tensor:
    """Return the eigenvalues of a symmetric matrix, ascending."""
    try:
        return torch.linalg.eigvalsh(matrix_DD)
    except torch.linalg.LinAlgError:
        return _symmetric_eigen(matrix_DD)[0]


def _symmetric_eigen(matrix_DD: Tensor) -> tuple[Tensor, Tensor]:
    """Return the eigenvalues, ascending, and the eigenvectors of a symmetric matrix.

    Where torch's solver gives up (on many equal eigenvalues, as of few or flat features), NumPy's takes over.
    """
    try:
        return torch.linalg.eigh(matrix_DD)
    except torch.linalg.LinAlgError:
        values_D, vectors_DD = np.linalg.eigh(matrix_DD.cpu().numpy())
        return torch.from_numpy(values_D).to(matrix_DD), torch.from_numpy(vectors_DD).to(matrix_DD)
