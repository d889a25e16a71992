"""What a generator is told beside its latents: the attributes of each face, and how far from the mean face to go.

Legend: N samples, M latents of a mean, Z latent, A the 40 attributes, W style.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from facegan.randomness import Stream
from facegan.sampling.label_prior import LabelPrior
from facegan.sampling.latents import Distribution, draw_latents
from facegan.sampling.withholding import kept_mask

_MEAN_COUNT = 1024
"""Latents whose mean style truncation goes towards."""
_LARGEST_FACTOR = 2.0
"""An attribute that is asked for is amplified at most so much: beyond it faces become more alike than real ones that
have it (docs/celeba64)."""


@dataclass(frozen=True)
class Labels:
    """The attributes that faces are made with. ``Labels()``: nothing is said."""

    prior: LabelPrior | None = None
    """What the attributes that are not asked for are drawn from; None: they are 0."""
    asked_A: np.ndarray | None = None
    """float32 [40] in [-1, 1], NaN where nothing is asked; an attribute asked to be 0 is withheld."""
    dropout: float = 0.0
    """Share of the faces of which, if nothing is asked, nothing is said; of each other one some part is said."""

    @property
    def asks(self) -> bool:
        """Whether anything is asked for, other than to withhold it."""
        return self.asked_A is not None and bool(np.nan_to_num(self.asked_A).any())

    @property
    def silent(self) -> bool:
        """Whether nothing is ever said."""
        return self.prior is None and not self.asks

    def of(self, seed: int, index_N: np.ndarray, *, stream: str = "labels") -> np.ndarray | None:
        """Return float32 [N, 40], or None if nothing is said; a row is a function of (seed, stream, index) alone.

        With a prior, whole labels are drawn from it, given what is asked, and exactly that. Where nothing is asked they
        are withheld as in training; where something is, nothing else is, because it then comes oftener.
        """
        if self.silent:
            return None
        if self.prior is None:
            assert self.asked_A is not None
            return np.repeat(np.nan_to_num(self.asked_A)[None], len(index_N), axis=0)
        labels_NA = self.prior.draw(seed, index_N, self.asked_A, stream=stream)
        if self.asks:
            return labels_NA
        return labels_NA * kept_mask(Stream(seed, f"{stream}/withheld"), index_N, self.dropout)

    def amplified(self, labels_NA: np.ndarray) -> np.ndarray:
        """Return float32 [N, 40]: labels as G gets them, those that are asked for ``amplification`` times."""
        if self.asked_A is None:
            return labels_NA
        factor_A = np.where(np.isnan(self.asked_A), 1, amplification(self.asked_A))
        return labels_NA * factor_A.astype(np.float32)


def amplification(asked_A: np.ndarray) -> float:
    """Return the factor of attributes that are asked for (float [40], NaN: not asked).

    Their norm becomes that of a face's 40 labels, but none grows more than twofold. In training one label seldom comes
    alone and says little by itself: asked for at 1, an attribute comes seldom, even among others that go with it
    (benchmarks/attribute_control.py, docs/celeba64).
    """
    norm = float(np.sqrt(np.square(np.nan_to_num(asked_A)).sum()))
    return min(_LARGEST_FACTOR, len(asked_A) ** 0.5 / max(norm, 1e-6))


class Truncated(nn.Module):
    """Latents [N, Z] and attributes [N, 40] (or None) -> images, of a generator that maps both to styles.

    ``truncation`` moves styles towards the mean style of such faces: w' = m + t (w - m) (Karras et al. 2019, appendix
    B), m over latents and over labels as they are drawn, given what is asked for.
    """

    def __init__(self, generator: nn.Module, labels: Labels, truncation: float, latent: Distribution) -> None:
        super().__init__()
        self.generator, self.truncation = generator, truncation
        device, index_M = next(generator.parameters()).device, np.arange(_MEAN_COUNT)
        latent_MZ = draw_latents(0, "mean-style", index_M, int(generator.latent_size), latent)  # type: ignore[arg-type]
        labels_MA = labels.of(0, index_M, stream="mean-style/labels")
        given_MA = None if labels_MA is None else torch.from_numpy(labels.amplified(labels_MA)).to(device)
        self.mean_1W = nn.Buffer(generator.mean_style(torch.from_numpy(latent_MZ).to(device), given_MA))  # type: ignore[operator]

    def forward(self, latent_NZ: Tensor, attributes_NA: Tensor | None = None) -> Tensor:
        """Return images, float [N, 3, R, R] in [-1, 1]."""
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


def truncated(generator: nn.Module, labels: Labels, truncation: float, latent: Distribution = "normal") -> nn.Module:
    """Return a generator, latents (and attributes) -> images, of faces so far from the mean face; at 1 as it is.

    ``latent``: how the generator's latents are distributed.
    """
    if truncation == 1:
        return generator
    if hasattr(generator, "mapping"):
        return Truncated(generator, labels, truncation, latent).eval()
    assert labels.silent
    return Narrowed(generator, truncation)
