"""Generators (latents -> image) and discriminators (image -> logit), by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from facegan.config import RecipeConfig
from facegan.networks.classic import (
    ClassicDcganDiscriminator,
    ClassicDcganGenerator,
    ClassicTanhDiscriminator,
    ClassicTanhGenerator,
)
from facegan.networks.dcgan import DcganDiscriminator, DcganGenerator
from facegan.networks.initialization import initialize
from facegan.networks.style import StyleDiscriminator, StyleGenerator

NETWORKS: dict[str, tuple[type[nn.Module], type[nn.Module]]] = {
    "classic-tanh": (ClassicTanhGenerator, ClassicTanhDiscriminator),
    "classic-dcgan": (ClassicDcganGenerator, ClassicDcganDiscriminator),
    "dcgan": (DcganGenerator, DcganDiscriminator),
    "style": (StyleGenerator, StyleDiscriminator),
}


@dataclass(frozen=True)
class Pair:
    """A generator and the discriminator it plays against."""

    generator: nn.Module
    """latents [N, Z] -> images, float [N, 3, R, R] in [-1, 1]."""
    discriminator: nn.Module
    """images, float [N, 3, R, R] in [-1, 1] -> logits [N]."""


def build_pair(recipe: RecipeConfig, *, seed: int | None) -> Pair:
    """Return a recipe's networks, initialised from ``seed``, or with empty weights (to be loaded) for ``None``."""
    return Pair(
        build_generator(recipe.network, recipe.generator_options, seed=seed),
        build_discriminator(recipe.network, recipe.discriminator_options, seed=seed),
    )


def build_generator(name: str, options: Mapping[str, Any], *, seed: int | None) -> nn.Module:
    """Return the named generator, initialised from ``seed``, or with empty weights (to be loaded) for ``None``."""
    return _built(NETWORKS[name][0], options, seed, "generator")


def build_discriminator(name: str, options: Mapping[str, Any], *, seed: int | None) -> nn.Module:
    """Return the named discriminator, initialised from ``seed``, or with empty weights (to be loaded) for ``None``."""
    return _built(NETWORKS[name][1], options, seed, "discriminator")


def _built(network_class: type[nn.Module], options: Mapping[str, Any], seed: int | None, stream: str) -> nn.Module:
    network = network_class(**options)
    if seed is not None:
        initialize(network, seed, stream)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
