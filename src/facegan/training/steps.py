"""One step of each network. Each owns its backward pass and its optimizer step, and returns what the log wants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn

from facegan.augment import augment, augmentation_draws
from facegan.config import RecipeConfig
from facegan.losses import (
    NEEDS_REAL,
    SHIFT_INVARIANT,
    discriminator_loss,
    generator_loss,
    gradient_norm_squared,
    gradient_penalty,
)
from facegan.machine import to_device
from facegan.networks.conv_autotune import twice_differentiable
from facegan.networks.layers import DropoutKey, moving_statistics, statistics_apart, statistics_frozen
from facegan.randomness import Stream
from facegan.sampling.latents import draw_latents
from facegan.training.feature_loss import (
    SeenMaps,
    feature_maps,
    generator_heads_loss,
    heads_loss,
    heads_of,
)
from facegan.training.learner import Learner

Draws = Mapping[str, "Tensor | np.ndarray"]
"""What chance decides in a step, by the name of its stream."""


def draws_of(recipe: RecipeConfig, seed: int, index_N: np.ndarray) -> Draws:
    """Return the latents, float32 [N, Z], and the uniform numbers of augmentation, float64, that a step will draw.

    A step that is given them (``Batch.draws``) has nothing to draw but dropout's masks, which the device makes.
    """
    sides = "G" if recipe.fakes == "shared" else "DG"
    draws: dict[str, Tensor | np.ndarray] = {
        name: draw_latents(seed, name, index_N, recipe.latent_size, recipe.latent)
        for name in (f"train/latents-{side}" for side in sides)
    }
    if recipe.augment != "none":
        real = ["G-real"] if recipe.generator_batch == "joint" or recipe.loss in NEEDS_REAL else []
        for which in ("real", "fake", "G", *real):
            draws[f"train/augment-{which}"] = augmentation_draws(seed, f"train/augment-{which}", index_N)
    return draws


@dataclass(frozen=True)
class Batch:
    """What a step learns from: this process's share of the images, and what belongs to them."""

    index_N: np.ndarray
    """int64 [N]: images shown before each of these, since the run's start."""
    image_NCHW: Tensor
    """float [N, 3, R, R] in [-1, 1]."""
    attributes_NA: Tensor | None = None
    """float [N, 40]: of the real images, and those that fakes are asked for; None: the recipe knows none."""
    draws: Draws = field(default_factory=dict)
    """What was drawn ahead; the rest is drawn where it is needed, and is the same."""


@dataclass(frozen=True)
class StepValues:
    """What schedules say of a step."""

    lr_scale: float = 1.0
    """What both learning rates are multiplied by."""
    penalties: bool = True
    """Whether D's gradient is looked at in this step."""
    penalty_weight: float = 1.0
    """What the penalties on D's gradient are multiplied by."""
    augment_p: float = 0.0
    """Probability of ADA's changes."""
    noise_std: float = 0.0
    """Standard deviation of the noise on all images that D sees."""
    generator_learns: bool = True
    """Whether G has a step too."""


