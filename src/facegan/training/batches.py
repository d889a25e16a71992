"""The batch of each step: real images, and the attributes that go with them."""

from __future__ import annotations

from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor

from facegan import pixels
from facegan.config import RunConfig
from facegan.data.order import DataOrder
from facegan.data.packed import DataView
from facegan.randomness import Stream
from facegan.training.engine import Engine
from facegan.training.labels import kept_attributes
from facegan.training.steps import Batch


class BatchSource(AbstractContextManager["BatchSource"]):
    """Real images and their attributes, on the engine's device."""

    def __init__(
        self,
        view: DataView,
        config: RunConfig,
        engine: Engine,
        dtype: torch.dtype,
        labels_MA: np.ndarray | None = None,
    ) -> None:
        self.view, self.device, self.dtype, self.config = view, engine.device, dtype, config
        self.order = DataOrder(config.seed, len(view))
        self.flips = Stream(config.seed, "train/flip") if config.recipe.flip else None
        self.labels_MA = labels_MA

    def batch(self, index_N: np.ndarray) -> Batch:
        """Return what the step at these positions of the run, int64 [N], learns from."""
        attributes_NA = self.host_attributes(index_N)
        placed_NA = None if attributes_NA is None else torch.from_numpy(attributes_NA).to(self.device, self.dtype)
        return Batch(index_N, self._images(index_N), placed_NA)

    def _images(self, index_N: np.ndarray) -> Tensor:
        image_NHWC = self.view.images(self.order.at(index_N))
        if self.flips is not None:
            mirrored = self.flips.below(index_N, 2).astype(bool)
            image_NHWC[mirrored] = image_NHWC[mirrored, :, ::-1]
        return pixels.to_float(torch.from_numpy(image_NHWC).to(self.device), self.dtype)

    def host_attributes(self, index_N: np.ndarray) -> np.ndarray | None:
        """Return float32 [N, 40] in the processor's memory: the images' attributes, partly withheld; or None."""
        recipe = self.config.recipe
        if not recipe.attributes:
            return None
        place_N = self.order.at(index_N)
        own_NA = self.view.attributes(place_N) if self.labels_MA is None else self.labels_MA[place_N]
        return kept_attributes(own_NA, self.config.seed, index_N, recipe.label_dropout)

    def __exit__(self, *error: object) -> None: ...
