"""Where a face lies in a photo: place, size and angle of the square that the model would show.

Squares of the photo, at many places, sizes and angles, are compared with the model's own faces: with the Gaussian of
their small grey pictures, in its first principal components and off them (Turk and Pentland 1991; Moghaddam and
Pentland 1997). No landmarks and no other network are needed; the best few squares are where an inversion begins.

Legend: K candidates, P pixels of a small picture, C components.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from facegan.api import Model

SIDE = 16
_COMPONENTS = 40
_FACES = 1536
_ANGLES = (-30, -20, -10, 0, 10, 20, 30)
_SHARES = (1.0, 0.84, 0.7, 0.59, 0.5, 0.42, 0.35, 0.3, 0.25)
"""Sides of squares, as shares of the photo's shorter side."""
_STEP = 0.1
"""Between neighbouring squares, as a share of their side."""
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


def shrunk(photo_1CHW: Tensor, factor: float) -> Tensor:
    """Return the photo at ``factor`` of its size, each pixel a mean; as it is from 1 on."""
    if factor >= 1:
        return photo_1CHW
    height, width = (max(1, round(side * factor)) for side in photo_1CHW.shape[2:])
    return F.interpolate(photo_1CHW, (height, width), mode="bilinear", antialias=True, align_corners=False)


class FaceSearch:
    """The Gaussian of a model's small grey faces, each brought to mean 0 and length 1."""

    def __init__(self, model: Model) -> None:
        faces = torch.from_numpy(model.sample(_FACES, seed=0)).permute(0, 3, 1, 2).float()
        small_NP = _normalised(F.interpolate(faces.mean(1, keepdim=True), (SIDE, SIDE), mode="area"))
        self.mean_P = small_NP.mean(0)
        _, spread_C, axes_CP = torch.linalg.svd(small_NP - self.mean_P, full_matrices=False)
        variance_C = spread_C.square() / len(small_NP)
        self.axes_CP, self.variance_C = axes_CP[:_COMPONENTS], variance_C[:_COMPONENTS]
        self.rest = float(variance_C[_COMPONENTS:].sum() / (small_NP.shape[1] - _COMPONENTS))

    def energy(self, small_NP: Tensor) -> Tensor:
        """Return float [N], lower for more likely faces: minus twice the Gaussian's log density, but for a constant."""
        off_NP = small_NP - self.mean_P
        along_NC = off_NP @ self.axes_CP.T
        beside_N = off_NP.square().sum(1) - along_NC.square().sum(1)
        return (along_NC.square() / self.variance_C).sum(1) + beside_N.clamp(min=0) / self.rest

    def find(self, photo_1CHW: Tensor, count: int) -> list[Frame]:
        """Return the ``count`` likeliest squares of a photo, float [1, 3, H, W], the best first, unlike each other."""
        height, width = photo_1CHW.shape[2:]
        grey = photo_1CHW.mean(1, keepdim=True)
        found: list[tuple[float, Frame]] = []
        for share in _SHARES:
            side = share * min(height, width)
            if side < SIDE:
                break
            small = shrunk(grey, 1.5 * SIDE / side)
            scale = small.shape[3] / width
            frames = _squares(width, height, side)
            scaled = frames * torch.tensor([scale, scale, scale, 1.0])
            energy_K = torch.cat([
                self.energy(_normalised(sampled(small, part, SIDE))) for part in scaled.split(512)
            ])  # fmt: skip
            for place in energy_K.argsort()[: 4 * count].tolist():
                x, y, length, angle = frames[place].tolist()
                found.append((float(energy_K[place]), Frame(x, y, length, math.degrees(angle))))
        chosen: list[Frame] = []
        for _, frame in sorted(found, key=lambda pair: pair[0]):
            if all(_unlike(frame, other) for other in chosen):
                chosen.append(frame)
            if len(chosen) == count:
                break
        return chosen


def _normalised(picture_N1HW: Tensor) -> Tensor:
    flat_NP = picture_N1HW.flatten(1)
    flat_NP = flat_NP - flat_NP.mean(1, keepdim=True)
    return flat_NP / flat_NP.norm(dim=1, keepdim=True).clamp(min=1e-3)


def _squares(width: int, height: int, side: float) -> Tensor:
    """Return float [K, 4]: squares of one side, everywhere in the photo and a little over its edges, at all angles."""
    margin = side * 0.4
    xs, ys = (np.arange(margin, length - margin + 1e-6, _STEP * side) for length in (width, height))
    rows = [(x, y, side, math.radians(angle)) for y in ys for x in xs for angle in _ANGLES]
    return torch.tensor(rows or [(width / 2, height / 2, side, 0.0)], dtype=torch.float32)


def _unlike(a: Frame, b: Frame) -> bool:
    apart = math.hypot(a.x - b.x, a.y - b.y) / min(a.side, b.side)
    return apart > 0.15 or abs(math.log(a.side / b.side)) > 0.2 or abs(a.angle - b.angle) > 15
