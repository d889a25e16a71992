"""Attributes of faces that have no labels, and features of faces, as attributes-net sees them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facegan.perception.accuracy import attribute_logits
from facegan.perception.attributes_net import SIDE, AttributesNet
from facegan.perception.resizing import resize
from facegan.perception.weights import SHIPPED, load_weights

_BATCH = 64
"""Faces at a time: on a processor faster than more, whose activations leave its caches."""


class Labeller:
    """Attributes-net with its weights: the shipped ones, or those of ``facegan train-attributes``."""

    def __init__(self, file: Path | None = None, *, device: torch.device | str = "cpu") -> None:
        """Raises:
        UserError: the file is missing, damaged, or of another network.
        """
        self.network = AttributesNet()
        self.sha256 = load_weights(self.network, file or SHIPPED / "attributes-net.safetensors")
        self.network.to(device)

    def logits(self, image_NHWC: np.ndarray) -> np.ndarray:
        """Return float32 [N, 40] of uint8 [N, R, R, 3]: above 0, the attribute is rather there than not."""
        return attribute_logits(self.network, image_NHWC)

    @torch.inference_mode()
    def features(self, image_NHWC: np.ndarray) -> Tensor:
        """Return float32 [N, 256] of uint8 [N, R, R, 3]: what the logits are made of."""
        parts = []
        for start in range(0, len(image_NHWC), _BATCH):
            x_NCHW = resize(image_NHWC[start : start + _BATCH], SIDE, "clean") / 127.5 - 1
            parts.append(self.network.features(x_NCHW.contiguous(memory_format=torch.channels_last)))
        return torch.cat(parts)


@cache
def shipped(device: str = "cpu") -> Labeller:
    """Return the labeller with the shipped weights, read once for each device."""
    return Labeller(device=device)