@dataclass(frozen=True)
class Step:
    """A step of both networks: how (recipe, seed), from what (batch), and at which moment (values)."""

    recipe: RecipeConfig
    seed: int
    batch: Batch
    values: StepValues = StepValues()
    message: Tensor | None = None
    """float32 [P]: what this process says to all P (see ``messages``); None where it is alone."""
    maps: SeenMaps | None = None
    """What D's heads look at, where it has any."""

    def attribute_arguments(self, copies: int = 1) -> dict[str, Tensor]:
        """Return the further arguments of a network that knows attributes."""
        attributes_NA = self.batch.attributes_NA
        return {} if attributes_NA is None else {"attributes_NA": attributes_NA.repeat(copies, 1)}

    def augmented(self, image_NCHW: Tensor, which: str) -> Tensor:
        """Return images as D is to see them; ``which`` names their part in the step."""
        recipe = self.recipe
        if recipe.augment != "none":
            stream = f"train/augment-{which}"
            drawn = self.batch.draws.get(stream)
            uniform_NK = None if drawn is None else np.asarray(drawn)
            image_NCHW = augment(
                recipe.augment, self.values.augment_p, image_NCHW, self.seed, stream, self.batch.index_N, uniform_NK
            )
        if self.values.noise_std:
            values = Stream(self.seed, f"train/noise-{which}").normal(self.batch.index_N, image_NCHW[0].numel())
            noise_NX = to_device(values * np.float32(self.values.noise_std), image_NCHW.device).to(image_NCHW.dtype)
            image_NCHW = image_NCHW + noise_NX.view(image_NCHW.shape)
        return image_NCHW

    def latents(self, side: str, device: torch.device) -> Tensor:
        """Return latents [N, Z] for the step of "D" or "G"."""
        recipe, stream = self.recipe, f"train/latents-{side}"
        drawn = self.batch.draws.get(stream)
        if drawn is None:
            drawn = draw_latents(self.seed, stream, self.batch.index_N, recipe.latent_size, recipe.latent)
        return to_device(drawn, device)

    def dropout_key(self, pass_name: str, device: torch.device) -> DropoutKey:
        """Return the key of the dropout masks of the pass of "G" images through D."""
        return DropoutKey(self.seed, f"train/{pass_name}", to_device(self.batch.index_N, device))


@contextmanager
def frozen(discriminator: nn.Module) -> Iterator[None]:
    """Inside, gradients flow through D but none is made for its parameters, and its moving statistics stay."""
    discriminator.requires_grad_(False)
    try:
        with statistics_frozen(discriminator):
            yield
    finally:
        discriminator.requires_grad_(True)


def make_fakes(generator: Learner, step: Step) -> Tensor:
    """Return images [N, 3, R, R] for D to learn from, as the recipe's ``fakes`` says.

    "shared": those of G's own step, with gradients, moving G's statistics. Else G is left as it is.
    """
    G, device = generator.working, generator.engine.device
    if step.recipe.fakes == "shared":
        return G(step.latents("G", device).to(generator.dtype), **step.attribute_arguments())
    G.train(step.recipe.fakes == "training")
    with torch.no_grad(), statistics_frozen(G):
        fake_NCHW = G(step.latents("D", device).to(generator.dtype), **step.attribute_arguments())
    G.train()
    return fake_NCHW


def logits_of_both(
    discriminator: nn.Module, real_NCHW: Tensor, fake_NCHW: Tensor, step: Step, pass_name: str
) -> tuple[Tensor, Tensor]:
    """Return D's logits [N] of real and of fake images, which pass through it together, 2N at a time."""
    # Sample i's real image has the dropout mask of index 2i, its fake that of 2i + 1.
    index_2N = np.concatenate([2 * step.batch.index_N, 2 * step.batch.index_N + 1])
    dropout_key = DropoutKey(step.seed, f"train/{pass_name}", to_device(index_2N, real_NCHW.device))
    both_NCHW = torch.cat([real_NCHW, fake_NCHW])
    real_logit_N, fake_logit_N = discriminator(both_NCHW, dropout_key, **step.attribute_arguments(2)).chunk(2)
    return real_logit_N, fake_logit_N


def seen_maps(discriminator: Learner, fake_NCHW: Tensor, step: Step) -> SeenMaps | None:
    """Return what attributes-net sees in the images of D's step, changed as they are for D; None: D has no heads."""
    if heads_of(discriminator.network) is None:
        return None
    with torch.no_grad():
        real = feature_maps(step.augmented(step.batch.image_NCHW, "real"))
    return SeenMaps(real, feature_maps(step.augmented(fake_NCHW, "fake")))


