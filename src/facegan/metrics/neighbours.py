"""Precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020): nearest neighbours.

A sample's ball reaches to its k-th nearest neighbour in its own set. Precision: the share of generated samples in any
ball of the reference; recall: the share of the reference in any ball of the generated; density: how many balls of the
reference hold a generated sample, divided by k; coverage: the share of the reference's balls that hold any.

Legend: N generated, M reference samples, D dimensions, G groups of the jackknife, B a block of rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from facegan.metrics.blocks import product_blocks
from facegan.metrics.intervals import GROUPS, Estimate, groups_of, jackknife

NEAREST = 5
NAMES = ("precision", "recall", "density", "coverage")
_SPARE = 24
"""Neighbours that are kept beyond the k-th, so that one is left when a group of the samples is taken away."""


def squared_distances(x_ND: Tensor, y_MD: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yield (first row, squared Euclidean distances [B, M] in float64), block after block of rows of x.

    The next block overwrites the last one.
    """
    x_ND, y_MD = x_ND.double(), y_MD.double()
    norm_N, norm_M = (x_ND**2).sum(1), (y_MD**2).sum(1)
    for rows, product_BM in product_blocks(x_ND, y_MD):
        yield rows.start, product_BM.mul_(-2).add_(norm_N[rows, None]).add_(norm_M).clamp_(min=0)


def nearest_others(x_ND: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Return the squared distances and indices [N, number] of each sample's nearest others, nearest first."""
    distances, indices = [], []
    for start, distance_BN in squared_distances(x_ND, x_ND):
        row_B = torch.arange(len(distance_BN))
        distance_BN[row_B, start + row_B] = torch.inf
        found = distance_BN.topk(number, largest=False)
        distances.append(found.values)
        indices.append(found.indices)
    return torch.cat(distances), torch.cat(indices)


def radii(x_ND: Tensor, nearest: int = NEAREST) -> Tensor:
    """Return float64 [N]: the squared distance of each sample to its k-th nearest other."""
    return nearest_others(x_ND, nearest)[0][:, -1]


def _radii_without_group(distance_NK: Tensor, index_NK: Tensor, group_N: Tensor, groups: int, nearest: int) -> Tensor:
    """Return [N, G + 1]: the radii when group g is left out, and in the last column those of all."""
    columns = []
    for group in [*range(groups), -1]:
        kept_NK = group_N[index_NK] != group
        place_NK = kept_NK.cumsum(1)
        reached_N = (place_NK >= nearest).to(torch.uint8).argmax(1)
        columns.append(distance_NK.gather(1, reached_N[:, None]).squeeze(1))
    return torch.stack(columns, 1)


def neighbour_estimates(
    x_ND: Tensor, y_MD: Tensor, *, nearest: int = NEAREST, groups: int = GROUPS, reference_radii: Tensor | None = None
) -> dict[str, Estimate]:
    """Return precision, recall, density and coverage of generated features against the reference's, with intervals."""
    radius_M = radii(y_MD, nearest) if reference_radii is None else reference_radii
    group_N = torch.from_numpy(groups_of(len(x_ND), groups))
    order_N = group_N.argsort(stable=True)  # by groups, so that a group's columns stand together
    x_ND, group_N = x_ND[order_N], group_N[order_N]
    size_G = group_N.bincount(minlength=groups)
    reach = min(len(x_ND) - 1, nearest + max(_SPARE, 2 * int(size_G.max())) if len(x_ND) < 500 else nearest + _SPARE)
    radius_NG = _radii_without_group(*nearest_others(x_ND, reach), group_N, groups, nearest)
    radius_NG[torch.arange(len(x_ND)), group_N] = -1  # what is left out has no ball
    largest_N = radius_NG.amax(1)
    inside_N = torch.zeros(len(x_ND), dtype=torch.float64)
    recalled_G = torch.zeros(groups + 1, dtype=torch.float64)
    covered_G = torch.zeros(groups + 1, dtype=torch.float64)
    for start, distance_BN in squared_distances(y_MD, x_ND):  # rows: the reference
        within_BN = distance_BN < radius_M[start : start + len(distance_BN), None]
        inside_N += within_BN.sum(0)
        holds_BG = torch.stack([part.any(1) for part in within_BN.split(size_G.tolist(), 1)], 1).long()
        covered_G[:-1] += (holds_BG.sum(1, keepdim=True) > holds_BG).sum(0)
        covered_G[-1] += holds_BG.any(1).sum()
        row_P, column_P = (distance_BN < largest_N).nonzero(as_tuple=True)
        reached_PG = distance_BN[row_P, column_P, None] < radius_NG[column_P]
        recalled_BG = torch.zeros(len(distance_BN), groups + 1, dtype=torch.int64).index_add_(
            0, row_P, reached_PG.long()
        )
        recalled_G += (recalled_BG > 0).sum(0)
    weight_NG = torch.cat([group_N[:, None] != torch.arange(groups), torch.ones(len(x_ND), 1, dtype=torch.bool)], 1)
    weight_NG, kept_G = weight_NG.double(), weight_NG.sum(0)
    values = {
        "precision": (inside_N > 0).double() @ weight_NG / kept_G,
        "recall": recalled_G / len(y_MD),
        "density": inside_N @ weight_NG / kept_G / nearest,
        "coverage": covered_G / len(y_MD),
    }
    return {
        name: jackknife(float(value_G[-1]), value_G[:-1].tolist(), most=float("inf") if name == "density" else 1.0)
        for name, value_G in values.items()
    }
