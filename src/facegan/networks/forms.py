"""Choose for each convolution of a network the form that is fastest on this machine, by measuring."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from facegan.errors import UserError
from facegan.machine import finish
from facegan.networks.convolution import DIRECT, PLAIN, TILES, tile_of
from facegan.networks.layers import Conv, PooledTanh, TransposedConv, UpsampleConv
from facegan.networks.style_layers import ScaledConv

CONVOLUTIONS = (Conv, TransposedConv, UpsampleConv, ScaledConv)
_REPEATS = 3
_CLEARLY = 0.93
"""Another form is taken where it needs at most this share of the direct form's time."""


def _layers(network: nn.Module, kinds: tuple[type[nn.Module], ...] = (*CONVOLUTIONS, PooledTanh)) -> dict[str, Any]:
    return {name: module for name, module in network.named_modules() if isinstance(module, kinds)}


def set_forms(network: nn.Module, forms: Mapping[str, str]) -> None:
    """Give each named convolution its form; others keep theirs.

    Raises:
        UserError: there is no such layer, or no such form.
    """
    layers = _layers(network)
    for name, form in forms.items():
        if name not in layers or form not in (PLAIN, DIRECT, *TILES):
            raise UserError(f"there is no layer {name} to compute in the form {form}; is run.json another version's?")
        layers[name].form = form


def forms_on(device: torch.device, forms: Mapping[str, str]) -> dict[str, str]:
    """Return the forms that a device computes in: those of a run that began on a CPU, on a GPU without tiles.

    Winograd's tiles save products, of which a GPU has more than enough, for copies, of which it has not.
    """
    if device.type == "cpu":
        return dict(forms)
    return {name: DIRECT if form in TILES else form for name, form in forms.items()}


@contextmanager
def direct_forms(network: nn.Module) -> Iterator[None]:
    """Inside, every layer computes in a form whose gradient has a gradient."""
    before = {name: layer.form for name, layer in _layers(network).items()}
    set_forms(network, dict.fromkeys(before, DIRECT))
    try:
        yield
    finally:
        set_forms(network, before)


def all_in_form(network: nn.Module, form: str) -> dict[str, str]:
    """Return a choice of one form for every layer that has several."""
    return dict.fromkeys(_layers(network), form)


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
    """Return the forms worth measuring for a convolution of inputs [C, H, W]."""
    weight: Tensor = layer.weight  # type: ignore[assignment]
    least = min(weight.shape[0], weight.shape[1])
    if least < 16:  # the changes of basis would cost more than the products
        return [DIRECT]
    stride = layer.stride[0] if isinstance(layer, Conv) else layer.stride if isinstance(layer, ScaledConv) else 1
    size = -(-shape[-1] // stride)
    return [DIRECT, *(form for form in TILES if tile_of(form) <= size)]


def measure_forms(
    network: nn.Module, example: Tensor, batch: int, *, direct_only: bool = False
) -> dict[str, dict[str, float]]:
    """Return for each convolution the seconds of each candidate form, forward and backward, on a batch.

    ``example`` is an input of the network, [1, ...], in the precision to measure; only float32 has several forms.
    """
    seconds: dict[str, dict[str, float]] = {}
    layers = _layers(network, CONVOLUTIONS)
    for name, shape in _input_shapes(network, example).items():
        layer = layers[name]
        several = not direct_only and example.dtype == torch.float32 and example.device.type == "cpu"
        forms = candidates(layer, shape) if several else [DIRECT]
        x = torch.ones((batch, *shape), dtype=example.dtype, device=example.device)
        x = x.to(memory_format=torch.channels_last).requires_grad_()
        before = layer.form
        seconds[name] = {}
        for form in forms:
            layer.form = form
            seconds[name][form] = _seconds(layer, x)
        layer.form = before
    for parameter in network.parameters():
        parameter.grad = None
    return seconds


def _seconds(layer: nn.Module, x: Tensor) -> float:
    best = float("inf")
    for _ in range(_REPEATS):
        finish(x.device)
        started = time.perf_counter()
        y = layer(x)
        y.backward(y)
        finish(x.device)
        best = min(best, time.perf_counter() - started)
    return best


def fastest(seconds: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """Return for each convolution its fastest form; the direct one where no other is clearly faster."""
    chosen = {}
    for name, of_form in seconds.items():
        best = min(of_form, key=lambda form: of_form[form])
        chosen[name] = best if of_form[best] < _CLEARLY * of_form[DIRECT] else DIRECT
    return chosen
