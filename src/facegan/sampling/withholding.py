"""Labels held back, so that a model learns to be asked for any of them, and is then asked as it learnt.

Legend: N samples, A the 40 attributes.
"""

from __future__ import annotations

import numpy as np

from facegan.attributes import ATTRIBUTE_COUNT
from facegan.randomness import Stream


def kept_mask(source: Stream, index_N: np.ndarray, dropout: float) -> np.ndarray:
    """Return bool [N, 40]: which attributes of a sample stay; each row is a function of (stream, index) alone.

    A share ``dropout`` of the samples loses all; each other one keeps every attribute with a probability that is drawn
    for it, evenly between 0 and 1.
    """
    draws_NK = source.uniform(index_N, 2 + ATTRIBUTE_COUNT)
    keeps_any = draws_NK[:, :1] >= dropout
    keeps = draws_NK[:, 2:] < draws_NK[:, 1:2]
    return np.asarray(keeps_any & keeps)
