"""The averaged generator: an exponential moving average of weights (Yazici et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from facegan.config import RunConfig
from facegan.machine import device_of, to_device
from facegan.networks.layers import BatchNorm
from facegan.sampling.latents import draw_latents

CALIBRATION_COUNT = 256

RAMP = 0.05
"""The half-life may be at most this share of the images seen, so that the first weights are soon forgotten: one of
500,000 images is reached after ten million, and at two million it is 100,000."""


def ema_decay(nimg: int, batch: int, halflife: int) -> float:
    """Return the share of the average that a step of ``batch`` images, ending at ``nimg``, keeps.

    0.5 ** (batch / half-life), the half-life growing with nimg until it is ``halflife`` images (the ramp of Karras
    et al. 2022, EDM).
    """
    return 0.5 ** (batch / min(halflife, RAMP * nimg))


@torch.no_grad()
def update_ema(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the average's weights towards the network's. Its moving statistics are left to ``calibrate``."""
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)


def calibrate_for(average: nn.Module, config: RunConfig) -> None:
    """Calibrate an averaged generator on the run's own latents: the result is a function of its weights alone."""
    recipe, device = config.recipe, device_of(average)
    number_N = np.arange(CALIBRATION_COUNT)
    latent_NZ = draw_latents(config.seed, "calibration", number_N, recipe.latent_size, recipe.latent)
    calibrate(average, to_device(latent_NZ, device).split(64))


@torch.no_grad()
def calibrate(average: nn.Module, latents: Sequence[Tensor]) -> None:
    """Give the average's batch normalisation the statistics of its own activations, over batches of latents [N, Z].

    Averaging the statistics with the weights would not do: activations of averaged weights vary less than the
    average of their variances says, and the faces come out grey (Izmailov et al. 2018 calibrate for the same reason).
    """
    norms = [module for module in average.modules() if isinstance(module, BatchNorm)]
    if not norms:
        return
    kept = [norm.momentum for norm in norms]
    average.train()
    for number, latent_NZ in enumerate(latents):
        for norm in norms:
            norm.momentum = number / (number + 1)  # the mean of all batches so far; the first forgets what was there
        average(latent_NZ)
    average.eval()
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
