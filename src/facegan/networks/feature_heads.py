"""Heads beside a discriminator that judge a face by feature maps of a network that is not trained here.

A discriminator that begins from nothing sees little of what makes a face wrong; a network that has learnt to see faces
does, and a classifier on its features learns in seconds (Sauer et al. 2021, Projected GANs, have no other
discriminator). docs/recipes.md says what they bring.

Legend: N samples, C channels, P side of a map, F = C P P.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facegan.networks.style_layers import SLOPE, ScaledDense

MAP_CHANNELS = (32, 64, 128)
"""Channels of the maps, from the largest to the smallest."""
PLACES = 8
"""Side that a larger map is averaged to."""
_HIDDEN = 128
_RATE = 0.25
"""Learning rate as a share of the discriminator's, of weights that are as large as a dense layer's usually are."""


class FeatureHead(nn.Module):
    """A perceptron with one hidden layer: a map, float [N, C, P, P], to a logit."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inputs = channels * PLACES**2
        self.hidden = ScaledDense(
            inputs, _HIDDEN, gain=math.sqrt(2), lr_multiplier=_RATE * math.sqrt(inputs / 2), bias=False
        )
        self.bias = nn.Parameter(torch.empty(_HIDDEN))
        self.logit = ScaledDense(_HIDDEN, 1, lr_multiplier=_RATE * math.sqrt(_HIDDEN))

    def forward(self, map_NCPP: Tensor) -> Tensor:
        """Return logits [N]."""
        x_NF = F.adaptive_avg_pool2d(map_NCPP, PLACES).flatten(1).to(self.bias.dtype)  # float32 maps of float16 images
        logit_N1: Tensor = self.logit(F.leaky_relu(self.hidden(x_NF) + self.bias, SLOPE))
        return logit_N1[:, 0]


class FeatureHeads(nn.Module):
    """A head for each feature map. They share nothing, so that none hides behind another."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList(FeatureHead(channels) for channels in MAP_CHANNELS)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return the logits [N] of each head, of maps [N, C, P, P] with ``MAP_CHANNELS`` channels."""
        return [head(map_NCPP) for head, map_NCPP in zip(self.heads, maps, strict=True)]
