"""The mapping network's learning rate, as a share of the others': its stored weights are scaled by it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from facegan.config import RecipeConfig


def mapping_factor(before: RecipeConfig, after: RecipeConfig) -> float:
    """Return what the mapping network's stored weights are to be multiplied by: they are scaled by the multiplier."""
    old, new = (recipe.generator.get("mapping_lr_multiplier", 1.0) for recipe in (before, after))
    return float(old / new)


@torch.no_grad()
def scale_mapping(generator: nn.Module, factor: float) -> None:
    """Multiply the stored weights of a style generator's mapping network."""
    if factor != 1:
        for parameter in generator.mapping.layers.parameters():  # type: ignore[union-attr]
            parameter.mul_(factor)


def scale_mapping_moments(optimizers: dict[str, Tensor], factor: float) -> None:
    """Scale Adam's moments of the mapping network to the gradients that it has after ``scale_mapping``."""
    powers = {"exp_avg": -1, "exp_avg_sq": -2}
    for name, tensor in optimizers.items():
        moment = name.rsplit("/", 1)[-1]
        if factor != 1 and name.startswith("generator/mapping.layers.") and moment in powers:
            optimizers[name] = tensor * factor ** powers[moment]
