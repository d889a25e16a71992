"""Named full configurations: networks, losses and optimizers. Each is a function of the resolution."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from facegan.config import OptimizerConfig, RecipeConfig
from facegan.errors import UserError
from facegan.hints import nearest


def classic_tanh(resolution: int = 64) -> RecipeConfig:
    """Dense layers and tanh, latents U(-1, 1): the first pair of the presentation.

    In every step D learns from real and fake in one batch with labels 1 and 0, then G through D with D untouched.

    The presentation names no optimizer. SGD 5e-4 with Nesterov momentum 0.9, usual for this pair in public Keras code,
    gave patches of colour and no face in 15,000 images of CelebA (batch 32), D being right on 99% of them; Adam, with
    D's rate a twentieth of G's, gave varied faces in as many.
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

    The presentation names no optimizer; Adam 2e-4 with beta1 0.5 is usual for this pair in public Keras code. Two
    things are ours. Adam's rates are 5e-5 and 2e-5: at 2e-4 D's loss was 0 after 5,000 images of CelebA (batch 32), at
    1e-4 and 5e-5 faces came sooner, but nearly all the same one. And G's step passes real and fake images through D
    together (``generator_batch="joint"``, the loss on the fakes), so that batch normalisation sees what it saw in D's
    own step: with G's images alone, at the same low rates, D's loss fell to 0.08 in 8,000 images and all samples were
    one grainy face, while D called G's images real in G's step (mean score 0.68) that it knew in its own (99.7%).
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


def style_s(resolution: int = 64) -> RecipeConfig:
    """Style-based networks for minutes on a CPU: see ``networks.style``; what each choice bought: docs/recipes.md."""
    size = {"width": 16, "max_channels": 128, "patch": 2}
    made = _style("style-s", resolution, size | {"second_conv_max_side": 16, "style_size": 256}, size, 3e-3)
    return replace(made, lr_decay_start=100_000)


def style(resolution: int = 64) -> RecipeConfig:
    """Style-based networks for hours on a CPU: G has convolutions at the full resolution, D stays narrow.

    A step costs nine passes through D and three through G, so that width is cheap in G. docs/recipes.md compares.
    """
    made = _style(
        "style",
        resolution,
        {"width": 24, "max_channels": 256, "patch": 1, "second_conv_max_side": resolution // 2, "style_size": 256},
        {"width": 16, "max_channels": 256, "patch": 2},
        3e-3,
    )
    return replace(made, lr_decay_start=100_000, ema_halflife=30_000)


def style_m(resolution: int = 64) -> RecipeConfig:
    """Style-based networks for one GPU: convolutions at the full resolution too.

    Batch 256, which fills a large card's units, and in which chance has half the part in a gradient that it has in 64.
    The rate is StyleGAN2's 2e-3 (Karras et al. 2020), below the 3e-3 of the narrow networks: Adam's step does not grow
    with the batch, and a wider layer adds up more of them. The average's half-life of 500,000 images is for trainings
    of millions; its ramp makes it short at first. R1 and R2 fall to a tenth over ten million images, as R3GAN's do
    (Huang et al. 2024), and the rates to a hundredth over the last three of them; for another length set
    ``penalty_schedule`` and ``lr_schedule``. A GPU has trained nearly these networks, ``style`` made wider, but
    not from nothing yet: docs/celeba64.
    """
    size = {"width": 64, "max_channels": 384, "patch": 1}
    made = _style("style-m", resolution, size | {"second_conv_max_side": resolution, "style_size": 384}, size, 2e-3)
    return replace(
        made,
        penalty_schedule=((0, 1.0), (10_000_000, 0.1)),
        lr_schedule=((7_000_000, 1.0), (10_000_000, 0.01)),
        ema_halflife=500_000,
    )


def _style(
    name: str, resolution: int, generator: dict[str, int], discriminator: dict[str, int], learning_rate: float
) -> RecipeConfig:
    optimizer = OptimizerConfig(learning_rate=learning_rate, beta1=0.0, beta2=0.99, epsilon=1e-8)
    return RecipeConfig(
        name=name,
        network="style",
        resolution=resolution,
        latent_size=128,
        generator={**generator, "mapping_layers": 2, "mapping_lr_multiplier": 0.01, "fine_layer": False},
        discriminator={**discriminator, "feature_heads": False, "fine_block": False},
        discriminator_batch="separate",
        fakes="shared",
        loss="relativistic",
        r1=1.0,
        r2=1.0,
        penalty_every=16,
        attributes=True,
        augment="ada",
        generator_optimizer=optimizer,
        discriminator_optimizer=optimizer,
        flip=True,
        ema_halflife=10_000,
    )


RECIPES: dict[str, Callable[[int], RecipeConfig]] = {
    "classic-tanh": classic_tanh,
    "classic-dcgan": classic_dcgan,
    "dcgan": dcgan,
    "style-s": style_s,
    "style": style,
    "style-m": style_m,
}

_PEERS = {**dict.fromkeys(("stylegan", "stylegan2", "stylegan3", "stylegan2-ada", "r3gan"), "style"), "gan": "dcgan"}
"""Names of other programs' networks, and the recipe that is nearest to them."""


def recipe(name: str, resolution: int = 64) -> RecipeConfig:
    """Return the named recipe at a resolution.

    Raises:
        UserError: an unknown name; the nearest is proposed.
    """
    if name not in RECIPES:
        stem = re.sub(r"\.(ya?ml|json|py|toml)$", "", re.split(r"[/\\]", name)[-1])
        near = _PEERS.get(stem.lower()) or nearest(stem, RECIPES, cutoff=0.4)
        hint = f"did you mean {near}? " if near else ""
        raise UserError(f"no recipe is called {name!r}; {hint}the recipes are {', '.join(RECIPES)}")
    return RECIPES[name](resolution)


def usual_batch(name: str) -> int:
    """Return the batch that a recipe is trained with unless another is asked for."""
    return {"style-s": 16, "style": 16, "style-m": 256}.get(name, 64)
