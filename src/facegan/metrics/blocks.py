"""Matrices of pairs are looked at some rows at a time, in one piece of memory: 50,000 faces need no 50,000 squared.

The piece is the same for every block, because the C library of many systems does not find a freed one again.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

_PAIRS = 1 << 22
"""Pairs of a block: 32 MiB in float64."""


def product_blocks(x_ND: Tensor, y_MD: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield (rows of x, their products with all of y, float64 [B, M]); the next block overwrites the last one."""
    size = max(1, min(len(x_ND), _PAIRS // max(1, len(y_MD))))
    room_BM = torch.empty(size, len(y_MD), dtype=torch.float64)
    for start in range(0, len(x_ND), size):
        rows = slice(start, min(start + size, len(x_ND)))
        part_BM = room_BM[: rows.stop - start]
        torch.mm(x_ND[rows], y_MD.T, out=part_BM)
        yield rows, part_BM