def discriminator_step(discriminator: Learner, fake_NCHW: Tensor, step: Step) -> dict[str, Tensor]:
    """Train D to call real images 1 and G's images 0; return the log's tensors.

    "joint": both in one batch of 2N, loss = mean over 2N. "separate": each has its own batch statistics,
    loss = sum of the two means. Penalties on D's gradient come on top, where they are due.
    """
    recipe, D = step.recipe, discriminator.working
    joint = recipe.discriminator_batch == "joint"
    real_NCHW, fake_NCHW = step.augmented(step.batch.image_NCHW, "real"), step.augmented(fake_NCHW.detach(), "fake")
    with statistics_apart(D, 1 if joint else 2):
        real_logit_N, fake_logit_N = logits_of_both(D, real_NCHW, fake_NCHW, step, "joint")
    loss_N = discriminator_loss(recipe.loss, real_logit_N, fake_logit_N, real_label=recipe.real_label)
    loss = loss_N.mean() * (0.5 if joint else 1.0)
    penalty = penalty_of(D, real_NCHW, fake_NCHW, step)
    total_loss = loss if penalty is None else loss + penalty * recipe.penalty_every
    head_metrics = {}
    if step.maps is not None and (heads := heads_of(D)) is not None:
        head_loss, ranks = heads_loss(heads, step.maps, recipe)
        total_loss, head_metrics = total_loss + head_loss, {"D_heads_rank": ranks}
    real_B, fake_B, messages = real_logit_N.detach().float(), fake_logit_N.detach().float(), {}
    if step.message is None:
        norm = discriminator.update(total_loss, step.values.lr_scale)
    else:
        shared = _to_share(real_B, fake_B, step.message, discriminator.engine.rank)
        norm = discriminator.update(total_loss, step.values.lr_scale, shared)
        batch = len(real_B) * len(step.message)
        real_B, fake_B, message_P = shared.split([batch, batch, len(step.message)])
        messages = {"messages": message_P}
    return {
        "D_loss": loss.detach(),
        "D_accuracy_real": (real_B > 0).float().mean(),
        "D_accuracy_fake": (fake_B < 0).float().mean(),
        "D_ranks": (real_B[:, None] > fake_B).float().mean(),
        "D_gradient_norm": norm,
        "D_sign": _mean_sign(recipe, real_B, fake_B),
        **_skipped("D", discriminator),
        **messages,
        **head_metrics,
        **_penalty_metric(recipe, penalty, loss.device),
    }


def _to_share(real_N: Tensor, fake_N: Tensor, message_P: Tensor, rank: int) -> Tensor:
    """Return float32 [2 N P + P] whose sum over all P processes holds all logits in their order, and all messages."""
    zeros_PN = real_N.new_zeros(len(message_P), len(real_N))
    rows = []
    for logit_N in (real_N, fake_N):
        own_PN = zeros_PN.clone()
        own_PN[rank] = logit_N
        rows.append(own_PN.flatten())
    return torch.cat([*rows, message_P])


def _mean_sign(recipe: RecipeConfig, real_logit_N: Tensor, fake_logit_N: Tensor) -> Tensor:
    """Return the mean sign of D at real images; where a loss knows differences only, of a real one less its fake."""
    logit_N = real_logit_N - fake_logit_N if recipe.loss in SHIFT_INVARIANT else real_logit_N
    return logit_N.float().sign().mean()


def penalty_of(discriminator: nn.Module, real_NCHW: Tensor, fake_NCHW: Tensor, step: Step) -> Tensor | None:
    """Return the sum of the recipe's penalties on D's gradient, or None where none is due."""
    recipe = step.recipe
    if (
        not step.values.penalties
        or not step.values.penalty_weight
        or not (recipe.r1 or recipe.r2 or recipe.gradient_penalty)
    ):
        return None

    def logits(image_NCHW: Tensor) -> Tensor:
        copies = len(image_NCHW) // len(step.batch.index_N)
        index_N = np.tile(step.batch.index_N, copies)
        dropout_key = DropoutKey(step.seed, "train/penalty", to_device(index_N, image_NCHW.device))
        logit_N: Tensor = discriminator(image_NCHW, dropout_key, **step.attribute_arguments(copies))
        return logit_N

    total = real_NCHW.new_zeros((), dtype=torch.float32)
    with statistics_frozen(discriminator), twice_differentiable(discriminator):
        penalised = [(recipe.r1, real_NCHW), (recipe.r2, fake_NCHW)]
        penalised = [(weight, image_NCHW) for weight, image_NCHW in penalised if weight]
        if penalised:
            squares = gradient_norm_squared(logits, torch.cat([image_NCHW for _, image_NCHW in penalised]))
            parts = squares.chunk(len(penalised))
            total = total + sum(0.5 * penalised[place][0] * part.mean() for place, part in enumerate(parts))
        if recipe.gradient_penalty:
            share_N = to_device(
                Stream(step.seed, "train/between").uniform(step.batch.index_N, 1)[:, 0], real_NCHW.device
            )
            between_N = gradient_penalty(logits, real_NCHW, fake_NCHW, share_N)
            total = total + recipe.gradient_penalty * between_N.mean()
    return total * step.values.penalty_weight


