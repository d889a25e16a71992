"""``judge-net``: the network whose features judge; no loss, label or selection ever uses it.

A plain chain of convolutions with group normalisation (unlike attributes-net in every part). It learns three things at
once on real faces: who a person is (cosine softmax with a margin, Wang et al. 2018), the attributes where they are
known, and how much a face was corrupted, and in which way. What it is asked afterwards is what its channels see on the
way, at every depth, so that textures count as well as shapes: the mean activation of each, standardised on real faces,
projected at random onto 256 numbers.

Input: float [N, 3, 64, 64] in [-1, 1].
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facegan.attributes import ATTRIBUTE_COUNT
from facegan.perception.random_net import fixed_noise

SIDE = 64
WIDTHS = (24, 48, 96, 192, 256)
"""Channels at 64, 32, 16, 8 and 4 px."""
CHANNELS = sum(WIDTHS[1:])
DIMENSIONS = 256
_LAST = WIDTHS[-1] * (SIDE // 16) ** 2


class _Stage(nn.Module):
    """Halve the side, then look again; both with group normalisation and SiLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)
        self.norm1 = nn.GroupNorm(8, outputs)
        self.look = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.GroupNorm(8, outputs)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        x_NCHW = F.silu(self.norm1(self.down(x_NCHW)))
        return F.silu(self.norm2(self.look(x_NCHW)))


class JudgeNet(nn.Module):
    """Faces to features [N, 256]."""

    centre: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTHS[0], 3, 1, 1)
        self.stages = nn.ModuleList(_Stage(*pair) for pair in pairwise(WIDTHS))
        self.register_buffer("centre", torch.zeros(CHANNELS))
        self.register_buffer("scale", torch.ones(CHANNELS))
        projection = fixed_noise("judge-net/projection", (DIMENSIONS, CHANNELS))
        self.register_buffer("projection", projection, persistent=False)

    def activations(self, x_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return each channel's mean activation at every depth, [N, 592], and the last maps, [N, 256, 4, 4]."""
        x_NCHW = F.silu(self.stem(x_NCHW))
        means = []
        for stage in self.stages:
            x_NCHW = stage(x_NCHW)
            means.append(x_NCHW.mean((2, 3)))
        return torch.cat(means, 1), x_NCHW

    def calibrate(self, mean_NK: Tensor) -> None:
        """Standardise by the mean activations of real faces, [N, 592]."""
        self.centre.copy_(mean_NK.mean(0))
        self.scale.copy_(1 / mean_NK.std(0).clamp(min=1e-4))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return float [N, 256]."""
        means_NK, _ = self.activations(x_NCHW)
        return ((means_NK - self.centre) * self.scale) @ self.get_buffer("projection").T


class JudgeTasks(nn.Module):
    """What the judge is taught by: people, attributes, corruptions. Thrown away afterwards."""

    def __init__(self, people: int, corruptions: int) -> None:
        super().__init__()
        self.embed = nn.Linear(CHANNELS - WIDTHS[-1] + _LAST, DIMENSIONS)
        self.people = nn.Parameter(torch.zeros(people, DIMENSIONS))
        self.attributes = nn.Linear(DIMENSIONS, ATTRIBUTE_COUNT)
        self.corruptions = nn.Sequential(nn.Linear(DIMENSIONS, 128), nn.SiLU(), nn.Linear(128, corruptions))

    def embedding(self, means_NK: Tensor, last_NCHW: Tensor) -> Tensor:
        """Return float [N, 256], from which all three are told."""
        return self.embed(torch.cat([means_NK[:, : -WIDTHS[-1]], last_NCHW.flatten(1)], 1))

    def people_loss(
        self, features_ND: Tensor, person_N: Tensor, *, scale: float = 24.0, margin: float = 0.15
    ) -> Tensor:
        """Return the mean cosine softmax loss of the people's numbers [N]."""
        cosine_NP = F.normalize(features_ND) @ F.normalize(self.people).T
        cosine_NP = cosine_NP - margin * F.one_hot(person_N, len(self.people))
        return F.cross_entropy(scale * cosine_NP, person_N)
