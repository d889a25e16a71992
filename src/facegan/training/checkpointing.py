"""A training's state as the tensors of a snapshot, and back."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from facegan.config import RecipeConfig, RunConfig
from facegan.config_changes import differences, table_of
from facegan.errors import UserError
from facegan.runs.snapshot import (
    SnapshotInfo,
    load_discriminator,
    load_generator,
    load_into,
    read_info,
    read_tensors,
    snapshot_bytes,
)
from facegan.training.engine import Engine
from facegan.training.execution_plan import ExecutionPlan
from facegan.training.learner import load_optimizer, optimizer_tensors
from facegan.training.state import TrainingState, adaptive_of, state_of


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
        tensors[f"ema-{halflife}"] = average.state_dict()
    return tensors


def ema_stems(recipe: RecipeConfig) -> dict[int, str]:
    """Return the stems of the files with a recipe's averages, by half-life."""
    first = {recipe.ema_halflife: "ema"} if recipe.ema_halflife else {}
    return first | {halflife: f"ema-{halflife}" for halflife in recipe.extra_ema_halflives}


def load_state(path: Path, config: RunConfig, plan: ExecutionPlan, engine: Engine) -> TrainingState:
    """Return the state that a snapshot of a run with this config holds.

    Raises:
        UserError: a file of it is missing, damaged or of another shape, or it is of another config.
    """
    info = read_info(path)
    if changed := differences(info.run_config(), config):
        raise UserError(f"{path} is of other settings:\n{table_of(changed, 'the snapshot', 'the run')}")
    return restore(info, config, plan, engine)


def restore(info: SnapshotInfo, config: RunConfig, plan: ExecutionPlan, engine: Engine) -> TrainingState:
    """Return the state that a snapshot holds, to go on with under ``config``.

    An average that the config asks for and the snapshot has not begins at the snapshot's average, or at its generator.
    Where the config has another ``mapping_lr_multiplier``, the stored weights are scaled so that G stays the same.

    Raises:
        UserError: a file of it is missing, damaged or of another shape.
    """
    own, recipe, where = info.run_config(), config.recipe, info.path / "optimizers.safetensors"
    state = state_of(load_generator(info, recipe), load_discriminator(info, recipe), config, plan, engine)
    stems, wanted = ema_stems(own.recipe), dict(state.averages(recipe.ema_halflife))
    for halflife, average in wanted.items():
        if stem := stems.get(halflife, stems.get(own.recipe.ema_halflife)):
            load_into(average, read_tensors(info, stem), f"{info.path}/{stem}.safetensors")
    optimizers = read_tensors(info, "optimizers")
    factor = mapping_factor(own.recipe, recipe)
    for network in (state.generator.network, *wanted.values()):
        scale_mapping(network, factor)
    scale_mapping_moments(optimizers, factor)
    state.generator.refresh()
    for prefix, learner in (("generator", state.generator), ("discriminator", state.discriminator)):
        load_optimizer(learner, optimizers, prefix, str(where))
        learner.load_scale(info.state.get("loss_scale"), prefix)
    state.nimg, state.extra = info.nimg, info.state
    state.adaptive = adaptive_of(recipe, info.state.get("ada"))
    return state


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


def full_snapshot_bytes(state: TrainingState) -> int:
    """Return the size of a snapshot of this run once its optimizers have stepped."""
    tensors = state_tensors(state)
    moments = [
        sum(parameter.numel() * 4 for parameter in learner.network.parameters()) * len(learner.fields - {"step"})
        for learner in (state.generator, state.discriminator)
    ]
    return snapshot_bytes({stem: named for stem, named in tensors.items() if stem != "optimizers"}) + sum(moments)