def _penalty_metric(recipe: RecipeConfig, penalty: Tensor | None, device: torch.device) -> dict[str, Tensor]:
    """Return the log's value, whose mean over steps is the penalty: 0 where none is due, else a multiple of it."""
    if not (recipe.r1 or recipe.r2 or recipe.gradient_penalty):
        return {}
    return {"D_penalty": torch.zeros((), device=device) if penalty is None else penalty.detach() * recipe.penalty_every}


def generator_step(generator: Learner, discriminator: Learner, fake_NCHW: Tensor, step: Step) -> dict[str, Tensor]:
    """Train G, through a frozen D, to make images that D calls 1; return the log's tensors.

    ``fake_NCHW`` is what ``make_fakes`` made for D: used if the recipe's ``fakes`` are shared, else G makes its own.
    """
    recipe, D, real_NCHW = step.recipe, discriminator.working, step.batch.image_NCHW
    moving = moving_statistics(D) if recipe.generator_batch == "moving" else nullcontext()
    with frozen(D), moving:
        if recipe.fakes != "shared":
            fake_NCHW = generator.working(
                step.latents("G", real_NCHW.device).to(generator.dtype), **step.attribute_arguments()
            )
        fake_NCHW = step.augmented(fake_NCHW, "G")
        real_logit_N = None
        if recipe.generator_batch == "joint":
            real_logit_N, logit_N = logits_of_both(D, step.augmented(real_NCHW, "G-real"), fake_NCHW, step, "G-joint")
        else:
            logit_N = D(fake_NCHW, step.dropout_key("G", real_NCHW.device), **step.attribute_arguments())
            if recipe.loss in NEEDS_REAL:
                with torch.no_grad():
                    real_NCHW = step.augmented(real_NCHW, "G-real")
                    real_logit_N = D(
                        real_NCHW, step.dropout_key("G-real", real_NCHW.device), **step.attribute_arguments()
                    )
        loss = total_loss = generator_loss(recipe.loss, logit_N, real_logit_N).mean()
        if step.maps is not None and (heads := heads_of(D)) is not None:
            fake_maps = step.maps.fake if recipe.fakes == "shared" else feature_maps(fake_NCHW)
            total_loss = loss + generator_heads_loss(heads, step.maps.real, fake_maps, recipe)
        norm = generator.update(total_loss, step.values.lr_scale)
    return {
        "G_loss": loss.detach(),
        "D_on_G": logit_N.detach().float().sigmoid().mean(),
        "G_gradient_norm": norm,
        **_skipped("G", generator),
    }


def _skipped(side: str, learner: Learner) -> dict[str, Tensor]:
    """Return the log's value, whose mean over steps is the share of steps that float16 could not take."""
    return {} if learner.loss_scale is None else {f"{side}_skipped": learner.loss_scale.skipped}


def train_step(generator: Learner, discriminator: Learner, step: Step) -> dict[str, Tensor]:
    """Take one step of D, then one of G (of D alone, where G does not learn yet); return the log's tensors."""
    if not step.values.generator_learns:
        with torch.no_grad():
            fake_NCHW = make_fakes(generator, step)
            step = replace(step, maps=seen_maps(discriminator, fake_NCHW, step))
        return discriminator_step(discriminator, fake_NCHW, step)
    fake_NCHW = make_fakes(generator, step)
    step = replace(step, maps=seen_maps(discriminator, fake_NCHW, step))
    d_metrics = discriminator_step(discriminator, fake_NCHW, step)
    return d_metrics | generator_step(generator, discriminator, fake_NCHW, step)
