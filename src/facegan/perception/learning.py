"""How attributes-net and judge-net learn, on the faces of people who are not held out.

Plain supervised training: AdamW, the learning rate rising over the first twentieth and then falling as a cosine.
Order, mirroring, shifts and corruptions are functions of the position, as everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facegan.data.order import DataOrder
from facegan.data.packed import DataView
from facegan.perception.attributes_net import AttributesNet
from facegan.perception.corruptions import CORRUPTIONS, corrupt
from facegan.perception.judge_net import SIDE, JudgeNet, JudgeTasks
from facegan.perception.resizing import resize
from facegan.randomness import Stream

_SHIFT = 4
"""Pixels at 64 px by which a face may be moved."""


@dataclass(frozen=True)
class Lessons:
    """How much and how fast is learnt."""

    images: int
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    seed: int = 0

    def rate(self, nimg: int) -> float:
        """Return the learning rate after so many images."""
        done = nimg / self.images
        return self.learning_rate * min(done / 0.05, (1 + math.cos(math.pi * done)) / 2)


Report = Callable[[int, dict[str, float]], None]
"""Called after every step with the images shown so far and the losses."""


def moved(x_NCHW: Tensor, numbers_N: np.ndarray) -> Tensor:
    """Mirror half of the faces, shift each by up to 4 px, and change contrast and brightness a little."""
    draws = torch.from_numpy(Stream(0, "moved").uniform(numbers_N, 5).astype(np.float32))
    scale_N = 1 + 0.06 * (2 * draws[:, 0] - 1)
    sign_N = torch.where(draws[:, 1] < 0.5, -1.0, 1.0)
    shift_N2 = (2 * draws[:, 2:4] - 1) * 2 * _SHIFT / SIDE
    zero_N = torch.zeros(len(x_NCHW))
    rows = [torch.stack([sign_N * scale_N, zero_N, shift_N2[:, 0]], 1)]
    rows += [torch.stack([zero_N, scale_N, shift_N2[:, 1]], 1)]
    place = F.affine_grid(torch.stack(rows, 1), list(x_NCHW.shape), align_corners=False)
    x_NCHW = F.grid_sample(x_NCHW, place, padding_mode="reflection", align_corners=False)
    return x_NCHW * (0.85 + 0.3 * draws[:, 4])[:, None, None, None]


def _batches(view: DataView, lessons: Lessons) -> Iterator[tuple[int, np.ndarray, np.ndarray, Tensor]]:
    """Yield (images shown before, positions, indices, faces in [-1, 1])."""
    order = DataOrder(lessons.seed, len(view))
    for nimg in range(0, lessons.images, lessons.batch):
        position_B = np.arange(nimg, nimg + lessons.batch)
        index_B = order.at(position_B)
        yield nimg, position_B, index_B, resize(view.images(index_B), SIDE, "clean") / 127.5 - 1


def _optimiser(modules: list[nn.Module], lessons: Lessons) -> torch.optim.AdamW:
    parameters = [parameter for module in modules for parameter in module.parameters()]
    decayed = [parameter for parameter in parameters if parameter.ndim > 1]
    others = [parameter for parameter in parameters if parameter.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": lessons.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=lessons.learning_rate, betas=(0.9, 0.99))


def _step(optimiser: torch.optim.AdamW, loss: Tensor, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad()
    loss.backward()
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    torch.nn.utils.clip_grad_norm_(parameters, 5.0)
    optimiser.step()


def attribute_loss(logit_NA: Tensor, label_NA: Tensor) -> Tensor:
    """Return the mean cross-entropy of the known labels (-1 or +1; 0 is unknown)."""
    known = label_NA != 0
    losses = F.binary_cross_entropy_with_logits(logit_NA, (label_NA > 0).float(), reduction="none")
    return (losses * known).sum() / known.sum().clamp(min=1)


def train_attributes_net(view: DataView, lessons: Lessons, report: Report) -> AttributesNet:
    """Return a network that has learnt the attributes of a labelled view."""
    torch.manual_seed(lessons.seed)  # initial weights and dropout
    network = AttributesNet()
    optimiser = _optimiser([network], lessons)
    for nimg, position_B, index_B, x_NCHW in _batches(view, lessons):
        label_BA = torch.from_numpy(view.attributes(index_B))
        loss = attribute_loss(network(moved(x_NCHW, position_B)), label_BA)
        _step(optimiser, loss, lessons.rate(nimg))
        report(nimg + lessons.batch, {"loss": loss.item()})
    return network.eval().requires_grad_(False)


def train_judge_net(view: DataView, lessons: Lessons, report: Report, *, corruptions: float = 1.0) -> JudgeNet:
    """Return a network that has learnt people, attributes and corruptions; ``corruptions`` weighs the last."""
    torch.manual_seed(lessons.seed)  # initial weights
    people = np.unique(view.identities(np.arange(len(view))))
    network, tasks = JudgeNet(), JudgeTasks(len(people), len(CORRUPTIONS))
    optimiser = _optimiser([network, tasks], lessons)
    for nimg, position_B, index_B, x_NCHW in _batches(view, lessons):
        x_NCHW = moved(x_NCHW, position_B)
        strength_BK = torch.zeros(len(x_NCHW), len(CORRUPTIONS))
        if corruptions:
            x_NCHW, strength_BK = corrupt(x_NCHW, position_B)
        features_BD = network(x_NCHW)
        person_B = torch.from_numpy(np.searchsorted(people, view.identities(index_B)))
        losses = {
            "people": tasks.people_loss(features_BD, person_B),
            "attributes": attribute_loss(tasks.attributes(features_BD), torch.from_numpy(view.attributes(index_B))),
            "corruptions": F.mse_loss(tasks.corruptions(features_BD), strength_BK),
        }
        loss = 0.1 * losses["people"] + losses["attributes"] + 20 * corruptions * losses["corruptions"]
        _step(optimiser, loss, lessons.rate(nimg))
        report(nimg + lessons.batch, {name: value.item() for name, value in losses.items()})
    return network.eval().requires_grad_(False)
