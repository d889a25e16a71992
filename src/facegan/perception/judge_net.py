"""``judge-net``: the network whose features judge; no loss, label or selection ever uses it.

A plain chain of convolutions with group normalisation (unlike attributes-net in every part), whose 256 features come
from all its depths, so that they hold textures as well as shapes. It learns three things at once on real faces: who a
person is (cosine softmax with a margin, Wang et al. 2018), the attributes where they are known, and how much a face was
corrupted, and in which way. Input: float [N, 3, 64, 64] in [-1, 1].
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facegan.attributes import ATTRIBUTE_COUNT

SIDE = 64
WIDTHS = (24, 48, 96, 192, 256)
"""Channels at 64, 32, 16, 8 and 4 px."""
DIMENSIONS = 256


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

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTHS[0], 3, 1, 1)
        self.stages = nn.ModuleList(_Stage(*pair) for pair in pairwise(WIDTHS))
        self.embed = nn.Linear(sum(WIDTHS[1:-1]) + 16 * WIDTHS[-1], DIMENSIONS)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return float [N, 256]."""
        x_NCHW = F.silu(self.stem(x_NCHW))
        seen = []
        for stage in self.stages:
            x_NCHW = stage(x_NCHW)
            seen.append(x_NCHW.mean((2, 3)))
        seen[-1] = x_NCHW.flatten(1)
        return self.embed(torch.cat(seen, 1))


class JudgeTasks(nn.Module):
    """What the features are learnt for: people, attributes, corruptions. Thrown away afterwards."""

    def __init__(self, people: int, corruptions: int) -> None:
        super().__init__()
        self.people = nn.Parameter(torch.randn(people, DIMENSIONS) * 0.05)
        self.attributes = nn.Linear(DIMENSIONS, ATTRIBUTE_COUNT)
        self.corruptions = nn.Sequential(nn.Linear(DIMENSIONS, 128), nn.SiLU(), nn.Linear(128, corruptions))

    def people_loss(
        self, features_ND: Tensor, person_N: Tensor, *, scale: float = 24.0, margin: float = 0.15
    ) -> Tensor:
        """Return the mean cosine softmax loss of the people's numbers [N]."""
        cosine_NP = F.normalize(features_ND) @ F.normalize(self.people).T
        cosine_NP = cosine_NP - margin * F.one_hot(person_N, len(self.people))
        return F.cross_entropy(scale * cosine_NP, person_N)
