"""What a training is at one moment, and its way into a snapshot and back."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from facegan.config import RunConfig, to_dict
from facegan.errors import UserError
from facegan.networks import build_discriminator, build_generator
from facegan.networks.convolution import DIRECT
from facegan.networks.forms import set_forms
from facegan.snapshot import load_into, read_info, read_tensors, write_snapshot
from facegan.training.engine import Engine, Player, load_optimizer, optimizer_tensors


@dataclass(frozen=True, kw_only=True)
class Choices:
    """How a run computes. Frozen in ``run.json`` for its life, so that it can be repeated to the bit."""

    precision: str
    threads: int
    forms: str = DIRECT
    """What was asked for: auto, direct or plain."""
    generator: Mapping[str, str] = field(default_factory=dict)
    """Form of each of the generator's layers."""
    discriminator: Mapping[str, str] = field(default_factory=dict)
    images_per_s: float | None = None
    """Rate of a few trial steps; None if none were made."""

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str) -> Choices:
        """Return what ``to_dict`` gave.

        Raises:
            UserError: it is something else. ``where`` names the file.
        """
        try:
            return cls(**values)
        except TypeError:
            raise UserError(f"{where} is damaged; restore it from a copy, or train a new run") from None


@dataclass
class TrainingState:
    """Both players, the averaged generator if the recipe has one, and the clock."""

    generator: Player
    discriminator: Player
    average: nn.Module | None
    nimg: int = 0
    """Real images shown to the discriminator so far."""
    learnt: dict[str, Any] = field(default_factory=dict)
    """Whatever else the run has learnt to do; saved as the snapshot's ``state``."""

    @property
    def sampler(self) -> nn.Module:
        """The generator that faces are sampled from: the average if there is one."""
        return self.average if self.average is not None else self.generator.network


def new_state(config: RunConfig, choices: Choices, engine: Engine, *, empty: bool = False) -> TrainingState:
    """Return the state before the first step; ``empty`` leaves the weights to be loaded."""
    recipe, seed = config.recipe, None if empty else config.seed
    generator = build_generator(recipe.network, recipe.generator_options, seed=seed)
    discriminator = build_discriminator(recipe.network, recipe.discriminator_options, seed=seed)
    set_forms(generator, choices.generator)
    set_forms(discriminator, choices.discriminator)
    average = copy.deepcopy(generator).to(engine.device).eval().requires_grad_(False) if recipe.ema_halflife else None
    return TrainingState(
        generator=Player(generator, recipe.generator_optimizer, choices.precision, engine),
        discriminator=Player(discriminator, recipe.discriminator_optimizer, choices.precision, engine),
        average=average,
    )


def save_state(state: TrainingState, config: RunConfig, path: Path) -> None:
    """Write a snapshot of the state at ``path``."""
    tensors = {
        "generator": state.generator.network.state_dict(),
        "discriminator": state.discriminator.network.state_dict(),
        "optimizers": optimizer_tensors(state.generator, "generator")
        | optimizer_tensors(state.discriminator, "discriminator"),
    }
    if state.average is not None:
        tensors["ema"] = state.average.state_dict()
    write_snapshot(path, nimg=state.nimg, config=to_dict(config), state=state.learnt, tensors=tensors)


def load_state(path: Path, config: RunConfig, choices: Choices, engine: Engine) -> TrainingState:
    """Return the state that a snapshot holds.

    Raises:
        UserError: a file of it is missing, damaged or of another shape.
    """
    info = read_info(path)
    state = new_state(config, choices, engine, empty=True)
    for stem, player in (("generator", state.generator), ("discriminator", state.discriminator)):
        load_into(player.network, read_tensors(info, stem), f"{path}/{stem}.safetensors")
        player.refresh()
    if state.average is not None:
        load_into(state.average, read_tensors(info, "ema"), f"{path}/ema.safetensors")
    optimizers = read_tensors(info, "optimizers")
    load_optimizer(state.generator, optimizers, "generator")
    load_optimizer(state.discriminator, optimizers, "discriminator")
    state.nimg, state.learnt = info.nimg, info.state
    return state
