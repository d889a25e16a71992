"""What a training is at one moment, and its way into a snapshot and back."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from facegan.augment import AdaptiveProbability
from facegan.config import RecipeConfig, RunConfig, from_dict
from facegan.errors import UserError
from facegan.machine import PRECISIONS, prefer_speed
from facegan.networks import build_discriminator, build_generator
from facegan.networks.convolution import DIRECT
from facegan.networks.forms import forms_on, set_forms
from facegan.runs.snapshot import (
    INFO_FILE,
    SnapshotInfo,
    load_into,
    load_network,
    read_info,
    read_tensors,
    snapshot_bytes,
)
from facegan.settings import differences, table_of
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
    def from_dict(cls, values: Any, where: str) -> Choices:
        """Return what ``to_dict`` gave.

        Raises:
            UserError: it is something else. ``where`` names the file.
        """
        try:
            choices = cls(**values)
            if choices.precision not in PRECISIONS or type(choices.threads) is not int or choices.threads < 1:
                raise TypeError
            dict(choices.generator), dict(choices.discriminator)
            return choices
        except (TypeError, ValueError):
            raise UserError(f"{where} is damaged; restore it from a copy, or train a new run") from None


@dataclass
class TrainingState:
    """Both players, the averaged generator if the recipe has one, and the clock."""

    generator: Player
    discriminator: Player
    average: nn.Module | None
    extra_averages: dict[int, nn.Module] = field(default_factory=dict)
    """Further averages by their half-life."""
    nimg: int = 0
    """Real images shown to the discriminator so far."""
    learnt: dict[str, Any] = field(default_factory=dict)
    """Whatever else the run has learnt to do; saved as the snapshot's ``state``."""
    adaptive: AdaptiveProbability | None = None
    """ADA's probability, where the recipe has one."""

    def averages(self, halflife: int) -> list[tuple[int, nn.Module]]:
        """Return (half-life, average) of all averages; ``halflife``: that of the first one."""
        first = [] if self.average is None else [(halflife, self.average)]
        return [*first, *self.extra_averages.items()]

    @property
    def sampler(self) -> nn.Module:
        """The generator that faces are sampled from: the average if there is one."""
        return self.average if self.average is not None else self.generator.network


def new_state(config: RunConfig, choices: Choices, engine: Engine, *, empty: bool = False) -> TrainingState:
    """Return the state before the first step; ``empty`` leaves the weights to be loaded."""
    recipe, seed = config.recipe, None if empty else config.seed
    generator = build_generator(recipe.network, recipe.generator_options, seed=seed)
    discriminator = build_discriminator(recipe.network, recipe.discriminator_options, seed=seed)
    return state_of(generator, discriminator, config, choices, engine)


def state_of(
    generator: nn.Module, discriminator: nn.Module, config: RunConfig, choices: Choices, engine: Engine
) -> TrainingState:
    """Return the state before the first step of two networks."""
    recipe = config.recipe
    set_forms(generator, forms_on(engine.device, choices.generator))
    set_forms(discriminator, forms_on(engine.device, choices.discriminator))
    if engine.device.type == "cuda":
        prefer_speed(choices.precision)

    def copied() -> nn.Module:
        return copy.deepcopy(generator).to(engine.device).eval().requires_grad_(False)

    average = copied() if recipe.ema_halflife else None
    return TrainingState(
        extra_averages={halflife: copied() for halflife in recipe.extra_ema_halflives},
        generator=Player(generator, recipe.generator_optimizer, choices.precision, engine),
        discriminator=Player(discriminator, recipe.discriminator_optimizer, choices.precision, engine),
        average=average,
        adaptive=_adaptive(recipe),
    )


def _adaptive(recipe: RecipeConfig, values: Any = None) -> AdaptiveProbability | None:
    if recipe.augment != "ada":
        return None
    return AdaptiveProbability(recipe.ada_target, recipe.ada_images, values)


def state_tensors(state: TrainingState) -> dict[str, dict[str, Tensor]]:
    """Return the tensors of a snapshot, by the stem of its file and by name. They are the state's own, not copies."""
    tensors = {
        "generator": state.generator.network.state_dict(),
        "discriminator": state.discriminator.network.state_dict(),
        "optimizers": optimizer_tensors(state.generator, "generator")
        | optimizer_tensors(state.discriminator, "discriminator"),
    }
    if state.average is not None:
        tensors["ema"] = state.average.state_dict()
    for halflife, average in state.extra_averages.items():
        tensors[ema_stem(halflife)] = average.state_dict()
    return tensors


def ema_stem(halflife: int) -> str:
    """Return the stem of the file that holds a further average."""
    return f"ema-{halflife}"


