"""Resizing as each feature space's field does it: separable, so two small matrix products.

``tensorflow1``: TensorFlow 1's bilinear, which starts at the corner and never averages when it shrinks: FID as it was
published. ``clean``: Pillow's bicubic (a = -1/2), widened when it shrinks (Parmar et al. 2022). Both in float32,
without rounding to bytes between.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor


def _tensorflow1(side: int, target: int) -> np.ndarray:
    place_T = np.arange(target, dtype=np.float32) * np.float32(side / target)
    low_T = np.floor(place_T).astype(np.int64)
    high_T = np.minimum(low_T + 1, side - 1)
    part_T = place_T - low_T
    weight_TS = np.zeros((target, side))
    np.add.at(weight_TS, (np.arange(target), low_T), 1 - part_T)
    np.add.at(weight_TS, (np.arange(target), high_T), part_T)
    return weight_TS


def _cubic(distance: np.ndarray) -> np.ndarray:
    a, x = -0.5, np.abs(distance)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _clean(side: int, target: int) -> np.ndarray:
    scale = side / target
    widen = max(1.0, scale)
    centre_T = (np.arange(target) + 0.5) * scale
    pixel_S = np.arange(side)
    first_T = np.maximum(0, np.floor(centre_T - 2 * widen + 0.5))
    last_T = np.minimum(side, np.floor(centre_T + 2 * widen + 0.5))
    weight_TS = _cubic((pixel_S - centre_T[:, None] + 0.5) / widen)
    weight_TS[(pixel_S < first_T[:, None]) | (pixel_S >= last_T[:, None])] = 0
    return weight_TS / weight_TS.sum(1, keepdims=True)


FILTERS: dict[str, Callable[[int, int], np.ndarray]] = {"tensorflow1": _tensorflow1, "clean": _clean}


@lru_cache(maxsize=16)
def _weights(name: str, side: int, target: int) -> Tensor:
    return torch.from_numpy(FILTERS[name](side, target).astype(np.float32))


def resize(image_NHWC: np.ndarray, target: int, filter_name: str) -> Tensor:
    """Return float32 [N, 3, target, target] in [0, 255] and a little beyond, of uint8 [N, S, S, 3]."""
    image_NCHW = torch.from_numpy(np.require(image_NHWC, requirements=("C", "W"))).permute(0, 3, 1, 2).float()
    side = image_NCHW.shape[-1]
    if side == target:
        return image_NCHW.contiguous()
    weight_TS = _weights(filter_name, side, target)
    return weight_TS @ (image_NCHW @ weight_TS.T)
