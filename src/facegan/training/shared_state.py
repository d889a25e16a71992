"""A training's state, given by the main process to all others: only it needs the run's folder."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from facegan.config import RunConfig
from facegan.training.checkpointing import state_tensors
from facegan.training.engine import Engine
from facegan.training.execution_plan import ExecutionPlan
from facegan.training.learner import Learner
from facegan.training.state import TrainingState, adaptive_of, new_state


def share_state(state: TrainingState | None, config: RunConfig, plan: ExecutionPlan, engine: Engine) -> TrainingState:
    """Return the main process's state in every process; the others give None.

    All tensors are sent, also those that a seed makes, so that processes are alike to the bit whatever they run on.
    """
    if engine.world_size == 1:
        assert state is not None
        return state
    facts: dict[str, Any] | None = None
    if state is not None:
        facts = {
            "nimg": state.nimg,
            "extra": state.extra,
            "loss_scales": state.loss_scales,
            "ada": None if state.adaptive is None else state.adaptive.to_dict(),
            "stepped": {name: bool(learner.optimizer.state) for name, learner in _learners(state).items()},
        }
    facts = engine.broadcast_object(facts)
    assert facts is not None
    if state is None:
        state = new_state(config, plan, engine, empty=True)
        state.nimg, state.extra = facts["nimg"], facts["extra"]
        state.adaptive = adaptive_of(config.recipe, facts["ada"])
        for name, learner in _learners(state).items():
            if facts["stepped"][name]:
                _make_moments(learner)
    for _, named in sorted(state_tensors(state).items()):
        for _, tensor in sorted(named.items()):
            _share(tensor, engine)
    for name, learner in _learners(state).items():
        learner.refresh()
        learner.load_scale(facts["loss_scales"], name)
    return state


def _learners(state: TrainingState) -> dict[str, Learner]:
    return {"generator": state.generator, "discriminator": state.discriminator}


@torch.no_grad()
def _share(tensor: Tensor, engine: Engine) -> None:
    whole = tensor.detach().contiguous()
    engine.broadcast_tensor_(whole)
    tensor.copy_(whole)


def _make_moments(learner: Learner) -> None:
    """Give an optimizer what it keeps for each parameter, to be filled."""
    for parameter in learner.network.parameters():
        learner.optimizer.state[parameter] = {
            field: torch.zeros((), device=parameter.device)
            if field == "step"
            else torch.zeros_like(parameter, memory_format=torch.preserve_format)
            for field in sorted(learner.fields)
        }
