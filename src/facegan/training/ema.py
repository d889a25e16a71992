"""The averaged generator: an exponential moving average of weights (Yazici et al. 2019)."""

from __future__ import annotations

import torch
from torch import nn


def ema_decay(batch: int, halflife: int) -> float:
    """Return the share of the average that one step of ``batch`` images keeps: 0.5 ** (batch / halflife)."""
    return 0.5 ** (batch / halflife)


@torch.no_grad()
def update_ema(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the average's weights towards the network's. Moving statistics are averages already: they are copied."""
    own, new = list(average.parameters()), list(network.parameters())
    torch._foreach_lerp_(own, new, 1 - decay)
    for buffer, source in zip(average.buffers(), network.buffers(), strict=True):
        buffer.copy_(source)
