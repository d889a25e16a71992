"""What a generator gets beside its latents: the attributes of each face.

Legend: N samples, A the 40 attributes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facegan.attributes import ATTRIBUTE_COUNT
from facegan.randomness import Stream
from facegan.sampling.label_prior import LabelPrior

_LARGEST_FACTOR = 2.0
"""An attribute that is asked for is amplified at most so much: beyond it faces become more alike than real ones that
have it (docs/celeba64)."""


@dataclass(frozen=True)
class LabelSampler:
    """Draws the attributes that faces are made with. ``LabelSampler()``: none is known."""

    prior: LabelPrior | None = None
    """What the attributes that are not asked for are drawn from; None: they are 0."""
    asked_A: np.ndarray | None = None
    """float32 [40] in [-1, 1], NaN where nothing is asked; an attribute asked to be 0 is withheld."""
    dropout: float = 0.0
    """Share of the faces that, if nothing is asked, lose all attributes; each other face keeps a part of them."""

    @property
    def has_request(self) -> bool:
        """Whether anything is asked for, other than to withhold it."""
        return self.asked_A is not None and bool(np.nan_to_num(self.asked_A).any())

    @property
    def always_unlabelled(self) -> bool:
        """Whether no face ever gets a label."""
        return self.prior is None and not self.has_request

    def draw(self, seed: int, index_N: np.ndarray, *, stream: str = "labels") -> np.ndarray | None:
        """Return float32 [N, 40], or None without prior and request; a row depends on (seed, stream, index) only.

        Without a prior: what is requested, and 0 elsewhere. With a prior and a request: drawn from the prior given the
        request, which stays as it is; nothing is dropped, for what is requested then comes more often. With a prior
        alone: drawn from it, then dropped as in training (``kept_mask``).
        """
        if self.always_unlabelled:
            return None
        if self.prior is None:
            assert self.asked_A is not None
            return np.repeat(np.nan_to_num(self.asked_A)[None], len(index_N), axis=0)
        labels_NA = self.prior.draw(seed, index_N, self.asked_A, stream=stream)
        if self.has_request:
            return labels_NA
        return labels_NA * kept_mask(Stream(seed, f"{stream}/withheld"), index_N, self.dropout)

    def amplified(self, labels_NA: np.ndarray | None) -> np.ndarray | None:
        """Return labels as G gets them, float32 [N, 40] or None: those that are asked for ``amplification`` times."""
        if labels_NA is None or self.asked_A is None:
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


def kept_mask(source: Stream, index_N: np.ndarray, dropout: float) -> np.ndarray:
    """Return bool [N, 40]: which attributes of a sample stay; each row is a function of (stream, index) alone.

    A share ``dropout`` of the samples loses all; each other one keeps every attribute with a probability that is drawn
    for it, evenly between 0 and 1. Faces are made under the same distribution.
    """
    draws_NK = source.uniform(index_N, 2 + ATTRIBUTE_COUNT)
    keeps_any = draws_NK[:, :1] >= dropout
    keeps = draws_NK[:, 2:] < draws_NK[:, 1:2]
    return np.asarray(keeps_any & keeps)
