"""Latents: sample i of seed s is the same vector everywhere."""

from __future__ import annotations

from typing import Literal

import numpy as np

from facegan.randomness import Stream

Distribution = Literal["normal", "uniform"]


def draw_latents(seed: int, stream: str, index_N: np.ndarray, size: int, distribution: Distribution) -> np.ndarray:
    """Return float32 [N, size], N(0, 1) or U(-1, 1), each row a function of (seed, stream, index) alone."""
    source = Stream(seed, stream)
    if distribution == "normal":
        return source.normal(index_N, size)
    return (source.uniform(index_N, size) * 2 - 1).astype(np.float32)
