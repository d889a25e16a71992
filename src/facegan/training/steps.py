"""One step of each player. Each owns its backward pass and its optimiser step, and returns what the log wants."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from facegan.config import RecipeConfig
from facegan.losses import binary_cross_entropy
from facegan.networks.layers import SampleNoise, statistics_apart, statistics_frozen
from facegan.sampling.latents import draw_latents
from facegan.training.engine import Player


@dataclass(frozen=True)
class StepInput:
    """What both players need to know of a step."""

    recipe: RecipeConfig
    seed: int
    index_N: np.ndarray
    """int64 [N]: images shown before each of this process's samples, since the run's start."""
    rate: float = 1.0
    """What both learning rates are multiplied by."""

    def latents(self, player: str, device: torch.device) -> Tensor:
        """Return latents [N, Z] for the step of "D" or "G"."""
        recipe = self.recipe
        latent_NZ = draw_latents(self.seed, f"train/latents-{player}", self.index_N, recipe.latent_size, recipe.latent)
        return torch.from_numpy(latent_NZ).to(device)

    def noise(self, passed: str, device: torch.device) -> SampleNoise:
        """Return the source of dropout masks for the pass of "G" images through D."""
        return SampleNoise(self.seed, f"train/{passed}", torch.from_numpy(self.index_N).to(device))


@contextmanager
def untouched(discriminator: nn.Module) -> Iterator[None]:
    """Inside, gradients flow through D but none is made for its parameters, and its moving statistics stay."""
    discriminator.requires_grad_(False)
    try:
        with statistics_frozen(discriminator):
            yield
    finally:
        discriminator.requires_grad_(True)


def make_fakes(generator: Player, step: StepInput) -> Tensor:
    """Return images [N, 3, R, R] for D to learn from, as the recipe's ``fakes`` says.

    "shared": those of G's own step, with gradients, moving G's statistics. Else G is left as it is.
    """
    G, device = generator.working, generator.engine.device
    if step.recipe.fakes == "shared":
        return G(step.latents("G", device).to(generator.dtype))
    G.train(step.recipe.fakes == "training")
    with torch.no_grad(), statistics_frozen(G):
        fake_NCHW = G(step.latents("D", device).to(generator.dtype))
    G.train()
    return fake_NCHW


def logits_of_both(
    discriminator: nn.Module, real_NCHW: Tensor, fake_NCHW: Tensor, step: StepInput, passed: str
) -> tuple[Tensor, Tensor]:
    """Return D's logits [N] of real and of fake images, which pass through it together, 2N at a time."""
    # Sample i's real image has the dropout mask of index 2i, its fake that of 2i + 1.
    index_2N = np.concatenate([2 * step.index_N, 2 * step.index_N + 1])
    noise = SampleNoise(step.seed, f"train/{passed}", torch.from_numpy(index_2N).to(real_NCHW.device))
    real_logit_N, fake_logit_N = discriminator(torch.cat([real_NCHW, fake_NCHW]), noise).chunk(2)
    return real_logit_N, fake_logit_N


def discriminator_step(
    discriminator: Player, real_NCHW: Tensor, fake_NCHW: Tensor, step: StepInput
) -> dict[str, Tensor]:
    """Teach D that real images are 1 and G's are 0; return the log's tensors.

    "joint": both in one batch of 2N, loss = mean over 2N. "separate": each has its own batch statistics,
    loss = sum of the two means.
    """
    fake_NCHW = fake_NCHW.detach()
    D, joint = discriminator.working, step.recipe.discriminator_batch == "joint"
    with statistics_apart(D, 1 if joint else 2):
        real_logit_N, fake_logit_N = logits_of_both(D, real_NCHW, fake_NCHW, step, "joint")
    real_loss = binary_cross_entropy(real_logit_N, step.recipe.real_label).mean()
    fake_loss = binary_cross_entropy(fake_logit_N, 0.0).mean()
    loss = (real_loss + fake_loss) * (0.5 if joint else 1.0)
    norm = discriminator.update(loss, step.rate)
    return {
        "D_loss": loss.detach(),
        "D_accuracy_real": (real_logit_N.detach() > 0).float().mean(),
        "D_accuracy_fake": (fake_logit_N.detach() < 0).float().mean(),
        "D_ranks": (real_logit_N.detach()[:, None] > fake_logit_N.detach()).float().mean(),
        "D_gradient_norm": norm,
    }


def generator_step(
    generator: Player, discriminator: Player, real_NCHW: Tensor, fake_NCHW: Tensor, step: StepInput
) -> dict[str, Tensor]:
    """Teach G to make images that D calls 1, through D, with D's parameters untouched; return the log's tensors.

    ``fake_NCHW`` is what ``make_fakes`` made for D: used if the recipe's ``fakes`` are shared, else G makes its own.
    """
    D = discriminator.working
    with untouched(D):
        if step.recipe.fakes != "shared":
            fake_NCHW = generator.working(step.latents("G", real_NCHW.device).to(generator.dtype))
        if step.recipe.generator_batch == "joint":
            _, logit_N = logits_of_both(D, real_NCHW, fake_NCHW, step, "G-joint")
        else:
            logit_N = D(fake_NCHW, step.noise("G", real_NCHW.device))
        loss = binary_cross_entropy(logit_N, 1.0).mean()
        norm = generator.update(loss, step.rate)
    return {
        "G_loss": loss.detach(),
        "D_on_G": logit_N.detach().float().sigmoid().mean(),
        "G_gradient_norm": norm,
    }


def play_step(generator: Player, discriminator: Player, real_NCHW: Tensor, step: StepInput) -> dict[str, Tensor]:
    """Take one step of each player, D first; return the log's tensors."""
    fake_NCHW = make_fakes(generator, step)
    d_metrics = discriminator_step(discriminator, real_NCHW, fake_NCHW, step)
    return d_metrics | generator_step(generator, discriminator, real_NCHW, fake_NCHW, step)
