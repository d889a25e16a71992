"""Named full configurations: networks, losses and optimisers. Each is a function of the resolution."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from facegan.config import OptimizerConfig, RecipeConfig
from facegan.errors import UserError


def classic_tanh(resolution: int = 64) -> RecipeConfig:
    """Dense layers and tanh, latents U(-1, 1): the first pair of the presentation.

    In every step D learns from real and fake in one batch with labels 1 and 0, then G through D with D untouched.
    """
    return RecipeConfig(
        name="classic-tanh",
        network="classic-tanh",
        resolution=resolution,
        latent="uniform",
        generator_optimizer=OptimizerConfig(name="sgd", learning_rate=5e-4, momentum=0.9, nesterov=True),
        discriminator_optimizer=OptimizerConfig(name="sgd", learning_rate=5e-4, momentum=0.9, nesterov=True),
    )


def classic_dcgan(resolution: int = 64) -> RecipeConfig:
    """Upsampling and 5x5 convolutions, LeakyReLU and dropout: the second pair of the presentation.

    In every step D learns from real and fake in one batch with labels 1 and 0, then G through D with D untouched.
    """
    return RecipeConfig(
        name="classic-dcgan",
        network="classic-dcgan",
        resolution=resolution,
        discriminator={"dropout": 0.4},
        generator_optimizer=OptimizerConfig(learning_rate=2e-4, beta1=0.5),
        discriminator_optimizer=OptimizerConfig(learning_rate=2e-4, beta1=0.5),
    )


def dcgan(resolution: int = 64) -> RecipeConfig:
    """DCGAN (Radford et al. 2016) with transposed convolutions: 100 latents, width 64, Adam 2e-4 with beta1 0.5.

    Unlike the classic pairs, D passes real and fake images in separate batches, each with its own statistics.
    """
    return RecipeConfig(
        name="dcgan",
        network="dcgan",
        resolution=resolution,
        generator={"width": 64},
        discriminator={"width": 64},
        discriminator_batch="separate",
        generator_optimizer=OptimizerConfig(learning_rate=2e-4, beta1=0.5, epsilon=1e-8),
        discriminator_optimizer=OptimizerConfig(learning_rate=2e-4, beta1=0.5, epsilon=1e-8),
        flip=True,
        ema_halflife=10_000,
    )


RECIPES: dict[str, Callable[[int], RecipeConfig]] = {
    "classic-tanh": classic_tanh,
    "classic-dcgan": classic_dcgan,
    "dcgan": dcgan,
}


def recipe(name: str, resolution: int = 64) -> RecipeConfig:
    """Return the named recipe at a resolution.

    Raises:
        UserError: an unknown name; the nearest is proposed.
    """
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UserError(f"no recipe is called {name!r}; {hint}The recipes are: {', '.join(RECIPES)}.")
    return RECIPES[name](resolution)
