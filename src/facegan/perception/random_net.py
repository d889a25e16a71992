"""``random-net``: convolutions whose weights are noise, fixed for each seed; no training here looks at it.

Random convolutions keep textures, edges, colours and where they are (Naeem et al. 2020 found such features fair where
trained ones know nothing). Faces are brought to 64 px. Filters have no mean, so that flat colour does not drown what
is fine; after each of four levels the logarithms of the mean activations of the four quarters, in which a tenth less
counts alike at every scale, are projected at random onto 64 numbers. ``benchmarks/score_direction.py`` shows what
that sees.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facegan.randomness import Stream

SIDE = 64
WIDTHS = (32, 64, 128, 128)
PROJECTED = 64
DIMENSIONS = PROJECTED * len(WIDTHS)
_LEAST = 0.02
"""Activation below which less is as good as none."""


def fixed_noise(name: str, shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """Return N(0, 1 / number of inputs) weights of a shape [outputs, inputs ...], always the same for a seed."""
    inputs = math.prod(shape[1:])
    values = Stream(seed, name).normal(np.arange(shape[0]), inputs) / math.sqrt(inputs)
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


class RandomNet(nn.Module):
    """Faces, float [N, 3, 64, 64] in [-1, 1], to features [N, 256]."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        inputs = 3
        for level, width in enumerate(WIDTHS):
            weight = fixed_noise(f"random-net/conv{level}", (width, inputs, 3, 3), seed) * math.sqrt(2)
            weight -= weight.mean((1, 2, 3) if level == 0 else (2, 3), keepdim=True)
            projection = fixed_noise(f"random-net/projection{level}", (PROJECTED, 4 * width), seed)
            # Rounded, so that another machine's logarithms and cosines, a last bit away, give the same weights.
            self.register_buffer(f"weight{level}", weight.half().float())
            self.register_buffer(f"projection{level}", projection.half().float())
            inputs = width

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return float [N, 256]."""
        found = []
        for level in range(len(WIDTHS)):
            x_NCHW = F.conv2d(x_NCHW, self.get_buffer(f"weight{level}"), padding=1).relu_()
            quarters_NK = F.adaptive_avg_pool2d(x_NCHW, 2).flatten(1)
            found.append((quarters_NK + _LEAST).log() @ self.get_buffer(f"projection{level}").T)
            x_NCHW = F.avg_pool2d(x_NCHW, 2)
        return torch.cat(found, 1)
