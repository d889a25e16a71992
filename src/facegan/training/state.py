"""What a training is at one moment: two learners, averages, and the clock."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from facegan.augment import AdaptiveProbability
from facegan.config import RecipeConfig, RunConfig
from facegan.machine import use_deterministic_kernels, use_fast_kernels
from facegan.networks import build_pair
from facegan.networks.conv_autotune import algorithms_on, set_algorithms
from facegan.training.engine import Engine
from facegan.training.execution_plan import ExecutionPlan
from facegan.training.learner import Learner


@dataclass
class TrainingState:
    """Both networks with their optimizers, the averaged generator if the recipe has one, and the clock."""

    generator: Learner
    discriminator: Learner
    average: nn.Module | None
    extra_averages: dict[int, nn.Module] = field(default_factory=dict)
    """Further averages by their half-life."""
    nimg: int = 0
    """Real images shown to the discriminator so far."""
    extra: dict[str, Any] = field(default_factory=dict)
    """What else a run goes on with; saved as the snapshot's ``state``."""
    adaptive: AdaptiveProbability | None = None
    """ADA's probability, where the recipe has one."""

    def averages(self, halflife: int) -> list[tuple[int, nn.Module]]:
        """Return (half-life, average) of all averages; ``halflife``: that of the first one."""
        first = [] if self.average is None else [(halflife, self.average)]
        return [*first, *self.extra_averages.items()]

    @property
    def lr_scale(self) -> float:
        """What both learning rates are multiplied by, after rewinds."""
        return float(self.extra.get("rate", 1.0))

    @property
    def loss_scales(self) -> dict[str, dict[str, float]]:
        """What float16 multiplies the losses by, by network; nothing in other precisions."""
        learners = {"generator": self.generator, "discriminator": self.discriminator}
        scales = {name: learner.loss_scale for name, learner in learners.items()}
        return {name: scale.to_dict() for name, scale in scales.items() if scale is not None}

    @property
    def rewinds(self) -> int:
        """How often the run has gone back to a snapshot."""
        return int(self.extra.get("rollbacks", 0))

    @property
    def sampling_generator(self) -> nn.Module:
        """The generator that faces are sampled from: the average if there is one."""
        return self.average if self.average is not None else self.generator.network


def new_state(config: RunConfig, plan: ExecutionPlan, engine: Engine, *, empty: bool = False) -> TrainingState:
    """Return the state before the first step; ``empty`` leaves the weights to be loaded."""
    pair = build_pair(config.recipe, seed=None if empty else config.seed)
    return state_of(pair.generator, pair.discriminator, config, plan, engine)


def state_of(
    generator: nn.Module, discriminator: nn.Module, config: RunConfig, plan: ExecutionPlan, engine: Engine
) -> TrainingState:
    """Return the state before the first step of two networks."""
    recipe = config.recipe
    set_algorithms(generator, algorithms_on(engine.device, plan.generator))
    set_algorithms(discriminator, algorithms_on(engine.device, plan.discriminator))
    if engine.device.type == "cuda":
        use_fast_kernels(plan.precision)
        if plan.deterministic:
            use_deterministic_kernels()

    def copied() -> nn.Module:
        return copy.deepcopy(generator).to(engine.device).eval().requires_grad_(False)

    average = copied() if recipe.ema_halflife else None
    return TrainingState(
        extra_averages={halflife: copied() for halflife in recipe.extra_ema_halflives},
        generator=Learner(generator, recipe.generator_optimizer, plan.precision, engine),
        discriminator=Learner(discriminator, recipe.discriminator_optimizer, plan.precision, engine),
        average=average,
        adaptive=adaptive_of(recipe),
    )


def adaptive_of(recipe: RecipeConfig, values: Any = None) -> AdaptiveProbability | None:
    """Return ADA's probability, as a snapshot has it or at 0; None where the recipe has none."""
    if recipe.augment != "ada":
        return None
    return AdaptiveProbability(recipe.ada_target, recipe.ada_images, values)
