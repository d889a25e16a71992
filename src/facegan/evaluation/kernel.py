"""The kernel distance: squared maximum mean discrepancy with the kernel (x.y / D + 1)^3 (Binkowski et al. 2018).

Unbiased, so that it may fall below 0 between sets of one distribution. Legend: N generated, M reference samples, D
dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from facegan.evaluation.intervals import Estimate

_BLOCK = 2048


def polynomial_kernel(x_ND: Tensor, y_MD: Tensor) -> Tensor:
    """Return (x.y / D + 1)^3 of every pair, [N, M]."""
    return (x_ND @ y_MD.T / x_ND.shape[1] + 1) ** 3


def mean_of_pairs(x_ND: Tensor) -> float:
    """Return the mean kernel of two different samples of one set, in float64."""
    x_ND, total = x_ND.double(), 0.0
    for part_BD in x_ND.split(_BLOCK):
        total += float(polynomial_kernel(part_BD, x_ND).sum())
    total -= float(((x_ND**2).sum(1) / x_ND.shape[1] + 1).pow(3).sum())
    return total / (len(x_ND) * (len(x_ND) - 1))


def mean_to_reference(x_ND: Tensor, y_MD: Tensor) -> Tensor:
    """Return float64 [N]: the mean kernel of each sample with the reference."""
    x_ND, y_MD = x_ND.double(), y_MD.double()
    return torch.cat([polynomial_kernel(part_BD, y_MD).mean(1) for part_BD in x_ND.split(_BLOCK)])


def kernel_distance(x_ND: Tensor, y_MD: Tensor) -> float:
    """Return the unbiased squared discrepancy between two sets of features, at least two samples each."""
    return mean_of_pairs(x_ND) + mean_of_pairs(y_MD) - 2 * float(mean_to_reference(x_ND, y_MD).mean())


def kernel_estimate(x_ND: Tensor, y_MD: Tensor, *, reference_pairs: float | None = None) -> Estimate:
    """Return the kernel distance with the interval of its U-statistic, the reference taken as it is.

    With h(x, x') = k(x, x') - a(x) - a(x') + mean k(y, y'), a(x) the mean kernel with the reference, the distance is
    the mean of h over pairs, and its variance 4 (N - 2) / (N (N - 1)) z1 + 2 / (N (N - 1)) z2 (Hoeffding 1948), where
    z1 is the variance of h's mean over one argument and z2 that of h. ``reference_pairs``: ``mean_of_pairs`` of the
    reference, if it is known.
    """
    x_ND = x_ND.double()
    count = len(x_ND)
    constant = mean_of_pairs(y_MD) if reference_pairs is None else reference_pairs
    cross_N = mean_to_reference(x_ND, y_MD)
    row_sums, squares = [], 0.0
    for start in range(0, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        h_BN = polynomial_kernel(x_ND[start:stop], x_ND) - cross_N[start:stop, None] - cross_N + constant
        h_BN[torch.arange(stop - start), torch.arange(start, stop)] = 0
        row_sums.append(h_BN.sum(1))
        squares += float((h_BN**2).sum())
    rows_N = torch.cat(row_sums) / (count - 1)
    value, pairs = float(rows_N.mean()), count * (count - 1)
    z2 = max(0.0, squares / pairs - value**2)
    spread = float(rows_N.var())  # of row means: z1 and, of finitely many columns, (z2 - z1) / (N - 1)
    z1 = max(0.0, (spread - z2 / (count - 1)) / (1 - 1 / (count - 1)))
    return Estimate.of(value, 4 * (count - 2) / pairs * z1 + 2 / pairs * z2, least=-float("inf"))
