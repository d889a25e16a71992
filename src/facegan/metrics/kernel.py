"""The kernel distance (KID, Binkowski et al. 2018): squared maximum mean discrepancy with the kernel (x.y / D + 1)^3.

Unbiased, so that it may fall below 0 between sets of one distribution. Legend: N generated, M reference samples, D
dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from facegan.metrics.blocks import product_blocks
from facegan.metrics.intervals import Estimate


def polynomial_kernel(x_ND: Tensor, y_MD: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield (rows of x, (x.y / D + 1)^3 with all of y, [B, M]); the next block overwrites the last one."""
    for rows, product_BM in product_blocks(x_ND, y_MD):
        shifted_BM = product_BM.div_(x_ND.shape[1]).add_(1)
        yield rows, shifted_BM.pow_(3)


def mean_of_pairs(x_ND: Tensor) -> float:
    """Return the mean kernel of two different samples of one set, in float64."""
    x_ND = x_ND.double()
    total = sum(float(kernel_BN.sum()) for _, kernel_BN in polynomial_kernel(x_ND, x_ND))
    total -= float(((x_ND**2).sum(1) / x_ND.shape[1] + 1).pow(3).sum())
    return total / (len(x_ND) * (len(x_ND) - 1))


def mean_to_reference(x_ND: Tensor, y_MD: Tensor) -> Tensor:
    """Return float64 [N]: the mean kernel of each sample with the reference."""
    means_N = torch.empty(len(x_ND), dtype=torch.float64)
    for rows, kernel_BM in polynomial_kernel(x_ND.double(), y_MD.double()):
        means_N[rows] = kernel_BM.mean(1)
    return means_N


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
    row_N, squares = torch.empty(count, dtype=torch.float64), 0.0
    for rows, kernel_BN in polynomial_kernel(x_ND, x_ND):
        h_BN = kernel_BN.sub_(cross_N[rows, None]).sub_(cross_N - constant)
        h_BN[torch.arange(len(h_BN)), torch.arange(rows.start, rows.stop)] = 0
        row_N[rows] = h_BN.sum(1) / (count - 1)
        squares += float(torch.linalg.vector_norm(h_BN) ** 2)
    value, pairs = float(row_N.mean()), count * (count - 1)
    z2 = max(0.0, squares / pairs - value**2)
    spread = float(row_N.var())  # of row means: z1 and, of finitely many columns, (z2 - z1) / (N - 1)
    z1 = max(0.0, (spread - z2 / (count - 1)) / (1 - 1 / (count - 1)))
    return Estimate.of(value, 4 * (count - 2) / pairs * z1 + 2 / pairs * z2, least=-float("inf"))
