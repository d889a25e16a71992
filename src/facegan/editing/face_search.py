"""Where a face lies in a photo: place, size and angle of the square that the model would show.

Squares of the photo, at many places, sizes and angles, are compared with two Gaussians: of small pictures of the
model's own faces, and of what is no face, or none in its place: parts of these faces, moved, turned and zoomed, sharp
and blurred (as Moghaddam and Pentland 1997 do in a subspace, and with a second Gaussian). No landmarks and no other
network are needed; the best squares of each size are where an inversion begins.

Legend: N squares, P numbers of a small picture, K candidates.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from facegan.api import Model
from facegan.files import cache_folder
from facegan.tensor_cache import cached_tensors, keep_tensors

_CACHE_VERSION = 1
"""To be raised when anything changes that the cached Gaussians depend on."""
_TENSORS = ("face_mean", "face_factor", "other_mean", "other_factor")
SIDE = 16
_FACES = 2048
_WORLD, _OTHERS = 400, 2000
"""Faces in the table that has what is no face; squares of it, for each blur."""
_BLURS = (1, 6, 24)
_RIDGE = 0.02
_ANGLES = (-30, -20, -10, 0, 10, 20, 30)
_SHARES = (1.0, 0.84, 0.7, 0.59, 0.5, 0.42, 0.35, 0.3, 0.25)
"""Sides of squares, as shares of the photo's shorter side."""
_STEP = 0.1
"""Between neighbouring squares, as a share of their side."""
_EACH, _APART = 3, 0.25
"""Squares of each size that go on, and how far apart their centres are, as a share of their side."""
_STEPS, _MOVE_WEIGHT = 40, 200.0
"""Of improving them; what keeps them near where they began."""
_KEPT = 6
"""Squares that are handed on."""
EYE_LINE, EYE_DISTANCE = 0.513, 0.266
"""Where CelebA's usual crop has the eyes: how far down, and how far apart, as shares of its side."""


@dataclass(frozen=True)
class Frame:
    """A square of a photo: its centre (x, y) and side in pixels, and how far it is turned, in degrees, clockwise."""

    x: float
    y: float
    side: float
    angle: float = 0.0

    @classmethod
    def of_eyes(cls, left: tuple[float, float], right: tuple[float, float]) -> Frame:
        """Return the square that has the eyes, at (x, y) each as seen in the photo, where CelebA's crop has them."""
        dx, dy = right[0] - left[0], right[1] - left[1]
        side, angle = math.hypot(dx, dy) / EYE_DISTANCE, math.degrees(math.atan2(dy, dx))
        down = (0.5 - EYE_LINE) * side
        turned = math.radians(angle)
        x = (left[0] + right[0]) / 2 - down * math.sin(turned)
        y = (left[1] + right[1]) / 2 + down * math.cos(turned)
        return cls(x, y, side, angle)


def sampled(photo_1CHW: Tensor, frames: Tensor, side: int) -> Tensor:
    """Return float [K, C, side, side]: the photo in squares, float [K, 4] of x, y, side (pixels) and angle (radians).

    Bilinear, and differentiable in the squares; the photo should have about as many pixels as are asked for.
    """
    height, width = photo_1CHW.shape[2:]
    line = (torch.arange(side, device=photo_1CHW.device) + 0.5) / side - 0.5
    down, across = torch.meshgrid(line, line, indexing="ij")
    x, y, length, angle = (frames[:, number, None, None] for number in range(4))
    cosine, sine = torch.cos(angle), torch.sin(angle)
    px = x + length * (across * cosine - down * sine)
    py = y + length * (across * sine + down * cosine)
    places = torch.stack([px / width * 2 - 1, py / height * 2 - 1], dim=-1)
    photos = photo_1CHW.expand(len(frames), -1, -1, -1)
    return F.grid_sample(photos, places, mode="bilinear", padding_mode="border", align_corners=False)


def moved(square_K4: Tensor, move_K4: Tensor) -> Tensor:
    """Return squares, float [K, 4], moved by shares of their sides in x and y, by log sides and by radians."""
    x_K, y_K, side_K, angle_K = square_K4.unbind(1)
    right_K, down_K, larger_K, turn_K = move_K4.unbind(1)
    return torch.stack(
        [x_K + right_K * side_K, y_K + down_K * side_K, side_K * larger_K.exp(), angle_K + turn_K], dim=1
    )


def _is_same(one_4: Tensor, other_4: Tensor) -> bool:
    """Return whether two squares show about the same: one of them would become the other."""
    apart = float((one_4[:2] - other_4[:2]).norm() / other_4[2])
    return (
        apart < 0.1 and abs(math.log(float(one_4[2] / other_4[2]))) < 0.1 and abs(float(one_4[3] - other_4[3])) < 0.15
    )


