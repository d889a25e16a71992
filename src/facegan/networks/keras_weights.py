"""Weights as Keras returns them, given to the classic networks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from facegan.errors import UserError
from facegan.networks.keras_file import read_keras_file
from facegan.networks.layers import BatchNorm, Conv, Dense, UpsampleConv


@dataclass(frozen=True)
class _Slot:
    """Where one of Keras' arrays belongs: its name, our tensor, and the order of Keras' axes that gives ours."""

    name: str
    tensor: Tensor
    axes: tuple[int, ...]


def _slots(network: nn.Module) -> list[_Slot]:
    """Return the slots of a network in the order of Keras' ``get_weights()``."""
    slots: list[_Slot] = []
    counts: Counter[str] = Counter()

    def add(kind: str, arrays: dict[str, tuple[Tensor, tuple[int, ...]]]) -> None:
        layer = f"{kind}_{counts[kind]}" if counts[kind] else kind
        counts[kind] += 1
        slots.extend(_Slot(f"{layer}/{name}", tensor, axes) for name, (tensor, axes) in arrays.items())

    for module in network.modules():
        if isinstance(module, Dense):
            add("dense", {"kernel": (module.weight, (1, 0)), "bias": (module.bias, (0,))})
        elif isinstance(module, Conv | UpsampleConv) and module.bias is not None:
            add("conv2d", {"kernel": (module.weight, (3, 2, 0, 1)), "bias": (module.bias, (0,))})
        elif isinstance(module, BatchNorm):
            names: dict[str, Tensor] = {"gamma": module.weight, "beta": module.bias}
            names |= {"moving_mean": module.running_mean, "moving_variance": module.running_var}
            add("batch_normalization", {name: (tensor, (0,)) for name, tensor in names.items()})
    return slots


def load_keras_file(network: nn.Module, path: Path) -> None:
    """Give a classic network the weights in a ``.h5`` file of Keras.

    Raises:
        UserError: the file cannot be read, or is of another network.
    """
    slots = _slots(network)
    most = sum(slot.tensor.numel() * 4 for slot in slots)
    load_keras_weights(network, read_keras_file(path, [slot.name for slot in slots], most))


@torch.no_grad()
def load_keras_weights(network: nn.Module, arrays: Sequence[np.ndarray]) -> None:
    """Give a classic network the arrays of Keras' ``model.get_weights()``: the same order, the same layouts.

    Dense kernels are [in, out], convolution kernels [height, width, in, out]; nothing is changed unless all fit.

    Raises:
        UserError: too few or too many arrays, or one of another shape; the layer and both shapes are named.
    """
    slots = _slots(network)
    if len(arrays) != len(slots):
        raise UserError(
            f"{type(network).__name__} takes {len(slots)} arrays as Keras' get_weights() lists them, found "
            f"{len(arrays)}: give the weights of the whole model of the same recipe"
        )
    for place, (array, slot) in enumerate(zip(arrays, slots, strict=True)):
        expected = tuple(slot.tensor.shape[slot.axes.index(axis)] for axis in range(len(slot.axes)))
        if tuple(array.shape) != expected:
            raise UserError(
                f"{type(network).__name__} array {place}, {slot.name}: expected shape {expected}, found "
                f"{tuple(array.shape)}; is it the same recipe at the same resolution?"
            )
        if not np.isfinite(array).all():
            raise UserError(f"{type(network).__name__} array {place}, {slot.name}: it holds values that are not finite")
    for array, slot in zip(arrays, slots, strict=True):
        slot.tensor.copy_(torch.from_numpy(np.ascontiguousarray(np.transpose(array, slot.axes), dtype=np.float32)))
