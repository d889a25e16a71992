"""Ways in which a face is nearly real, each with a strength from 0 (none) to 1: for the judge to learn, and to see what
scores see.

Everything works on float [N, 3, S, S] in [-1, 1], a strength [N] for each, and noise from named streams.
"""

from __future__ import annotations

import io
import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from facegan.randomness import Stream


def _field(numbers_N: np.ndarray, name: str, cells: int, side: int, channels: int) -> Tensor:
    """Return smooth noise [N, channels, side, side] of about unit size, with so many cells a side."""
    values = Stream(0, name).normal(numbers_N, channels * cells * cells).reshape(len(numbers_N), channels, cells, cells)
    return F.interpolate(torch.from_numpy(values), size=(side, side), mode="bicubic", align_corners=True)


def blur(x_NCHW: Tensor, strength_N: Tensor, numbers_N: np.ndarray) -> Tensor:
    """A Gaussian of up to 2 px at 64 px."""
    side = x_NCHW.shape[-1]
    sigma_N = (strength_N * 2 * side / 64).clamp(min=1e-3)
    reach = math.ceil(6 * side / 64)
    place_K = torch.arange(-reach, reach + 1)
    kernel_NK = torch.exp(-0.5 * (place_K / sigma_N[:, None]) ** 2)
    kernel_NK = (kernel_NK / kernel_NK.sum(1, keepdim=True)).repeat_interleave(3, 0)
    count = len(x_NCHW) * 3
    flat = F.pad(x_NCHW.reshape(1, count, side, side), (reach,) * 4, mode="replicate")
    flat = F.conv2d(flat, kernel_NK[:, None, None, :], groups=count)
    return F.conv2d(flat, kernel_NK[:, None, :, None], groups=count).reshape(x_NCHW.shape)


def noise(x_NCHW: Tensor, strength_N: Tensor, numbers_N: np.ndarray) -> Tensor:
    """Gaussian noise of up to 0.3."""
    draws = Stream(0, "noise").normal(numbers_N, x_NCHW[0].numel()).reshape(x_NCHW.shape)
    return x_NCHW + 0.3 * strength_N[:, None, None, None] * torch.from_numpy(draws)


def jpeg(x_NCHW: Tensor, strength_N: Tensor, numbers_N: np.ndarray) -> Tensor:
    """JPEG of quality 95 down to 10."""
    image_NHWC = ((x_NCHW.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    found = np.empty_like(image_NHWC)
    for number, (image_HWC, strength) in enumerate(zip(image_NHWC, strength_N.tolist(), strict=True)):
        file = io.BytesIO()
        Image.fromarray(image_HWC).save(file, "JPEG", quality=round(95 - 85 * strength))
        found[number] = np.asarray(Image.open(file))
    return torch.from_numpy(found).permute(0, 3, 1, 2).float() / 127.5 - 1


def checkerboard(x_NCHW: Tensor, strength_N: Tensor, numbers_N: np.ndarray) -> Tensor:
    """Every other pixel lighter by up to 0.3, here more and there less: what transposed convolutions leave."""
    side = x_NCHW.shape[-1]
    index_S = torch.arange(side)
    signs_SS = 1.0 - 2.0 * ((index_S[:, None] + index_S) % 2)
    where = _field(numbers_N, "checkerboard", 4, side, 1).abs()
    return x_NCHW + 0.2 * strength_N[:, None, None, None] * where * signs_SS


def warp(x_NCHW: Tensor, strength_N: Tensor, numbers_N: np.ndarray) -> Tensor:
    """Bend the face: features wander by up to some pixels, each its own way."""
    side = x_NCHW.shape[-1]
    shift = _field(numbers_N, "warp", 5, side, 2).permute(0, 2, 3, 1) * 0.07 * strength_N[:, None, None, None]
    still = F.affine_grid(torch.eye(2, 3).expand(len(x_NCHW), 2, 3), list(x_NCHW.shape), align_corners=False)
    return F.grid_sample(x_NCHW, still + shift, padding_mode="border", align_corners=False)


def tint(x_NCHW: Tensor, strength_N: Tensor, numbers_N: np.ndarray) -> Tensor:
    """Clouds of colour of up to 0.3."""
    return x_NCHW + 0.25 * strength_N[:, None, None, None] * _field(numbers_N, "tint", 3, x_NCHW.shape[-1], 3)


def blend(x_NCHW: Tensor, strength_N: Tensor, numbers_N: np.ndarray) -> Tensor:
    """Another face shines through, or takes a part over."""
    side = x_NCHW.shape[-1]
    soft = torch.sigmoid(4 * _field(numbers_N, "blend", 4, side, 1))
    share = 0.6 * strength_N[:, None, None, None] * soft
    return x_NCHW * (1 - share) + x_NCHW.roll(1, 0) * share


def low_pass(x_NCHW: Tensor, strength_N: Tensor, numbers_N: np.ndarray) -> Tensor:
    """Take detail away but keep edges: half the side and back, mixed in."""
    side = x_NCHW.shape[-1]
    small = F.interpolate(x_NCHW, scale_factor=0.375, mode="area")
    coarse = F.interpolate(small, size=(side, side), mode="bicubic", align_corners=False)
    return torch.lerp(x_NCHW, coarse, strength_N[:, None, None, None])


CORRUPTIONS = {
    "blur": blur, "noise": noise, "jpeg": jpeg, "checkerboard": checkerboard, "warp": warp, "tint": tint,
    "blend": blend, "flatten": low_pass,
}  # fmt: skip


def corrupt(x_NCHW: Tensor, numbers_N: np.ndarray, *, share: float = 0.6) -> tuple[Tensor, Tensor]:
    """Corrupt a share of the faces by one or two of these; return the faces, and the strengths [N, K], 0 for none."""
    draws = Stream(0, "corruptions").uniform(numbers_N, 6)
    strength_NK = np.zeros((len(x_NCHW), len(CORRUPTIONS)), np.float32)
    rows = np.arange(len(x_NCHW))
    for turn, chance in ((0, share), (1, share / 3)):
        kind_N = (draws[:, 3 * turn] * len(CORRUPTIONS)).astype(np.int64)
        struck_N = draws[:, 3 * turn + 1] < chance
        strength_NK[rows[struck_N], kind_N[struck_N]] = draws[struck_N, 3 * turn + 2] ** 1.5
    strengths = torch.from_numpy(strength_NK)
    x_NCHW = x_NCHW.clone()
    for number, function in enumerate(CORRUPTIONS.values()):
        chosen = strengths[:, number].nonzero().squeeze(1)
        if len(chosen):
            x_NCHW[chosen] = function(x_NCHW[chosen], strengths[chosen, number], numbers_N[chosen.numpy()])
    return x_NCHW.clamp(-1, 1), strengths
