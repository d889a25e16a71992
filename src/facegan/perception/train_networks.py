"""How attributes-net and judge-net learn, on the faces of people who are not held out.

Plain supervised training: AdamW, the learning rate rising over the first twentieth and then falling as a cosine.
Order, mirroring, shifts, dropout and corruptions are functions of the position, as everywhere: a training that was
stopped goes on from its newest checkpoint to the same weights.

Legend: N or B faces, A attributes, D features, K corruptions.
"""

from __future__ import annotations

import contextlib
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facegan.data.order import DataOrder
from facegan.data.packed import DataView
from facegan.errors import UserError
from facegan.perception import attributes_net
from facegan.perception.attributes_net import AttributesNet
from facegan.perception.corruptions import CORRUPTIONS, corrupt
from facegan.perception.judge_net import SIDE, JudgeNet, JudgeTasks
from facegan.perception.resizing import resize
from facegan.randomness import Stream
from facegan.runs.snapshot import load_into, read_info, read_tensors, write_snapshot

_SHIFT = 4
"""Pixels at 64 px by which a face may be moved."""
_DROPPED = 0.2
"""Share of attributes-net's features that are dropped while it learns."""
_CALIBRATION = 8192
"""About as many faces standardise what judge-net sees."""


@dataclass(frozen=True)
class TrainingConfig:
    """How much a network learns, and how fast."""

    images: int
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    seed: int = 0
    checkpoint_every: int = 3_200
    """Images between two checkpoints."""

    def lr_at(self, nimg: int) -> float:
        """Return the learning rate after so many images."""
        done = nimg / self.images
        return self.learning_rate * min(done / 0.05, (1 + math.cos(math.pi * done)) / 2)


StepReport = Callable[[int, dict[str, float]], None]
"""Called after every step with the images shown so far and the losses."""
Losses = Callable[[Tensor, np.ndarray, np.ndarray], dict[str, Tensor]]
"""From augmented faces [B, 3, 64, 64], their positions and indices to weighted losses, whose sum is minimised."""


def random_affine(x_NCHW: Tensor, numbers_N: np.ndarray) -> Tensor:
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


@torch.no_grad()
def _first_weights(network: nn.Module, seed: int, name: str) -> None:
    """Fill weights with N(0, 2 / fan in) (He et al. 2015); scales stay 1 and biases become 0."""
    for key, parameter in network.named_parameters():
        if parameter.ndim > 1:
            values = Stream(seed, f"init/{name}/{key}").normal(np.arange(len(parameter)), parameter[0].numel())
            scale = math.sqrt(2 / parameter[0].numel())
            parameter.copy_(torch.from_numpy(values * np.float32(scale)).view_as(parameter))
        elif key.endswith("bias"):
            parameter.zero_()


_CHECKPOINT = re.compile(r"\.?(nimg-)?\d{9}.*")
"""Names of checkpoints, whole or half-written."""


def remove_checkpoints(folder: Path) -> None:
    """Remove a training's checkpoints, and their folder if nothing else is in it."""
    if folder.is_dir():
        for path in folder.iterdir():
            if _CHECKPOINT.fullmatch(path.name):
                shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):
            folder.rmdir()


def refuse_other_files(folder: Path) -> None:
    """Refuse a folder for checkpoints that holds anything else."""
    strange = (
        [path.name for path in folder.iterdir() if not _CHECKPOINT.fullmatch(path.name)] if folder.is_dir() else []
    )
    if strange:
        raise UserError(
            f"{folder}, where checkpoints are to be kept, holds other files, such as {strange[0]}: give another name, "
            "or move them"
        )


