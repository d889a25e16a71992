"""Augmentations of what the discriminator sees, real and fake alike, for training on few images.

"diffaugment" (Zhao et al. 2020): colour, translation and cutout, always. "ada" (Karras et al. 2020): many changes, each
with a probability p that rises while D is too sure of real images and falls otherwise; "scheduled": the same changes,
p a function of images seen. Gradients flow through.

Which change befalls a sample is a function of (seed, stream, index). Interpolation is bilinear, where the ADA paper
filters with wavelets; beyond the border the image is mirrored.

Legend: N samples, R resolution, T transforms in homogeneous coordinates.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from facegan.machine import to_device
from facegan.randomness import Stream

_DRAWS = 40
_GREY = np.full(3, 1 / math.sqrt(3))
ADA_STEPS = 4
"""Steps between two looks at the sign."""


class _Draws:
    """Uniform numbers of each sample, handed out in order."""

    def __init__(self, uniform_NK: np.ndarray) -> None:
        self.count = len(uniform_NK)
        self._columns = iter(uniform_NK.T)

    def uniform(self) -> np.ndarray:
        return next(self._columns)

    def normal(self) -> np.ndarray:
        radius = np.sqrt(-2 * np.log(self.uniform()))
        return radius * np.cos(2 * np.pi * self.uniform())

    def happens(self, p: float) -> np.ndarray:
        return self.uniform() < p


def augmentation_draws(seed: int, stream: str, index_N: np.ndarray) -> np.ndarray:
    """Return the uniform numbers, float64 [N, 40], that decide which changes befall the samples."""
    return Stream(seed, stream).uniform(index_N, _DRAWS)


def augment(
    kind: str,
    p: float,
    image_NCHW: Tensor,
    seed: int,
    stream: str,
    index_N: np.ndarray,
    uniform_NK: np.ndarray | None = None,
) -> Tensor:
    """Return images [N, 3, R, R] of any range around [-1, 1], changed; ``p`` is the probability of ADA's changes.

    ``uniform_NK``: what ``augmentation_draws`` returned, where it is at hand.
    """
    if kind == "none" or (kind != "diffaugment" and p <= 0):
        return image_NCHW
    draws = _Draws(augmentation_draws(seed, stream, index_N) if uniform_NK is None else uniform_NK)
    return _diffaugment(image_NCHW, draws) if kind == "diffaugment" else _ada(image_NCHW, p, draws)


def _like(values: np.ndarray, image_NCHW: Tensor) -> Tensor:
    return to_device(np.ascontiguousarray(values, np.float32), image_NCHW.device).to(image_NCHW.dtype)


def _diffaugment(image_NCHW: Tensor, draws: _Draws) -> Tensor:
    samples, _, size, _ = image_NCHW.shape

    def factor(least: float, most: float) -> Tensor:
        return _like(least + (most - least) * draws.uniform(), image_NCHW).view(samples, 1, 1, 1)

    x = image_NCHW + factor(-0.5, 0.5)
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * factor(0, 2)
    middle = x.mean((1, 2, 3), keepdim=True)
    x = middle + (x - middle) * factor(0.5, 1.5)
    place = np.arange(size)
    reach, hole = size // 8, size // 2

    def whole(least: int, count: int) -> np.ndarray:
        return (least + np.floor(draws.uniform() * count)).astype(np.int64)[:, None]

    from_row, from_column = place + whole(-reach, 2 * reach + 1), place + whole(-reach, 2 * reach + 1)
    row, column = np.clip(from_row, 0, size - 1), np.clip(from_column, 0, size - 1)
    sample_N11 = torch.arange(samples, device=x.device).view(-1, 1, 1)
    row_NR1, column_N1R = to_device(row, x.device)[:, :, None], to_device(column, x.device)[:, None]
    x = x.permute(0, 2, 3, 1)[sample_N11, row_NR1, column_N1R].permute(0, 3, 1, 2)
    top, left = whole(-(hole // 2), size + 1), whole(-(hole // 2), size + 1)
    seen = (from_row == row)[:, :, None] & (from_column == column)[:, None]
    cut = ((place >= top) & (place < top + hole))[:, :, None] & ((place >= left) & (place < left + hole))[:, None]
    return x * _like(seen & ~cut, x)[:, None]


def _ada(image_NCHW: Tensor, p: float, draws: _Draws) -> Tensor:
    x, place_N33 = image_NCHW, _where(draws, p, image_NCHW.shape[-1])
    colour_N44 = _colour(draws, p)
    moved = np.flatnonzero(np.abs(place_N33 - np.eye(3)).max((1, 2)) > 0)
    if len(moved):
        moved_M = to_device(moved, x.device)
        part_NCHW = x[moved_M].float()
        grid = F.affine_grid(_like(place_N33[moved, :2], part_NCHW), list(part_NCHW.shape), align_corners=False)
        part_NCHW = F.grid_sample(part_NCHW, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
        x = x.index_copy(0, moved_M, part_NCHW.to(x.dtype))
    coloured = np.flatnonzero(np.abs(colour_N44 - np.eye(4)).max((1, 2)) > 0)
    if len(coloured):
        coloured_M, matrix_M44 = to_device(coloured, x.device), _like(colour_N44[coloured], x)
        part_NCHW = torch.einsum("nij,njhw->nihw", matrix_M44[:, :3, :3], x[coloured_M])
        x = x.index_copy(0, coloured_M, part_NCHW + matrix_M44[:, :3, 3, None, None])
    return x.contiguous(memory_format=torch.channels_last)


def _where(draws: _Draws, p: float, size: int) -> np.ndarray:
    """Return float64 [N, 3, 3]: from places in the result to places in the image, both in [-1, 1]."""
    count = draws.count
    T = np.tile(np.eye(3), (count, 1, 1))

    def then(change: np.ndarray, happens: np.ndarray) -> None:
        T[happens] = T[happens] @ change[happens]

    def scaling(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        S = np.tile(np.eye(3), (count, 1, 1))
        S[:, 0, 0], S[:, 1, 1] = x, y
        return S

    def rotation(angle: np.ndarray) -> np.ndarray:
        S = np.tile(np.eye(3), (count, 1, 1))
        S[:, 0, 0] = S[:, 1, 1] = np.cos(angle)
        S[:, 0, 1], S[:, 1, 0] = -np.sin(angle), np.sin(angle)
        return S

    def translation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        S = np.tile(np.eye(3), (count, 1, 1))
        S[:, 0, 2], S[:, 1, 2] = 2 * x, 2 * y
        return S

    ones = np.ones(count)
    then(scaling(-ones, ones), draws.happens(p / 2))
    then(rotation(np.pi / 2 * np.floor(4 * draws.uniform())), draws.happens(p))
    whole_x, whole_y = (np.round((draws.uniform() * 2 - 1) * 0.125 * size) / size for _ in range(2))
    then(translation(whole_x, whole_y), draws.happens(p))
    zoom = 2 ** (0.2 * draws.normal())
    then(scaling(zoom, zoom), draws.happens(p))
    turn = 1 - math.sqrt(1 - p)
    then(rotation(np.pi * (draws.uniform() * 2 - 1)), draws.happens(turn))
    stretch = 2 ** (0.2 * draws.normal())
    then(scaling(stretch, 1 / stretch), draws.happens(p))
    then(rotation(np.pi * (draws.uniform() * 2 - 1)), draws.happens(turn))
    then(translation(0.125 * draws.normal(), 0.125 * draws.normal()), draws.happens(p))
    return T


def _colour(draws: _Draws, p: float) -> np.ndarray:
    """Return float64 [N, 4, 4]: from colours in [-1, 1] to colours."""
    count = draws.count
    T = np.tile(np.eye(4), (count, 1, 1))
    grey = np.outer(_GREY, _GREY)

    def then(matrix: np.ndarray, offset: np.ndarray, happens: np.ndarray) -> None:
        change = np.tile(np.eye(4), (count, 1, 1))
        change[:, :3, :3], change[:, :3, 3] = matrix, offset[:, None]
        T[happens] = change[happens] @ T[happens]

    one, none = np.eye(3), np.zeros(count)
    then(one, 0.2 * draws.normal(), draws.happens(p))
    then(one * (2 ** (0.5 * draws.normal()))[:, None, None], none, draws.happens(p))
    then((one - 2 * grey), none, draws.happens(p / 2))
    angle = (np.pi * (draws.uniform() * 2 - 1))[:, None, None]
    x, y, z = _GREY
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    then(grey + np.cos(angle) * (one - grey) + np.sin(angle) * cross, none, draws.happens(p))
    then(grey + (2 ** draws.normal())[:, None, None] * (one - grey), none, draws.happens(p))
    return T


class AdaptiveProbability:
    """ADA's p (Karras et al. 2020): every ``ADA_STEPS`` steps it moves by the images of those steps / ``images``.

    It rises if the mean of sign(D(real)) over them is above ``target``, else it falls; it stays in [0, 1].
    """

    def __init__(self, target: float, images: int, values: Any = None) -> None:
        """Begin where ``to_dict`` left off, or at 0; p may go from 0 to 1 in so many ``images``."""
        self.target, self.images = target, images
        try:
            self.p, self._signs, self._steps = (float(values[name]) for name in ("p", "signs", "steps"))
        except (TypeError, KeyError, ValueError):
            self.p, self._signs, self._steps = 0.0, 0.0, 0.0
        self._sum: Tensor | float = self._signs

    def after_step(self, mean_sign: Tensor, images: int) -> None:
        """Count a step of ``images`` real images, those of all processes; ``mean_sign``: mean of sign(D(real))."""
        self._sum = mean_sign.detach() + self._sum
        self._steps += 1
        if self._steps == ADA_STEPS:
            signs = float(self._sum) / ADA_STEPS
            change = math.copysign(images * ADA_STEPS / self.images, signs - self.target)
            self.p = min(1.0, max(0.0, self.p + change))
            self._sum, self._steps = 0.0, 0.0

    def to_dict(self) -> dict[str, float]:
        """Return the state, for JSON."""
        return {"p": self.p, "signs": float(self._sum), "steps": self._steps}
