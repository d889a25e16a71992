"""Feature spaces: what a score looks at. Each is named in full in every receipt."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from facegan.errors import UserError
from facegan.perception import inception, random_net
from facegan.perception.inception_weights import load_inception
from facegan.perception.resizing import resize

NAMES = ("random-net", "inception", "inception-clean")
DEFAULT = ("random-net",)
"""What is used where no space is named: one that nobody can have trained towards."""


@dataclass(frozen=True)
class Space:
    """A network that turns faces into features."""

    name: str
    network: nn.Module
    side: int
    dimensions: int
    resize: str
    """Filter that brings faces to the network's side: "clean" or "tensorflow1"."""
    sha256: str
    """Of the weights."""

    @torch.inference_mode()
    def features(self, image_NHWC: np.ndarray) -> Tensor:
        """Return float32 [N, D] of uint8 [N, R, R, 3]."""
        pixels = resize(image_NHWC, self.side, self.resize)
        x_NCHW = (pixels - 128) / 128 if self.name.startswith("inception") else pixels / 127.5 - 1
        return self.network(x_NCHW.contiguous(memory_format=torch.channels_last)).float()

    def describe(self) -> dict[str, object]:
        """Return what a receipt says of it."""
        return {"name": self.name, "sha256": self.sha256, "dimensions": self.dimensions, "resize": self.resize}


def open_space(name: str, *, inception_file: Path | None = None) -> Space:
    """Return a space by its name.

    Raises:
        UserError: an unknown name, or weights that cannot be had.
    """
    if name not in NAMES:
        raise UserError(f"no feature space is called {name!r}; there are {', '.join(NAMES)}")
    if name == "random-net":
        noise = random_net.RandomNet().eval()
        digest = hashlib.sha256(b"".join(value.numpy().tobytes() for value in noise.state_dict().values())).hexdigest()
        return Space(name, noise, random_net.SIDE, random_net.DIMENSIONS, "clean", digest)
    network, digest = load_inception(inception_file)
    filter_name = "tensorflow1" if name == "inception" else "clean"
    return Space(name, network, inception.SIDE, inception.DIMENSIONS, filter_name, digest)
