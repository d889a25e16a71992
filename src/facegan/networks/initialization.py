"""First weights, from ``randomness`` alone."""

from __future__ import annotations

import math

import torch
from torch import nn

from facegan.networks.layers import BatchNorm
from facegan.randomness import Stream


@torch.no_grad()
def initialize(network: nn.Module, seed: int, stream: str) -> None:
    """Fill every parameter, each from a stream of its own named after it: weights as their layer's initializer says.

    "glorot-uniform" is U(-l, l), l = sqrt(6 / (fan in + fan out)) (Glorot and Bengio 2010); a number is the
    standard deviation of a normal (around 0 for weights, around 1 for a batch normalisation's scale). Biases are 0.
    """
    for name, module in network.named_modules():
        initializer = getattr(module, "initializer", None)
        for part, parameter in module.named_parameters(recurse=False):
            draws = Stream(seed, f"init/{stream}/{name}.{part}")
            one = torch.zeros(1, dtype=torch.int64).numpy()
            if part == "bias":
                parameter.zero_()
            elif initializer == "glorot-uniform":
                fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(parameter)
                limit = math.sqrt(6 / (fan_in + fan_out))
                values = (draws.uniform(one, parameter.numel())[0] * 2 - 1) * limit
                parameter.copy_(torch.from_numpy(values).view_as(parameter))
            else:
                centre = 1.0 if isinstance(module, BatchNorm) else 0.0
                parameter.fill_(centre)
                if initializer is not None:
                    values = draws.normal(one, parameter.numel())[0] * initializer
                    parameter.add_(torch.from_numpy(values).view_as(parameter))
