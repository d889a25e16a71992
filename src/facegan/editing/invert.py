"""A photo as a face of the model: the style, for each layer, whose face is most like it, and where the photo has it.

Gradient descent (Adam) on the square of the photo and on the styles: first one style for all layers, then one for each
(Abdal et al. 2019). The loss compares pixels at four sizes and features of attributes-net; a prior keeps styles in the
range of those that the model makes of latents (Karras et al. 2020, appendix D, use noise to that end).

Legend: S starts, L layers that take a style, W style, K whitened style, R resolution.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from facegan.api import Model
from facegan.data.crop import crop_box, is_aligned
from facegan.data.decode import MAX_PIXELS, NoPhotoError, decode_photo
from facegan.editing.face_search import FaceSearch, Frame, moved, sampled, shrunk
from facegan.editing.saved_face import FaceOrigin, SavedFace
from facegan.errors import UserError, brief, is_out_of_memory
from facegan.perception.labeller import shipped
from facegan.perception.resizing import resize
from facegan.sampling.inference import for_inference

FAILED_BELOW = 18.0
"""dB: a face that is less like its photo is called failed."""
_LONGEST = 16
"""Times its short side that the long side of a photo may be."""
_STYLES_SEEN = 4096
_POOLS = (1, 2, 4, 8)
_FEATURES_WEIGHT = 0.02
_PRIOR_WEIGHT = 2e-3
_PLACING_STEPS = 150
"""Whatever the steps of the likeness: a square that is not settled can look like a face's for certain."""
_PLACING_PRIOR_WEIGHT = 0.15
"""Of likely styles, where the face is still looked for: they make nothing but faces, so that only a face fits."""
_ENERGY_SCALE = 500.0
"""Of ``FaceSearch.energy``, beside how unlike face and photo are: faces have some -200 to -400 of it, others 0."""
_CHOICE_PRIOR_WEIGHT = 0.6
"""Of likely styles, beside the rest, in the choice of a square."""
_MOST_ENERGY, _MOST_UNLIKELY = -100.0, 0.4
"""Of a square with a face for certain, and of its style: the mean square of its whitened numbers, 1 for random ones."""
_LEAST_SPREAD = 0.1
"""Standard deviation of a square's pixels, of a range of 2, below which no face is in it."""
_LARGEST_SIDE = 1024
"""Pixels: larger photos are shrunk first; faces of this model need far fewer."""

Report = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Inversion:
    """The face found, the photo in its square (uint8 [R, R, 3]), the square, and how alike both are (dB)."""

    face: SavedFace
    photo: np.ndarray
    made: np.ndarray
    frame: Frame
    psnr: float
    attributes_kept: int
    """Of 40: those that attributes-net sees, or does not see, in both."""
    placed: bool = True
    """Whether the square holds a face for certain: it was given, or what is in it looks like one; and is not flat."""

    @property
    def failed(self) -> bool:
        return self.psnr < FAILED_BELOW or not self.placed


