"""One convolution, several algorithms. Which is fastest depends on shape and machine: ``conv_autotune`` measures.

Legend: N samples, C input channels, O output channels, H height, W width, k kernel size.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from facegan.networks import winograd

PLAIN = "plain"
"""As the layer is defined, step by step."""
DIRECT = "direct"
"""The library's convolution, of the four phases where the layer upsamples."""
TILES = ("tiles-2", "tiles-3", "tiles-4")
"""Winograd's, by tiles of so many outputs in each direction."""

Padding = tuple[int, int, int, int]


def tile_of(algorithm: str) -> int:
    """Return the outputs of a tile in one direction, 0 for an algorithm without tiles."""
    return int(algorithm.removeprefix("tiles-")) if algorithm in TILES else 0


def convolve(
    algorithm: str, x_NCHW: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: Padding
) -> Tensor:
    """Return ``conv2d`` of x [N, C, H, W] with a square kernel [O, C, k, k]; padding: (top, bottom, left, right)."""
    if tile := tile_of(algorithm):
        return winograd.convolve(x_NCHW, weight, bias, stride=stride, padding=padding, tile=tile)
    top, bottom, left, right = padding
    if not top == bottom == left == right:
        return F.conv2d(F.pad(x_NCHW, (left, right, top, bottom)), weight, bias, stride)
    return F.conv2d(x_NCHW, weight, bias, stride, top)


def convolve_transposed(algorithm: str, x_NCHW: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Return ``conv_transpose2d`` of x [N, C, H, W] with a square kernel [C, O, k, k]."""
    if tile := tile_of(algorithm):
        return winograd.convolve_transposed(x_NCHW, weight, stride=stride, padding=padding, tile=tile)
    return F.conv_transpose2d(x_NCHW, weight, stride=stride, padding=padding)
