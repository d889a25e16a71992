"""Which image stands at which position of a run: a permutation of the data for each epoch."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from facegan.randomness import Stream


class DataOrder:
    """The order in which a run of one seed shows ``count`` images: every epoch shows each of them once."""

    def __init__(self, seed: int, count: int) -> None:
        self.count = count
        stream = Stream(seed, "order")
        self._permutation = lru_cache(maxsize=2)(lambda epoch: stream.permutation(epoch, count))

    def at(self, position_B: np.ndarray) -> np.ndarray:
        """Return int64 [B]: the image at each position (int64 [B], images shown before it since the run's start)."""
        epoch_B, place_B = np.divmod(position_B, self.count)
        image_B = np.empty_like(position_B)
        for epoch in np.unique(epoch_B):
            chosen = epoch_B == epoch
            image_B[chosen] = self._permutation(int(epoch))[place_B[chosen]]
        return image_B


def evenly(count: int, most: int) -> np.ndarray:
    """Return int64 positions, at most ``most``, evenly spaced over 0 to ``count - 1``, both ends included."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))
