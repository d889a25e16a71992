"""The averaged generator: an exponential moving average of weights (Yazici et al. 2019)."""

from __future__ import annotations

import torch
from torch import nn

_RAMP = 0.05
"""The half-life may be at most this share of the images seen, so that the first weights are soon forgotten."""


def ema_decay(nimg: int, batch: int, halflife: int) -> float:
    """Return the share of the average that a step of ``batch`` images, ending at ``nimg``, keeps.

    0.5 ** (batch / half-life), the half-life growing with nimg until it is ``halflife`` images (the ramp of Karras
    et al. 2022, EDM).
    """
    return 0.5 ** (batch / min(halflife, _RAMP * nimg))


@torch.no_grad()
def update_ema(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the average's weights, and moving statistics with them, towards the network's."""
    own = [*average.parameters(), *average.buffers()]
    torch._foreach_lerp_(own, [*network.parameters(), *network.buffers()], 1 - decay)
