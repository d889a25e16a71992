"""Choose for each convolution of a network the algorithm that is fastest on this machine, by measuring."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from facegan.errors import UserError
from facegan.machine import synchronize
from facegan.networks.conv_algorithms import DIRECT, PLAIN, TILES, tile_of
from facegan.networks.layers import Conv, PooledTanh, TransposedConv, UpsampleConv, attribute_set
from facegan.networks.style_layers import ScaledConv

CONVOLUTIONS = (Conv, TransposedConv, UpsampleConv, ScaledConv)
_REPEATS = 3
_CLEARLY = 0.93
"""Another algorithm is taken where it needs at most this share of the direct algorithm's time."""


def _layers(network: nn.Module, kinds: tuple[type[nn.Module], ...] = (*CONVOLUTIONS, PooledTanh)) -> dict[str, Any]:
    return {name: module for name, module in network.named_modules() if isinstance(module, kinds)}


def set_algorithms(network: nn.Module, algorithms: Mapping[str, str]) -> None:
    """Give each named convolution its algorithm; others keep theirs.

    Raises:
        UserError: there is no such layer, or no such algorithm.
    """
    layers = _layers(network)
    for name, algorithm in algorithms.items():
        if name not in layers or algorithm not in (PLAIN, DIRECT, *TILES):
            raise UserError(f"there is no layer {name} to compute with {algorithm}; is run.json another version's?")
        layers[name].algorithm = algorithm


def algorithms_on(device: torch.device, algorithms: Mapping[str, str]) -> dict[str, str]:
    """Return the algorithms that a device computes with: those of a run that began on a CPU, on a GPU without tiles.

    Winograd's tiles save products, of which a GPU has more than enough, for copies, of which it has not.
    """
    if device.type == "cpu":
        return dict(algorithms)
    return {name: DIRECT if algorithm in TILES else algorithm for name, algorithm in algorithms.items()}


def twice_differentiable(network: nn.Module) -> AbstractContextManager[None]:
    """Inside, every layer computes with an algorithm whose gradient has a gradient."""
    return attribute_set(_layers(network).values(), "algorithm", DIRECT)


def same_algorithm(network: nn.Module, algorithm: str) -> dict[str, str]:
    """Return a choice of one algorithm for every layer that has several."""
    return dict.fromkeys(_layers(network), algorithm)


@torch.no_grad()
def _input_shapes(network: nn.Module, example: Tensor) -> dict[str, torch.Size]:
    shapes: dict[str, torch.Size] = {}
    hooks = [
        layer.register_forward_pre_hook(lambda _, given, name=name: shapes.update({name: given[0].shape[1:]}))
        for name, layer in _layers(network, CONVOLUTIONS).items()
    ]
    was_training = network.training
    network.eval()(example)
    network.train(was_training)
    for hook in hooks:
        hook.remove()
    return shapes


def candidates(layer: nn.Module, shape: torch.Size) -> list[str]:
    """Return the algorithms worth measuring for a convolution of inputs [C, H, W]."""
    weight: Tensor = layer.weight  # type: ignore[assignment]
    least = min(weight.shape[0], weight.shape[1])
    if least < 16:  # the changes of basis would cost more than the products
        return [DIRECT]
    stride = layer.stride[0] if isinstance(layer, Conv) else layer.stride if isinstance(layer, ScaledConv) else 1
    size = -(-shape[-1] // stride)
    return [DIRECT, *(algorithm for algorithm in TILES if tile_of(algorithm) <= size)]


def measure_algorithms(
    network: nn.Module, example: Tensor, batch: int, *, direct_only: bool = False
) -> dict[str, dict[str, float]]:
    """Return for each convolution the seconds of each candidate algorithm, forward and backward, on a batch.

    ``example`` is an input of the network, [1, ...], in the precision to measure; only float32 has several algorithms.
    """
    seconds: dict[str, dict[str, float]] = {}
    layers = _layers(network, CONVOLUTIONS)
    for name, shape in _input_shapes(network, example).items():
        layer = layers[name]
        several = not direct_only and example.dtype == torch.float32 and example.device.type == "cpu"
        algorithms = candidates(layer, shape) if several else [DIRECT]
        x = torch.ones((batch, *shape), dtype=example.dtype, device=example.device)
        x = x.to(memory_format=torch.channels_last).requires_grad_()
        before = layer.algorithm
        seconds[name] = {}
        for algorithm in algorithms:
            layer.algorithm = algorithm
            seconds[name][algorithm] = _seconds(layer, x)
        layer.algorithm = before
    for parameter in network.parameters():
        parameter.grad = None
    return seconds


def _seconds(layer: nn.Module, x: Tensor) -> float:
    best = float("inf")
    for _ in range(_REPEATS):
        synchronize(x.device)
        started = time.perf_counter()
        y = layer(x)
        y.backward(y)
        synchronize(x.device)
        best = min(best, time.perf_counter() - started)
    return best


def fastest(seconds: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """Return for each convolution its fastest algorithm; the direct one where no other is clearly faster."""
    chosen = {}
    for name, of_algorithm in seconds.items():
        best = min(of_algorithm, key=lambda algorithm: of_algorithm[algorithm])
        chosen[name] = best if of_algorithm[best] < _CLEARLY * of_algorithm[DIRECT] else DIRECT
    return chosen