def load_state(path: Path, config: RunConfig, choices: Choices, engine: Engine) -> TrainingState:
    """Return the state that a snapshot of a run with this config holds.

    Raises:
        UserError: a file of it is missing, damaged or of another shape, or it is of another config.
    """
    info = read_info(path)
    own = from_dict(RunConfig, info.config, str(path / INFO_FILE))
    if changed := differences(own, config):
        raise UserError(f"{path} is of other settings:\n{table_of(changed, 'the snapshot', 'the run')}")
    return restore(info, config, choices, engine)


def restore(info: SnapshotInfo, config: RunConfig, choices: Choices, engine: Engine) -> TrainingState:
    """Return the state that a snapshot holds, to go on with under ``config``.

    An average that the config asks for and the snapshot has not begins at the snapshot's average, or at its generator.
    Where the config has another ``mapping_lr_multiplier``, the stored weights are scaled so that G stays the same.

    Raises:
        UserError: a file of it is missing, damaged or of another shape.
    """
    own = from_dict(RunConfig, info.config, str(info.path / INFO_FILE))
    recipe, where = config.recipe, info.path / "optimizers.safetensors"
    generator = load_network(
        info, "generator", lambda: build_generator(recipe.network, recipe.generator_options, seed=None)
    )
    discriminator = load_network(
        info, "discriminator", lambda: build_discriminator(recipe.network, recipe.discriminator_options, seed=None)
    )
    state = state_of(generator, discriminator, config, choices, engine)
    ema = {halflife: ema_stem(halflife) for halflife in own.recipe.extra_ema_halflives}
    if own.recipe.ema_halflife:
        ema[own.recipe.ema_halflife] = "ema"
    wanted = dict(state.extra_averages)
    if state.average is not None:
        wanted[recipe.ema_halflife] = state.average
    for halflife, average in wanted.items():
        if stem := ema.get(halflife, ema.get(own.recipe.ema_halflife)):
            load_into(average, read_tensors(info, stem), f"{info.path}/{stem}.safetensors")
    optimizers = read_tensors(info, "optimizers")
    factor = _mapping_factor(own.recipe, recipe)
    for network in (state.generator.network, *wanted.values()):
        scale_mapping(network, factor)
    scale_mapping_moments(optimizers, factor)
    state.generator.refresh()
    starts = {"generator": own.start_nimg + own.recipe.generator_start, "discriminator": own.start_nimg}
    for prefix, player in (("generator", state.generator), ("discriminator", state.discriminator)):
        load_optimizer(player, optimizers, prefix, str(where), has_stepped=info.nimg > starts[prefix])
    state.nimg, state.learnt = info.nimg, info.state
    state.adaptive = _adaptive(recipe, info.state.get("ada"))
    return state


def _mapping_factor(before: RecipeConfig, after: RecipeConfig) -> float:
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


def warm_start(
    info: SnapshotInfo, config: RunConfig, choices: Choices, engine: Engine, *, fresh_discriminator: bool = False
) -> TrainingState:
    """Return a state before the first step whose weights are those that a model makes faces with, and its
    discriminator's, unless the seed is to make a fresh one; the optimisers are fresh.

    If the config's clock goes on from the model's (``start_nimg``), so does ADA's probability.

    Raises:
        UserError: the model's files are damaged, or are of other networks than the config's.
    """
    recipe, stem = config.recipe, _weights_stem(info)
    generator = load_network(info, stem, lambda: build_generator(recipe.network, recipe.generator_options, seed=None))
    if fresh_discriminator:
        discriminator = build_discriminator(recipe.network, recipe.discriminator_options, seed=config.seed)
    else:
        discriminator = load_network(
            info, "discriminator", lambda: build_discriminator(recipe.network, recipe.discriminator_options, seed=None)
        )
    own = from_dict(RunConfig, info.config, str(info.path / INFO_FILE))
    scale_mapping(generator, _mapping_factor(own.recipe, recipe))
    state = state_of(generator, discriminator, config, choices, engine)
    if config.start_nimg:
        state.nimg = config.start_nimg
        state.adaptive = _adaptive(recipe, info.state.get("ada"))
    return state


def weights_digest(info: SnapshotInfo, *, fresh_discriminator: bool = False) -> str:
    """Return the sha256 of the weights that ``warm_start`` takes."""
    stems = [_weights_stem(info)] if fresh_discriminator else [_weights_stem(info), "discriminator"]
    used = [info.sha256.get(f"{stem}.safetensors", "") for stem in stems]
    return hashlib.sha256("\n".join(used).encode()).hexdigest()


def _weights_stem(info: SnapshotInfo) -> str:
    return "ema" if "ema.safetensors" in info.sha256 else "generator"


def full_snapshot_bytes(state: TrainingState) -> int:
    """Return the size of a snapshot of this run once its optimisers have stepped."""
    tensors = state_tensors(state)
    moments = [
        sum(parameter.numel() * 4 for parameter in player.network.parameters()) * len(player.fields - {"step"})
        for player in (state.generator, state.discriminator)
    ]
    return snapshot_bytes({stem: named for stem, named in tensors.items() if stem != "optimizers"}) + sum(moments)
