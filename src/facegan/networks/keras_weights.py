"""Weights as Keras returns them, given to the classic networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from facegan.errors import UserError
from facegan.networks.layers import BatchNorm, Conv, Dense, UpsampleConv


def _slots(network: nn.Module) -> list[tuple[str, Tensor, tuple[int, ...]]]:
    """Return (name, tensor, how to permute Keras' axes to ours) for each array, in Keras' order."""
    slots: list[tuple[str, Tensor, tuple[int, ...]]] = []
    counts: dict[str, int] = {}
    for module in network.modules():
        match module:
            case Dense():
                kind, names = "dense", ("kernel", "bias")
                tensors, axes = (module.weight, module.bias), ((1, 0), (0,))
            case Conv() | UpsampleConv() if module.bias is not None:
                kind, names = "conv2d", ("kernel", "bias")
                tensors, axes = (module.weight, module.bias), ((3, 2, 0, 1), (0,))
            case BatchNorm():
                kind, names = "batch_normalization", ("gamma", "beta", "moving_mean", "moving_variance")
                tensors = (module.weight, module.bias, module.running_mean, module.running_var)
                axes = ((0,),) * 4
            case _:
                continue
        number = counts.get(kind, 0)
        counts[kind] = number + 1
        layer = f"{kind}_{number}" if number else kind
        slots += [(f"{layer}/{name}", tensor, axis) for name, tensor, axis in zip(names, tensors, axes, strict=True)]
    return slots


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
    for place, (array, (name, tensor, axes)) in enumerate(zip(arrays, slots, strict=True)):
        expected = tuple(tensor.shape[axes.index(axis)] for axis in range(len(axes)))
        if tuple(array.shape) != expected:
            raise UserError(
                f"{type(network).__name__} array {place}, {name}: expected shape {expected}, found "
                f"{tuple(array.shape)}; is it the same recipe at the same resolution?"
            )
    for array, (_, tensor, axes) in zip(arrays, slots, strict=True):
        tensor.copy_(torch.from_numpy(np.ascontiguousarray(np.transpose(array, axes), dtype=np.float32)))
