"""Named full configurations: networks, losses and optimisers. Each is a function of the resolution."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from facegan.config import OptimizerConfig, RecipeConfig
from facegan.errors import UserError


def classic_tanh(resolution: int = 64) -> RecipeConfig:
    """Dense layers and tanh, latents U(-1, 1): the first pair of the presentation.

    In every step D learns from real and fake in one batch with labels 1 and 0, then G through D with D untouched.

    The historical optimiser (SGD 5e-4, Nesterov momentum 0.9) does not learn on CelebA: after 5,000 images all
    samples are one orange field, and D is right on every fake. Adam does, if D learns much more slowly than G: G's
    16 x 16 x 128 batch-normalised features start as noise of full contrast, which a quick D rejects at once.
    """
    return RecipeConfig(
        name="classic-tanh",
        network="classic-tanh",
        resolution=resolution,
        latent="uniform",
        generator_optimizer=OptimizerConfig(learning_rate=2e-4, beta2=0.99),
        discriminator_optimizer=OptimizerConfig(learning_rate=1e-5),
    )


def classic_dcgan(resolution: int = 64) -> RecipeConfig:
    """Upsampling and 5x5 convolutions, LeakyReLU and dropout: the second pair of the presentation.

    In every step D learns from real and fake in one batch with labels 1 and 0, then G through D with D untouched.

    Two things differ from the historical settings, with which it does not learn on CelebA. G's step passes real and
    fake images through D together (``generator_batch="joint"``, the loss on the fakes): alone, the fakes get batch
    statistics that D never saw in its own step, and within 5,000 images D's loss is 0 while D calls every fake real
    in G's step. And Adam's rates are 5e-5 and 2e-5 instead of 2e-4, with which all samples soon were one image: D's
    last layer has 41,472 inputs, so that one step of 2e-4 moves its logit by several units. (1e-4 and 5e-5
    show faces sooner, but all nearly the same one.)
    """
    return RecipeConfig(
        name="classic-dcgan",
        network="classic-dcgan",
        resolution=resolution,
        discriminator={"dropout": 0.4},
        generator_batch="joint",
        generator_optimizer=OptimizerConfig(learning_rate=5e-5),
        discriminator_optimizer=OptimizerConfig(learning_rate=2e-5),
    )


def dcgan(resolution: int = 64) -> RecipeConfig:
    """DCGAN (Radford et al. 2016) with transposed convolutions: 100 latents, width 64, Adam 2e-4 with beta1 0.5.

    Unlike the classic pairs, real and fake images have batch statistics of their own in D, and one batch of fakes
    serves D's step and G's.
    """
    return RecipeConfig(
        name="dcgan",
        network="dcgan",
        resolution=resolution,
        generator={"width": 64},
        discriminator={"width": 64},
        discriminator_batch="separate",
        fakes="shared",
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
        raise UserError(f"no recipe is called {name!r}; {hint}the recipes are {', '.join(RECIPES)}")
    return RECIPES[name](resolution)
