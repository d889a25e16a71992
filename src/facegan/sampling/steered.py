"""A generator held to what was asked for: attributes, and how far from the mean face.

Legend: N samples, Z latent, A the 40 attributes, W style.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from facegan.sampling.latents import Distribution, draw_latents

_MEAN_COUNT = 1024
"""Latents whose mean style truncation goes towards."""
_LOUDEST = 3.0
"""At most so many times as loud as in training is an attribute asked for."""


def aloud(attributes_A: np.ndarray) -> np.ndarray:
    """Return attributes as loud together as a face's 40 labels are, each at most three times.

    In training nearly all that is said to the generator is said by many labels at once, and what one of them says is
    little. Asked for alone and no louder, an attribute comes seldom: benchmarks/attribute_control.py.
    """
    norm = float(np.sqrt(np.square(attributes_A).sum()))
    return attributes_A * np.float32(min(_LOUDEST, len(attributes_A) ** 0.5 / max(norm, 1e-6)))


class Steered(nn.Module):
    """Latents [N, Z] -> images, of a generator that maps latents and attributes to styles.

    The attributes are asked for ``aloud``. ``truncation`` moves styles towards the mean style of the same attributes:
    w' = m + t (w - m) (Karras et al. 2019, appendix B, for each set of attributes its own mean). At 1 nothing moves.
    """

    attributes_1A: Tensor | None

    def __init__(
        self,
        generator: nn.Module,
        attributes_A: np.ndarray | None,
        truncation: float,
        latent: Distribution,
    ) -> None:
        super().__init__()
        self.generator, self.truncation = generator, truncation
        device = next(generator.parameters()).device
        attributes = None if attributes_A is None else torch.from_numpy(aloud(attributes_A)).to(device)[None]
        self.register_buffer("attributes_1A", attributes)
        latent_MZ = draw_latents(0, "mean-style", np.arange(_MEAN_COUNT), int(generator.latent_size), latent)  # type: ignore[arg-type]
        self.mean_1W = nn.Buffer(generator.mean_style(torch.from_numpy(latent_MZ).to(device), attributes))  # type: ignore[operator]

    def forward(self, latent_NZ: Tensor) -> Tensor:
        """Return images, float [N, 3, R, R] in [-1, 1]."""
        attributes_NA = None if self.attributes_1A is None else self.attributes_1A.expand(len(latent_NZ), -1)
        style_NW = self.generator.mapping(latent_NZ, attributes_NA)  # type: ignore[operator]
        return self.generator.synthesize(torch.lerp(self.mean_1W, style_NW, self.truncation))  # type: ignore[operator]


class Narrowed(nn.Module):
    """Latents [N, Z] -> images, of a generator without styles: ``truncation`` scales the latents."""

    def __init__(self, generator: nn.Module, truncation: float) -> None:
        super().__init__()
        self.generator, self.truncation = generator, truncation

    def forward(self, latent_NZ: Tensor) -> Tensor:
        """Return images, float [N, 3, R, R] in [-1, 1]."""
        return self.generator(latent_NZ * self.truncation)


def steered(
    generator: nn.Module,
    attributes_A: np.ndarray | None,
    truncation: float,
    latent: Distribution = "normal",
) -> nn.Module:
    """Return a generator, latents -> images, of faces with these attributes (float32 [40], or None) and truncation.

    ``latent``: how the generator's latents are distributed.
    """
    if attributes_A is None and truncation == 1:
        return generator
    if hasattr(generator, "mapping"):
        return Steered(generator, attributes_A, truncation, latent).eval()
    assert attributes_A is None
    return Narrowed(generator, truncation)
