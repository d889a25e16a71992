"""``attributes-net``: a small residual network that sees CelebA's 40 attributes (He et al. 2016, version 2).

It labels faces that have no labels and finds who is missing among generated ones; it never judges. Input: float
[N, 3, 64, 64] in [-1, 1].
"""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from facegan.attributes import ATTRIBUTE_COUNT

SIDE = 64
WIDTHS = (32, 64, 128, 256)
"""Channels at 32, 16, 8 and 4 px."""
DIMENSIONS = WIDTHS[-1]
MAPS = (1, 3, 5)
"""Layers whose input is a feature map: the last ones at 32, 16 and 8 px have been passed."""


class _Residual(nn.Module):
    """Batch normalisation, ReLU, convolution, twice; beside it the input, pooled and widened where they differ."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.beside = nn.Conv2d(inputs, outputs, 1, bias=False) if inputs != outputs else None
        self.stride = stride

    def forward(self, x_NCHW: Tensor) -> Tensor:
        active_NCHW = self.norm1(x_NCHW).relu()
        if self.beside is not None:
            pooled_NCHW = F.avg_pool2d(active_NCHW, self.stride) if self.stride > 1 else active_NCHW
            x_NCHW = self.beside(pooled_NCHW)
        return x_NCHW + self.conv2(self.norm2(self.conv1(active_NCHW)).relu())


class AttributesNet(nn.Module):
    """Faces to a logit for each attribute, [N, 40]; above 0: rather there than not."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTHS[0], 3, 2, 1, bias=False)
        layers: list[nn.Module] = [_Residual(WIDTHS[0], WIDTHS[0], 1)]
        for inputs, outputs in pairwise(WIDTHS):
            layers += [_Residual(inputs, outputs, 2), _Residual(outputs, outputs, 1)]
        self.layers = nn.Sequential(*layers)
        self.norm = nn.BatchNorm2d(DIMENSIONS)
        self.head = nn.Linear(DIMENSIONS, ATTRIBUTE_COUNT)

    def feature_maps(self, x_NCHW: Tensor) -> list[Tensor]:
        """Return float [N, 32, 32, 32], [N, 64, 16, 16], [N, 128, 8, 8]: each channel less its usual mean, divided by
        its usual deviation, which the normalisation that follows it has learnt."""
        x_NCHW, maps = self.stem(x_NCHW), []
        for place, layer in enumerate(list(self.layers)[: MAPS[-1] + 1]):
            assert isinstance(layer, _Residual)
            if place in MAPS:
                norm = layer.norm1
                maps.append(F.batch_norm(x_NCHW, norm.running_mean, norm.running_var, eps=norm.eps))
            if place < MAPS[-1]:
                x_NCHW = layer(x_NCHW)
        return maps

    def features(self, x_NCHW: Tensor) -> Tensor:
        """Return float [N, 256]: what the logits are made of."""
        return self.norm(self.layers(self.stem(x_NCHW))).relu().mean((2, 3))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return self.head(self.features(x_NCHW))