def shrunk(photo_1CHW: Tensor, factor: float) -> Tensor:
    """Return the photo at ``factor`` of its size, each pixel a mean; as it is from 1 on."""
    if factor >= 1:
        return photo_1CHW
    height, width = (max(1, round(side * factor)) for side in photo_1CHW.shape[2:])
    return F.interpolate(photo_1CHW, (height, width), mode="bilinear", antialias=True, align_corners=False)


class _Gaussian:
    """A normal distribution of small pictures."""

    def __init__(self, mean_P: Tensor, factor_PP: Tensor) -> None:
        """``factor_PP``: the lower Cholesky factor of the covariance."""
        self.mean_P, self.factor_PP = mean_P, factor_PP
        self.constant = 2 * float(factor_PP.diagonal().log().sum())

    @classmethod
    def of(cls, small_NP: Tensor) -> _Gaussian:
        covariance_PP = torch.cov(small_NP.T)
        covariance_PP += _RIDGE * covariance_PP.diagonal().mean() * torch.eye(len(covariance_PP))
        return cls(small_NP.mean(0), torch.linalg.cholesky(covariance_PP).contiguous())

    def energy(self, small_NP: Tensor) -> Tensor:
        """Return float [N]: minus twice the log density, but for what all Gaussians share."""
        off_PN = torch.linalg.solve_triangular(self.factor_PP, (small_NP - self.mean_P).T, upper=False)
        return off_PN.square().sum(0) + self.constant


def _of_faces(faces_NHWC: np.ndarray) -> tuple[_Gaussian, _Gaussian]:
    """Return the Gaussians of faces, uint8 [N, R, R, 3], and of what is none of them."""
    faces_NCHW = torch.from_numpy(faces_NHWC).permute(0, 3, 1, 2).float() / 127.5 - 1
    side = faces_NCHW.shape[-1]
    face = _Gaussian.of(_small(F.interpolate(faces_NCHW, (SIDE, SIDE), mode="area")))
    columns = math.isqrt(_WORLD)
    rows = faces_NCHW[: columns * columns].unflatten(0, (columns, columns))
    world_1CHW = rows.permute(2, 0, 3, 1, 4).reshape(1, 3, columns * side, columns * side)
    random = np.random.default_rng(0)
    others = []
    for blur in _BLURS:
        ground_1CHW = world_1CHW
        if blur > 1:
            ground_1CHW = F.interpolate(shrunk(world_1CHW, 1 / blur), world_1CHW.shape[2:], mode="bilinear")
        frames = _elsewhere(random, columns, side)
        others += [_patches(ground_1CHW, part) for part in frames.split(256)]
    return face, _Gaussian.of(torch.cat(others))


