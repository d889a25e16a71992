"""Faces from a generator, a fixed number at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from facegan.pixels import to_uint8
from facegan.sampling.latents import draw_latents

INTERNAL_BATCH = 64
"""Faces made at a time, whatever was asked for, so that a face does not depend on its company."""


@torch.inference_mode()
def generate(generator: nn.Module, latent_NZ: np.ndarray) -> Tensor:
    """Return images, float [N, 3, R, R] in [-1, 1], of latents [N, Z]; the generator must be in inference mode."""
    device = next(itertools.chain(generator.parameters(), generator.buffers())).device
    parts = [
        generator(torch.from_numpy(latent_NZ[start : start + INTERNAL_BATCH]).to(device))
        for start in range(0, len(latent_NZ), INTERNAL_BATCH)
    ]
    return torch.cat(parts)


def sample_batches(
    generator: nn.Module, latent_size: int, *, count: int, seed: int, distribution: str, first: int = 0
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Yield (numbers [n], images float [n, 3, R, R]) until samples ``first`` to ``first + count - 1`` are made."""
    for start in range(first, first + count, INTERNAL_BATCH):
        number_N = np.arange(start, min(start + INTERNAL_BATCH, first + count))
        latent_NZ = draw_latents(seed, "latents", number_N, latent_size, distribution)  # type: ignore[arg-type]
        yield number_N, generate(generator, latent_NZ)


def sample(generator: nn.Module, *, count: int, seed: int, distribution: str, first: int = 0) -> np.ndarray:
    """Return uint8 [count, R, R, 3]: samples ``first`` onwards of a seed."""
    latent_size = int(generator.latent_size)  # type: ignore[arg-type]
    batches = sample_batches(generator, latent_size, count=count, seed=seed, distribution=distribution, first=first)
    return np.concatenate([to_uint8(image_NCHW) for _, image_NCHW in batches])
