"""A network that learns, and its optimizer's way into a snapshot and back."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from facegan.config import OptimizerConfig
from facegan.errors import UserError
from facegan.machine import PRECISIONS
from facegan.training.engine import Engine
from facegan.training.gradients import GradientAverage
from facegan.training.loss_scale import LossScale, bound_convolutions


class Learner:
    """A network that learns: its float32 master weights, the working copy that computes, and its optimizer.

    In bfloat16 and float16 the working copy is a copy of the master whose convolution and dense weights are cast once
    for each optimizer step; what keeps statistics is shared with the master and stays float32. float16 comes with a
    ``LossScale``, and with bounds on what convolutions return.
    """

    def __init__(self, network: nn.Module, optimizer: OptimizerConfig, precision: str, engine: Engine) -> None:
        self.engine = engine
        self.network = network.to(engine.device).train()
        self.optimizer = make_optimizer(self.network, optimizer)
        self.learning_rate = optimizer.learning_rate
        self.fields = {"step", "exp_avg", "exp_avg_sq"} if optimizer.name == "adam" else set()
        """What the optimizer keeps for each parameter once it has stepped."""
        if optimizer.momentum and optimizer.name == "sgd":
            self.fields = {"momentum_buffer"}
        self.dtype = PRECISIONS[precision]
        self.loss_scale = LossScale(engine.device) if self.dtype == torch.float16 else None
        self.working = self.network
        self._pairs: list[tuple[nn.Parameter, nn.Parameter]] = []
        if self.dtype != torch.float32:
            self.working = copy.deepcopy(self.network)
            for name, module in self.network.named_modules():
                if hasattr(module, "update_statistics"):
                    self.working.set_submodule(name, module)
            for master, cast in zip(self.network.parameters(), self.working.parameters(), strict=True):
                if master is not cast:
                    cast.data = cast.data.to(self.dtype)
                    self._pairs.append((master, cast))
            self.refresh()
        if self.loss_scale is not None:
            bound_convolutions(self.working)
        self._average = GradientAverage(list(self.working.parameters())) if engine.world_size > 1 else None

    @torch.no_grad()
    def refresh(self) -> None:
        """Cast the master's weights into the working copy, after they changed."""
        if self._pairs:
            torch._foreach_copy_([cast for _, cast in self._pairs], [master for master, _ in self._pairs])

    def update(self, loss: Tensor, lr_scale: float = 1.0, extra_sum: Tensor | None = None) -> Tensor:
        """Take one optimizer step down the gradient of the loss; return the gradient's norm, over all processes.

        ``lr_scale`` multiplies the learning rate. ``extra_sum``: float32 [K], replaced by its sum over processes.
        """
        self.optimizer.param_groups[0]["lr"] = self.learning_rate * lr_scale
        for parameter in self.working.parameters():
            parameter.grad = None
        if self._average is not None:
            self._average.prepare(extra_sum)
        (loss if self.loss_scale is None else self.loss_scale.scaled(loss)).backward()
        self._fetch_gradients()
        if self._average is not None:
            self._average.finish(list(self.network.parameters()))
        gradients = [parameter.grad for parameter in self.network.parameters() if parameter.grad is not None]
        if self.loss_scale is not None:
            self._make_momentum()
            self.loss_scale.unscale(gradients, self.optimizer)
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        self.optimizer.step()
        self.refresh()
        return norm

    @torch.no_grad()
    def _fetch_gradients(self) -> None:
        """Give the master's weights the gradients of the working copy's, in float32."""
        short, full = list[Tensor](), list[Tensor]()
        for master, cast in self._pairs:
            master.grad = None
            if cast.grad is not None:
                short.append(cast.grad)
                full.append(torch.empty_like(master))
                master.grad = full[-1]
        if full:  # all at once: a GPU takes longer to begin an operation than to copy a layer
            torch._foreach_copy_(full, short)

    def _make_momentum(self) -> None:
        """Begin SGD's momentum at 0, which makes its usual first step: one that overflows would leave it unset."""
        if self.fields == {"momentum_buffer"} and not self.optimizer.state:
            for parameter in self.network.parameters():
                buffer = torch.zeros_like(parameter, memory_format=torch.preserve_format)
                self.optimizer.state[parameter] = {"momentum_buffer": buffer}

    def load_scale(self, values: Any, name: str) -> None:
        """Go on with this network's loss scale among those that a snapshot holds, by name."""
        if self.loss_scale is not None and isinstance(values, dict):
            self.loss_scale.load(values.get(name))


def make_optimizer(network: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Return the optimizer that a config describes, over all parameters of a network."""
    if config.name == "adam":
        return torch.optim.Adam(
            network.parameters(),
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            eps=config.epsilon,
            fused=True,
        )
    return torch.optim.SGD(
        network.parameters(), lr=config.learning_rate, momentum=config.momentum, nesterov=config.nesterov, fused=True
    )


def optimizer_tensors(learner: Learner, prefix: str) -> dict[str, Tensor]:
    """Return the optimizer's state as named tensors: ``<prefix>/<parameter>/<field>``."""
    return {
        f"{prefix}/{name}/{field}": value
        for name, parameter in learner.network.named_parameters()
        for field, value in learner.optimizer.state[parameter].items()
        if value is not None
    }


def load_optimizer(learner: Learner, tensors: dict[str, Tensor], prefix: str, where: str) -> None:
    """Give the optimizer the state that ``optimizer_tensors`` returned: nothing, if it had not stepped yet.

    Raises:
        UserError: it is another optimizer's, or that of another network. ``where`` names the file.
    """
    has_stepped = any(key.startswith(f"{prefix}/") for key in tensors)
    for name, parameter in learner.network.named_parameters():
        start = f"{prefix}/{name}/"
        fields = {key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)}
        if set(fields) != (learner.fields if has_stepped else set()):
            raise UserError(f"{where} does not fit its own settings at {start}: it is another optimizer's state")
        for field, value in fields.items():
            if value.dtype != torch.float32 or value.shape != (() if field == "step" else parameter.shape):
                raise UserError(f"{where} does not fit its own settings at {start}{field}")
            moved = value.to(learner.engine.device)  # the step too: Adam's fused form wants all in one place
            fields[field] = moved.to(memory_format=torch.channels_last) if value.dim() == 4 else moved
        if fields:
            learner.optimizer.state[parameter] = fields
