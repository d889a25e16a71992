"""A style network with more channels that computes what one with fewer computes.

New channels have random weights from all channels before them, as a fresh network's; their weights to the old channels
are 0 at first and learn. So nothing changes but what can be learned from here on: Net2Net's aim (Chen et al. 2016),
without its copies of channels.

Legend: O and I output and input channels or features, S side of the last map.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from facegan.networks.style import StyleDiscriminator
from facegan.networks.style_layers import ScaledConv, ScaledDense


@torch.no_grad()
def widen(network: nn.Module, wider: nn.Module) -> None:
    """Give ``wider``, a freshly initialised network of the same kind, the weights and the function of ``network``.

    ``wider`` has as many channels or more in every layer; where it has as many, the weights are copied. Layers that
    only ``wider`` has stay as they are: fine layers are 0 at first, so that they change nothing. A discriminator's
    minibatch deviation is a mean over its channels, so in training its logits are those of ``network`` but for that; in
    inference they are the same.
    """
    before = dict(network.named_modules())
    for name, module in wider.named_modules():
        if (old := before.get(name)) is None:
            continue
        for part, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            stored = getattr(old, part)
            if part == "weight" and isinstance(module, (ScaledConv, ScaledDense)):
                _widen_weight(stored * (old.scale / module.scale), tensor, _inputs(name, stored, tensor, wider))
            else:
                factor = old.bias_scale / module.bias_scale if isinstance(module, ScaledDense) else 1.0
                tensor[tuple(map(slice, stored.shape))] = stored * factor
    if isinstance(wider, StyleDiscriminator):
        _keep_projection(before["embedding"].weight, wider.embedding.weight)


def _widen_weight(stored_OI: Tensor, weight_OI: Tensor, inputs_I: Tensor) -> None:
    """Write stored weights [O, I, ...] into a wider layer's first outputs, to which its other inputs give nothing."""
    outputs = len(stored_OI)
    weight_OI[:outputs] = 0
    weight_OI[:outputs, inputs_I] = stored_OI


def _inputs(name: str, stored: Tensor, weight: Tensor, wider: nn.Module) -> Tensor:
    """Return which inputs of a wider layer are the old layer's."""
    places = torch.arange(stored.shape[1])
    if isinstance(wider, StyleDiscriminator) and name == "last":  # the deviation comes after all channels
        places[-1] = weight.shape[1] - 1
    if isinstance(wider, StyleDiscriminator) and name == "features":  # S x S x channels, flattened
        channels = len(wider.last.weight)
        side_squared = weight.shape[1] // channels
        old_channels = len(places) // side_squared
        places = places // old_channels * channels + places % old_channels
    return places


def _keep_projection(stored_OI: Tensor, weight_OI: Tensor) -> None:
    """Let the attributes weigh the old features as before, and the new ones not at all."""
    weight_OI[: len(stored_OI)] *= math.sqrt(len(weight_OI) / len(stored_OI))  # the product is divided by their root
    weight_OI[len(stored_OI) :] = 0