class _Trainer:
    """Networks that learn together, their optimizer, and the newest checkpoint in a folder."""

    def __init__(
        self, modules: dict[str, nn.Module], config: TrainingConfig, folder: Path | None, **identity: str | float
    ) -> None:
        """``identity``: what else makes it this training and no other; a checkpoint of another one is refused."""
        self.modules, self.config, self.folder = modules, config, folder
        self._settings = asdict(config) | identity
        self.nimg = 0
        for name, module in modules.items():
            _first_weights(module, config.seed, name)
        named = {f"{one}.{name}": p for one, module in modules.items() for name, p in module.named_parameters()}
        self.parameters = named
        decayed = [parameter for parameter in named.values() if parameter.ndim > 1]
        others = [parameter for parameter in named.values() if parameter.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.99))
        if folder is not None:
            refuse_other_files(folder)
            if found := sorted(folder.glob("[0-9]*")):
                self._resume(found[-1])

    def step(self, loss: Tensor) -> None:
        """Take a step."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.lr_at(self.nimg)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(self.parameters.values()), 5.0)
        self.optimizer.step()
        before, self.nimg = self.nimg, self.nimg + self.config.batch
        every = self.config.checkpoint_every
        if self.folder is not None and self.nimg // every > before // every:
            self._save(self.folder)

    def _save(self, folder: Path) -> None:
        moments = {
            f"{key}/{name}": value
            for name, parameter in self.parameters.items()
            for key, value in self.optimizer.state[parameter].items()
        }
        tensors = {name: module.state_dict() for name, module in self.modules.items()} | {"optimizer": moments}
        path = folder / f"{self.nimg:09d}"
        write_snapshot(path, nimg=self.nimg, config=self._settings, state={}, tensors=tensors)
        for older in folder.glob("[0-9]*"):
            if older.name < path.name:
                shutil.rmtree(older)

    def _resume(self, path: Path) -> None:
        info = read_info(path)
        if info.config != self._settings:
            changed = [name for name in self._settings if info.config.get(name) != self._settings[name]]
            raise UserError(
                f"{path.parent} holds a checkpoint of another training (unlike: {', '.join(changed)}): delete it, or "
                "give another name"
            )
        for name, module in self.modules.items():
            load_into(module, read_tensors(info, name), str(path))
        for key, value in read_tensors(info, "optimizer").items():
            field, name = key.split("/", 1)
            self.optimizer.state[self.parameters[name]][field] = value
        self.nimg = info.nimg


def _faces(view: DataView, index_B: np.ndarray) -> Tensor:
    """Return float [B, 3, 64, 64] in [-1, 1]."""
    return resize(view.images(index_B), SIDE, "clean") / 127.5 - 1


def _fit(trainer: _Trainer, view: DataView, losses: Losses, report: StepReport) -> None:
    config, order = trainer.config, DataOrder(trainer.config.seed, len(view))
    while trainer.nimg < config.images:
        position_B = np.arange(trainer.nimg, trainer.nimg + config.batch)
        index_B = order.at(position_B)
        parts = losses(random_affine(_faces(view, index_B), position_B), position_B, index_B)
        trainer.step(torch.stack(list(parts.values())).sum())
        report(trainer.nimg, {name: value.item() for name, value in parts.items()})


def attribute_loss(logit_NA: Tensor, label_NA: Tensor) -> Tensor:
    """Return the mean cross-entropy of the known labels (-1 or +1; 0 is unknown)."""
    known = label_NA != 0
    losses = F.binary_cross_entropy_with_logits(logit_NA, (label_NA > 0).float(), reduction="none")
    return (losses * known).sum() / known.sum().clamp(min=1)


def train_attributes_net(
    view: DataView, config: TrainingConfig, report: StepReport, checkpoints: Path | None = None
) -> AttributesNet:
    """Return a network trained on the attributes of a labelled view.

    Raises:
        UserError: ``checkpoints`` holds those of another training, or damaged ones.
    """
    network = AttributesNet()

    def losses(x_NCHW: Tensor, position_B: np.ndarray, index_B: np.ndarray) -> dict[str, Tensor]:
        draws = Stream(config.seed, "dropout").uniform(position_B, attributes_net.DIMENSIONS)
        kept_BD = torch.from_numpy((draws >= _DROPPED).astype(np.float32) / (1 - _DROPPED))
        logit_BA = network.head(network.features(x_NCHW) * kept_BD)
        return {"attributes": attribute_loss(logit_BA, torch.from_numpy(view.attributes(index_B)))}

    _fit(_Trainer({"attributes-net": network}, config, checkpoints, data=view.content_hash), view, losses, report)
    return network.eval().requires_grad_(False)


def train_judge_net(
    view: DataView,
    config: TrainingConfig,
    report: StepReport,
    checkpoints: Path | None = None,
    *,
    corruptions: float = 1.0,
) -> JudgeNet:
    """Return a network trained on people, attributes and corruptions; ``corruptions`` weighs the last.

    Raises:
        UserError: ``checkpoints`` holds those of another training, or damaged ones.
    """
    people = np.unique(view.identities(np.arange(len(view))))
    network, tasks = JudgeNet(), JudgeTasks(len(people), len(CORRUPTIONS))

    def losses(x_NCHW: Tensor, position_B: np.ndarray, index_B: np.ndarray) -> dict[str, Tensor]:
        strength_BK = torch.zeros(len(x_NCHW), len(CORRUPTIONS))
        if corruptions:
            x_NCHW, strength_BK = corrupt(x_NCHW, position_B)
        features_BD = tasks.embedding(*network.activations(x_NCHW))
        person_B = torch.from_numpy(np.searchsorted(people, view.identities(index_B)))
        label_BA = torch.from_numpy(view.attributes(index_B))
        return {
            "people": 0.1 * tasks.people_loss(features_BD, person_B),
            "attributes": attribute_loss(tasks.attributes(features_BD), label_BA),
            "corruptions": 20 * corruptions * F.mse_loss(tasks.corruptions(features_BD), strength_BK),
        }

    modules: dict[str, nn.Module] = {"judge-net": network, "tasks": tasks}
    trainer = _Trainer(modules, config, checkpoints, data=view.content_hash, corruptions=corruptions)
    _fit(trainer, view, losses, report)
    with torch.inference_mode():
        index_N = np.arange(0, len(view), max(1, len(view) // _CALIBRATION))
        faces = (_faces(view, index_B) for index_B in np.array_split(index_N, len(index_N) // config.batch + 1))
        network.calibrate(torch.cat([network.activations(x_NCHW)[0] for x_NCHW in faces]))
    return network.eval().requires_grad_(False)
