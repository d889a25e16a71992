"""Feature spaces: what a score looks at. Each is named in full in every receipt."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from facegan.errors import UserError
from facegan.perception import attributes_net, inception, judge_net, random_net
from facegan.perception.resizing import resize
from facegan.perception.weights import SHIPPED, load_weights

NAMES = ("judge-net", "random-net", "attributes-net", "inception", "inception-clean")
DEFAULT = ("judge-net", "random-net")
"""What is used where no space is named: one that knows faces, and one that no training here looks at."""


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
        """Return float32 [N, D], on the CPU, of uint8 [N, R, R, 3]."""
        pixels = resize(image_NHWC, self.side, self.resize)
        x_NCHW = (pixels - 128) / 128 if self.name.startswith("inception") else pixels / 127.5 - 1
        found = self.network.features if isinstance(self.network, attributes_net.AttributesNet) else self.network
        device = next(iter(self.network.state_dict().values())).device
        return found(x_NCHW.to(device).contiguous(memory_format=torch.channels_last)).float().cpu()

    def describe(self) -> dict[str, object]:
        """Return what a receipt says of it."""
        return {"name": self.name, "sha256": self.sha256, "dimensions": self.dimensions, "resize": self.resize}


def open_space(name: str, *, inception_file: Path | None = None, device: torch.device | str = "cpu") -> Space:
    """Return a space by its name, whose network computes on a device.

    Raises:
        UserError: an unknown name, or weights that cannot be had.
    """
    kind, _, seed = name.partition(":")
    if kind not in NAMES or (":" in name and kind != "random-net"):
        raise UserError(
            f"no feature space is called {name!r}; there are {', '.join(NAMES)}, and random-net:SEED for another "
            "network of its kind"
        )
    if ":" in name and not (seed.isascii() and seed.isdecimal() and int(seed) < 2**63):
        raise UserError(f"{name}: give random-net a seed from 0 to {2**63 - 1}, such as random-net:7")
    module: ModuleType
    network: nn.Module
    if kind == "random-net":
        module, network = random_net, random_net.RandomNet(int(seed or 0)).eval()
        weights = network.state_dict().values()
        digest = hashlib.sha256(b"".join(value.numpy().tobytes() for value in weights)).hexdigest()
    elif kind in ("judge-net", "attributes-net"):
        module = judge_net if kind == "judge-net" else attributes_net
        network = judge_net.JudgeNet() if kind == "judge-net" else attributes_net.AttributesNet()
        digest = load_weights(network, SHIPPED / f"{kind}.safetensors")
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    else:
        module = inception
        network, digest = inception.load_inception(inception_file)
    filter_name = "tensorflow1" if kind == "inception" else "clean"
    return Space(name, network.to(device), module.SIDE, module.DIMENSIONS, filter_name, digest)