class FaceSearch:
    """Knows small pictures of a model's faces from those of anything else."""

    def __init__(self, model: Model) -> None:
        """Make 2,048 faces of the model, once: what is learned from them is kept in the cache."""
        key = json.dumps([_CACHE_VERSION, model.sha256, model.info.sha256], sort_keys=True)
        file = cache_folder() / "face-search" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.safetensors"
        numbers = SIDE * SIDE * 3 // 2
        mean, factor = (torch.float32, (numbers,)), (torch.float32, (numbers, numbers))
        known = cached_tensors(file, dict(zip(_TENSORS, (mean, factor, mean, factor), strict=True)))
        if known is None:
            self.face, self.other = _of_faces(model.sample(_FACES, seed=0))
            found = self.face.mean_P, self.face.factor_PP, self.other.mean_P, self.other.factor_PP
            keep_tensors(file, dict(zip(_TENSORS, found, strict=True)))
        else:
            self.face = _Gaussian(known["face_mean"], known["face_factor"])
            self.other = _Gaussian(known["other_mean"], known["other_factor"])

    def energy(self, small_NP: Tensor) -> Tensor:
        """Return float [N], lower for pictures that are rather faces than anything else."""
        return self.face.energy(small_NP) - self.other.energy(small_NP)

    def find(self, photo_1CHW: Tensor) -> list[Frame]:
        """Return the likeliest squares of a photo, float [1, 3, H, W], the best first; at most six."""
        square_K4 = self._improved(photo_1CHW, torch.cat(self._candidates(photo_1CHW)))
        energy_K = self.energy_of_squares(photo_1CHW, square_K4)
        found: list[Tensor] = []
        for place in energy_K.argsort().tolist():
            if len(found) < _KEPT and not any(_is_same(square_K4[place], other) for other in found):
                found.append(square_K4[place])
        return [Frame(x, y, side, math.degrees(angle)) for x, y, side, angle in torch.stack(found).tolist()]

    def _candidates(self, photo_1CHW: Tensor) -> list[Tensor]:
        """Return the likeliest squares of each size, float [4] in rows, of all places and angles that are tried."""
        height, width = photo_1CHW.shape[2:]
        found = []
        for share in _SHARES:
            side = share * min(height, width)
            if side < SIDE:
                break
            small = shrunk(photo_1CHW, 1.5 * SIDE / side)
            scale = small.shape[3] / width
            frames = _squares(width, height, side)
            scaled = frames * torch.tensor([scale, scale, scale, 1.0])
            energy_K = torch.cat([self.energy(_small(sampled(small, part, SIDE))) for part in scaled.split(512)])
            for _ in range(_EACH):
                best = int(energy_K.argmin())
                if math.isfinite(energy_K[best]):
                    found.append(frames[best : best + 1])
                    energy_K[(frames[:, :2] - frames[best, :2]).norm(dim=1) < _APART * side] = math.inf
        return found

    def _improved(self, photo_1CHW: Tensor, begin_K4: Tensor) -> Tensor:
        """Return the squares moved, turned and scaled a little, to where they are likelier, by gradient descent."""
        move_K4 = torch.zeros(len(begin_K4), 4, requires_grad=True)
        optimizer = torch.optim.Adam([move_K4], lr=0.02)
        with torch.enable_grad():
            for _ in range(_STEPS):
                energy_K = self.energy_of_squares(photo_1CHW, moved(begin_K4, move_K4))
                optimizer.zero_grad()
                (energy_K + _MOVE_WEIGHT * move_K4.square().sum(1)).sum().backward()
                optimizer.step()
        return moved(begin_K4, move_K4.detach())

    def energy_of_squares(self, photo_1CHW: Tensor, frames: Tensor) -> Tensor:
        """Return float [K]: ``energy`` of squares of a photo, float [K, 4] as ``sampled`` takes them."""
        return self.energy(_patches(photo_1CHW, frames))


def _small(picture_NCHW: Tensor) -> Tensor:
    """Return float [N, P] of pictures [N, 3, 16, 16]: grey of mean 0 and length 1, and two colours at half the size."""
    red, green, blue = picture_NCHW.unbind(1)
    grey_NHW = 0.3 * red + 0.6 * green + 0.1 * blue
    colours_NCHW = F.avg_pool2d(torch.stack([red - grey_NHW, blue - grey_NHW], 1), 2)
    grey_NP = grey_NHW.flatten(1)
    grey_NP = grey_NP - grey_NP.mean(1, keepdim=True)
    length_N1 = grey_NP.norm(dim=1, keepdim=True).clamp(min=0.5)
    return torch.cat([grey_NP, colours_NCHW.flatten(1)], 1) / length_N1


def _patches(ground_1CHW: Tensor, frames: Tensor) -> Tensor:
    """Return float [N, P]: squares of all sizes made small, each pixel about a mean of what it covers."""
    fine_NCHW = sampled(ground_1CHW, frames, 4 * SIDE)
    return _small(F.avg_pool2d(fine_NCHW, 4))


def _elsewhere(random: np.random.Generator, columns: int, side: int) -> Tensor:
    """Return float [N, 4]: squares of a table of faces that show none of them as it should be."""
    whole = columns * side
    x, y = random.uniform(0, whole, (2, _OTHERS))
    length = side * np.exp(random.uniform(np.log(0.3), np.log(2.5), _OTHERS))
    angle = np.radians(random.uniform(-45, 45, _OTHERS))
    apart = np.hypot(x % side - side / 2, y % side - side / 2) / side
    is_face = (apart < 0.12) & (np.abs(np.log(length / side)) < 0.15) & (np.abs(angle) < math.radians(8))
    return torch.tensor(np.stack([x, y, length, angle], 1)[~is_face], dtype=torch.float32)


def _squares(width: int, height: int, side: float) -> Tensor:
    """Return float [K, 4]: squares of one side, everywhere in the photo and a little over its edges, at all angles."""
    margin = side * 0.4
    xs, ys = (np.arange(margin, length - margin + 1e-6, _STEP * side) for length in (width, height))
    rows = [(x, y, side, math.radians(angle)) for y in ys for x in xs for angle in _ANGLES]
    return torch.tensor(rows or [(width / 2, height / 2, side, 0.0)], dtype=torch.float32)
