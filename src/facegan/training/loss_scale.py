"""float16's narrow range: losses scaled up before the backward pass, and convolutions kept within bounds.

A gradient below 6e-8 is 0 in float16, and one above 65,504 infinite. The loss is multiplied by a number that doubles
after 2,000 good steps and halves where a gradient was not finite; such a step changes no weight (Micikevicius et al.
2018, section 3.2). Nothing waits for a GPU: whether a step was good stays on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from facegan.networks.style_layers import ScaledConv

_FIRST, _MOST = 2.0**13, 2.0**24
_GOOD_STEPS = 2000
_LARGEST = 256.0
"""What a convolution may return at most in float16 (Karras et al. 2020, StyleGAN2-ADA's ``conv_clamp``)."""


class LossScale:
    """The number that one network's loss is multiplied by, and how many good steps there were since it changed."""

    def __init__(self, device: torch.device) -> None:
        self._scale = torch.full((), _FIRST, device=device)
        self._good = torch.zeros((), device=device)
        self.skipped = torch.zeros((), device=device)
        """Whether the last step changed nothing, 0 or 1."""

    def scaled(self, loss: Tensor) -> Tensor:
        """Return the loss to go down from."""
        return loss * self._scale.to(loss.dtype)

    @torch.no_grad()
    def unscale(self, gradients: Sequence[Tensor], optimizer: torch.optim.Optimizer) -> None:
        """Divide float32 gradients by the scale. If one is not finite, all become 0 and the optimizer's next step
        changes nothing; then choose the next scale."""
        bad = torch.stack([gradient.isfinite().all() for gradient in gradients]).all().logical_not()
        torch._foreach_mul_(list(gradients), self._scale.reciprocal())
        for gradient in gradients:
            gradient.masked_fill_(bad, 0.0)
        optimizer.found_inf = bad.float()  # type: ignore[attr-defined]  # what fused optimizers look at
        optimizer.grad_scale = None  # type: ignore[attr-defined]
        self.skipped = bad.float()
        good = self._good + 1
        grown = torch.where(good >= _GOOD_STEPS, (self._scale * 2).clamp(max=_MOST), self._scale)
        self._scale = torch.where(bad, (self._scale / 2).clamp(min=1.0), grown)
        self._good = torch.where(bad | (good >= _GOOD_STEPS), torch.zeros_like(good), good)

    def to_dict(self) -> dict[str, float]:
        """Return the state, for JSON."""
        return {"scale": float(self._scale), "good": float(self._good)}

    def load(self, values: Any) -> None:
        """Go on where ``to_dict`` left off; from anything else, begin anew."""
        try:
            scale, good = float(values["scale"]), float(values["good"])
        except (TypeError, KeyError, ValueError):
            return
        self._scale.fill_(scale)
        self._good.fill_(good)


def bound_convolutions(network: nn.Module) -> None:
    """Keep what a network's convolutions return within -256 and 256."""
    for module in network.modules():
        weight = getattr(module, "weight", None)
        if isinstance(weight, Tensor) and weight.dim() == 4:
            module.register_forward_hook(lambda module, inputs, output: output.clamp(-_LARGEST, _LARGEST))
        if isinstance(module, ScaledConv):
            module.bound = _LARGEST  # of what it computes without being called