def read_photo(source: Path | BinaryIO, name: str = "", *, most_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return a photo, uint8 [H, W, 3], upright and in sRGB. ``name``: what errors call it, by default its path.

    Raises:
        UserError: it cannot be read as an image, or is too small or too large.
    """
    path = name or source
    try:
        with source.open("rb") if isinstance(source, Path) else nullcontext(source) as file:
            pixels = decode_photo(file, most_pixels)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: give a photo") from None
    except Exception as error:  # a decoder meets a damaged file with any exception there is
        if is_out_of_memory(error):
            raise
        how = "" if name and not isinstance(error, NoPhotoError) else f" ({brief(error)})"
        raise UserError(f"{path} cannot be read as an image{how}: give a photo") from error
    if min(pixels.shape[:2]) < 32:
        raise UserError(f"{path} has {pixels.shape[1]} x {pixels.shape[0]} pixels: give a photo of 32 or more a side")
    if max(pixels.shape[:2]) > _LONGEST * min(pixels.shape[:2]):
        raise UserError(f"{path} is a strip of {pixels.shape[1]} x {pixels.shape[0]} pixels: crop it to the face")
    return pixels


class Inverter:
    """Turns photos into faces of one model; what it has to know of the model is computed once."""

    def __init__(self, model: Model) -> None:
        """Raises:
        UserError: the model has no styles.
        """
        if not model.style_layers:
            raise UserError(f"the recipe {model.recipe.name} has no styles, in which photos are looked for")
        self.model = model
        self.network: nn.Module = for_inference(model.generator).to("cpu").requires_grad_(False)
        style_NW = torch.from_numpy(model.numbered_styles(0, range(_STYLES_SEEN)))
        self.mean_W = style_NW.mean(0)
        values_K, vectors_WK = torch.linalg.eigh(torch.cov(style_NW.T))
        kept = values_K > 1e-4 * values_K[-1]
        self.root_KW = (vectors_WK[:, kept] * values_K[kept].sqrt()).T
        self._search: FaceSearch | None = None

    @property
    def search(self) -> FaceSearch:
        if self._search is None:
            self._search = FaceSearch(self.model)
        return self._search

    def invert(
        self, photo: np.ndarray, *, frame: Frame | None = None, steps: int = 300, report: Report = lambda *_: None
    ) -> Inversion:
        """Return the model's face that is most like the one in ``photo``, uint8 [H, W, 3].

        ``frame``: where the face is; without, a photo of the shape of CelebA's aligned images has the usual crop, and
        in any other one it is looked for. ``steps`` of the last stage of the likeness; the one before has half as many.
        """
        photo, scale = _bounded(photo)
        placed = True
        height, width = photo.shape[:2]
        pixels_1CHW = _as_tensor(photo)
        if frame is not None:
            frame = Frame(frame.x * scale, frame.y * scale, frame.side * scale, frame.angle)
        elif is_aligned(width, height):
            left, top, right, bottom = crop_box(width, height, 148)
            frame = Frame((left + right) / 2, (top + bottom) / 2, right - left)
        else:
            report("looking for the face", 0, 1)
            starts = self.search.find(pixels_1CHW)
            frame, placed = self._placed(pixels_1CHW, starts, report)
        target_1CHW = _cut(photo, frame, self.model.resolution)
        placed &= float(target_1CHW.std()) > _LEAST_SPREAD
        white_SLK = self._fitted(target_1CHW, steps, report)
        face = SavedFace(
            FaceOrigin(self.model.name, self.model.sha256, edited="of a photo"), self._styles(white_SLK)[0].numpy()
        )
        frame = Frame(frame.x / scale, frame.y / scale, frame.side / scale, frame.angle)
        return replace(self._measured(face, target_1CHW, frame), placed=placed)

    def _styles(self, white: Tensor) -> Tensor:
        """Return styles [..., W] of whitened ones [..., K]."""
        return white @ self.root_KW + self.mean_W

    def _placed(self, photo_1CHW: Tensor, starts: list[Frame], report: Report) -> tuple[Frame, bool]:
        """Return the square whose face fits best, and whether a face is there for certain.

        Squares and one style each are improved together, from all starts. A face is there for certain where what is in
        the square looks like one, and a likely style makes it: to make anything else takes an unlikely one.
        """
        side = self.model.resolution // 2
        factor = min(1.0, 1.4 * side / min(start.side for start in starts))
        photo = shrunk(photo_1CHW, factor)
        begin_S4 = torch.tensor([[f.x * factor, f.y * factor, f.side * factor, math.radians(f.angle)] for f in starts])
        move_S4 = torch.zeros(len(starts), 4, requires_grad=True)
        white_SK = torch.zeros(len(starts), len(self.root_KW), requires_grad=True)
        groups = [{"params": [white_SK], "lr": 0.08}, {"params": [move_S4], "lr": 0.01}]
        optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99))
        for step in range(_PLACING_STEPS):
            report("looking for the face", step, _PLACING_STEPS)
            _anneal(optimizer, step, _PLACING_STEPS)
            made = F.avg_pool2d(self.network.synthesize(self._styles(white_SK)), self.model.resolution // side)  # type: ignore[operator]
            square_S4 = moved(begin_S4, move_S4)
            seen = sampled(photo, square_S4, side)
            # Relative to what varies in the square: a flat background is no face that is easy to make.
            spread_S = seen.detach().var((1, 2, 3)).clamp(min=0.01)
            unlike_S = _pyramid(made, seen) / spread_S + _PLACING_PRIOR_WEIGHT * white_SK.square().mean(1)
            unlike_S = unlike_S + self.search.energy_of_squares(photo, square_S4) / _ENERGY_SCALE
            optimizer.zero_grad()
            (unlike_S + 0.05 * move_S4.square().sum(1)).sum().backward()
            optimizer.step()
        report("looking for the face", _PLACING_STEPS, _PLACING_STEPS)
        with torch.no_grad():
            square_S4, unlikely_S = moved(begin_S4, move_S4), white_SK.square().mean(1)
            best = int((unlike_S + _CHOICE_PRIOR_WEIGHT * unlikely_S).argmin())
            energy = float(self.search.energy_of_squares(photo, square_S4[best : best + 1]))
        x, y, length, angle = square_S4[best].tolist()
        certain = energy < _MOST_ENERGY and float(unlikely_S[best]) < _MOST_UNLIKELY
        return Frame(x / factor, y / factor, length / factor, math.degrees(angle)), certain

    def _fitted(self, target_1CHW: Tensor, steps: int, report: Report) -> Tensor:
        """Return whitened styles [1, L, K] whose face is most like the target."""
        labeller = shipped()
        wanted_1D = self._features(labeller.network, target_1CHW)
        layers = self.model.style_layers
        white = torch.zeros(1, 1, len(self.root_KW), requires_grad=True)
        for single in (True, False):
            stage_steps = steps // 2 if single else steps
            optimizer = torch.optim.Adam([white], lr=0.1 if single else 0.04, betas=(0.9, 0.99))
            for step in range(stage_steps):
                report("likeness", step + (0 if single else steps // 2), steps // 2 + steps)
                _anneal(optimizer, step, stage_steps)
                made = self.network.synthesize(self._styles(white.expand(1, layers, -1)))  # type: ignore[operator]
                unlike = (self._features(labeller.network, made) - wanted_1D).square().mean()
                prior = white.square().mean()
                loss = _pyramid(made, target_1CHW).sum() + _FEATURES_WEIGHT * unlike + _PRIOR_WEIGHT * prior
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            white = white.detach().expand(1, layers, -1).clone().requires_grad_()
        report("likeness", steps // 2 + steps, steps // 2 + steps)
        return white.detach()

    @staticmethod
    def _features(network: nn.Module, x_NCHW: Tensor) -> Tensor:
        side = 64
        if x_NCHW.shape[-1] != side:
            x_NCHW = F.interpolate(x_NCHW, (side, side), mode="bilinear", antialias=True, align_corners=False)
        return network.features(x_NCHW)  # type: ignore[operator]

    def _measured(self, face: SavedFace, target_1CHW: Tensor, frame: Frame) -> Inversion:
        assert face.style_LW is not None
        made = self.model.generate(styles=face.style_LW[None])[0]
        photo = ((target_1CHW[0].permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).byte().numpy()
        error = np.square(made.astype(np.float64) - photo).mean()
        psnr = 10 * math.log10(255**2 / max(error, 1e-9))
        there = shipped().logits(np.stack([photo, made])) > 0
        return Inversion(face, photo, made, frame, psnr, int((there[0] == there[1]).sum()))


def _anneal(optimizer: torch.optim.Optimizer, step: int, steps: int) -> None:
    """Let the rates rise over the first twentieth and fall over the last half, as a cosine."""
    left = min(1.0, 2 * (1 - step / steps))
    factor = min(1.0, (step + 1) / (0.05 * steps)) * (0.5 - 0.5 * math.cos(math.pi * left))
    for group in optimizer.param_groups:
        group.setdefault("initial_lr", group["lr"])
        group["lr"] = group["initial_lr"] * factor


def _pyramid(made_NCHW: Tensor, wanted_NCHW: Tensor) -> Tensor:
    """Return float [N]: the mean squared differences at four sizes, added."""
    apart = made_NCHW - wanted_NCHW
    return torch.stack([F.avg_pool2d(apart, pool).square().mean((1, 2, 3)) for pool in _POOLS]).sum(0)


def _bounded(photo: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the photo, shrunk if it is very large, and by how much."""
    longest = max(photo.shape[:2])
    if longest <= _LARGEST_SIDE:
        return photo, 1.0
    scale = _LARGEST_SIDE / longest
    size = (round(photo.shape[1] * scale), round(photo.shape[0] * scale))
    return np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS)), size[0] / photo.shape[1]


def _as_tensor(photo: np.ndarray) -> Tensor:
    """Return float [1, 3, H, W] in [-1, 1] of uint8 [H, W, 3]."""
    return torch.tensor(photo).permute(2, 0, 1)[None].float() / 127.5 - 1


def _cut(photo: np.ndarray, frame: Frame, resolution: int) -> Tensor:
    """Return float [1, 3, R, R] in [-1, 1]: the photo in its square, each pixel a mean of what it covers."""
    finer = max(1, math.ceil(frame.side / resolution))
    pixels_1CHW = _as_tensor(photo)
    square = torch.tensor([[frame.x, frame.y, frame.side, math.radians(frame.angle)]])
    fine_1CHW = sampled(pixels_1CHW, square, finer * resolution)
    if finer == 1:
        return fine_1CHW
    image = ((fine_1CHW[0].permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).byte().numpy()
    return resize(image[None], resolution, "clean").clamp(0, 255) / 127.5 - 1
