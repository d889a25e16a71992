"""Faces from a generator, a fixed number at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from facegan.pixels import to_uint8
from facegan.sampling.conditioning import Labels
from facegan.sampling.latents import Distribution, draw_latents

INTERNAL_BATCH = 64
"""Faces made at a time, whatever was asked for, so that a face does not depend on its company."""


@torch.inference_mode()
def generate(generator: nn.Module, latent_NZ: np.ndarray, attributes_NA: np.ndarray | None = None) -> Tensor:
    """Return images, float [N, 3, R, R] in [-1, 1], of latents [N, Z] and, where the generator takes them, attributes
    [N, 40] (None: nothing is said). The generator must be in inference mode."""
    device = next(itertools.chain(generator.parameters(), generator.buffers())).device
    parts = []
    for start in range(0, len(latent_NZ), INTERNAL_BATCH):
        place = slice(start, start + INTERNAL_BATCH)
        inputs = [latent_NZ[place]] if attributes_NA is None else [latent_NZ[place], attributes_NA[place]]
        parts.append(generator(*(torch.from_numpy(array).to(device) for array in inputs)))
    return torch.cat(parts)


def sample_batches(
    generator: nn.Module,
    latent_size: int,
    *,
    count: int,
    seed: int,
    distribution: Distribution,
    first: int = 0,
    labels: Labels | None = None,
) -> Iterator[tuple[np.ndarray | None, Tensor]]:
    """Yield (attributes float32 [n, 40] or None, images float [n, 3, R, R]) until samples ``first`` to ``first + count
    - 1`` are made. ``labels``: what is said of the faces (default: nothing)."""
    labels = labels or Labels()
    for start in range(first, first + count, INTERNAL_BATCH):
        number_N = np.arange(start, min(start + INTERNAL_BATCH, first + count))
        latent_NZ = draw_latents(seed, "latents", number_N, latent_size, distribution)
        labels_NA = labels.of(seed, number_N)
        yield labels_NA, generate(generator, latent_NZ, None if labels_NA is None else labels.amplified(labels_NA))


def sample(generator: nn.Module, *, count: int, seed: int, distribution: Distribution, first: int = 0) -> np.ndarray:
    """Return uint8 [count, R, R, 3]: samples ``first`` onwards of a seed, of which nothing is said."""
    latent_size = int(generator.latent_size)  # type: ignore[arg-type]
    batches = sample_batches(generator, latent_size, count=count, seed=seed, distribution=distribution, first=first)
    return np.concatenate([to_uint8(image_NCHW) for _, image_NCHW in batches])
