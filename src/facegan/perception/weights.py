"""The weights of our own networks: float16 safetensors of some megabytes, in the package or in a file, with a card.

The card, ``NAME.json`` beside ``NAME.safetensors``, says what the network was trained on and how well it does.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from facegan.errors import UserError, brief, check_not_denied
from facegan.files import read_bytes, write_bytes, write_text

SHIPPED = Path(__file__).parent / "shipped"
_LARGEST = 64 << 20


def save_network(network: nn.Module, card: dict[str, Any], path: Path) -> None:
    """Write a network's weights as ``path`` (.safetensors) and its card beside them."""
    tensors = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in network.state_dict().items()
    }
    content = save(tensors)
    write_bytes(path, content)
    text = json.dumps({**card, "sha256": hashlib.sha256(content).hexdigest()}, indent=1)
    write_text(path.with_suffix(".json"), text + "\n")


def load_weights(network: nn.Module, path: Path) -> str:
    """Read weights that ``save_network`` wrote into a network, in inference mode; return the file's sha256.

    Raises:
        UserError: the file is missing, damaged, or of another network.
    """
    try:
        content = read_bytes(path, _LARGEST)
        tensors = load(content)
        own = network.state_dict()
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                raise ValueError(f"{name} is not finite")
            if own[name].shape != tensor.shape:
                raise ValueError(f"{name} has the shape {list(tensor.shape)}")
        network.load_state_dict({name: tensor.to(own[name].dtype) for name, tensor in tensors.items()})
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        check_not_denied(error)
        raise UserError(f"{path} holds no weights of {type(network).__name__} ({brief(error)})") from None
    network.eval().requires_grad_(False)
    return hashlib.sha256(content).hexdigest()
