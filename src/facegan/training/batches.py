"""The real images of each step and the attributes that go with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load, save
from torch import Tensor

from facegan import pixels
from facegan.attributes import ATTRIBUTE_COUNT
from facegan.config import RecipeConfig, RunConfig
from facegan.data.order import DataOrder
from facegan.data.packed import DataView
from facegan.errors import UserError
from facegan.files import read_bytes, write_bytes
from facegan.randomness import Stream
from facegan.sampling.conditioning import kept_mask
from facegan.training.engine import Engine
from facegan.training.steps import Draws

Labeller = Callable[[np.ndarray], np.ndarray]
"""uint8 [N, R, R, 3] -> logits of the 40 attributes, float32 [N, 40]."""

_CHUNK = 256
_LARGEST = 1 << 32
"""Bytes of stored labels that are read at most; a million faces need 80 MB."""


def kept_attributes(attributes_NA: np.ndarray, seed: int, index_N: np.ndarray, dropout: float) -> np.ndarray:
    """Return float32 [N, 40]: attributes with some withheld (0), so that a model learns to be asked for any of them."""
    return (attributes_NA * kept_mask(Stream(seed, "train/labels"), index_N, dropout)).astype(np.float32)


def label_faces(view: DataView, labeller: Labeller) -> np.ndarray:
    """Return float16 [M, 40]: a view's own attributes, and for faces without any the labeller's, 2 p - 1."""
    index_M = np.arange(len(view))
    labels_MA = view.attributes(index_M).astype(np.float16)
    unlabelled = np.flatnonzero((labels_MA == 0).all(1))
    for start in range(0, len(unlabelled), _CHUNK):
        part = unlabelled[start : start + _CHUNK]
        labels_MA[part] = np.tanh(labeller(view.images(part)) / 2).astype(np.float16)
    return labels_MA


def run_labels(
    file: Path,
    view: DataView,
    recipe: RecipeConfig,
    labeller: Labeller | None,
    say: Callable[[int], None] = lambda _: None,
) -> np.ndarray | None:
    """Return the labels that a run learns with, float16 [M, 40], or None if the view's own are all it has.

    Those of a labeller are kept in ``file`` for the run's life; before they are made, ``say`` is told how many.

    Raises:
        UserError: the file is damaged, or cannot be written.
    """
    if not (recipe.attributes and recipe.pseudo_labels):
        return None
    if file.exists():
        try:
            labels_MA = load(read_bytes(file, _LARGEST))["labels"]
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            labels_MA = np.empty(0)
        if labels_MA.shape != (len(view), ATTRIBUTE_COUNT) or labels_MA.dtype != np.float16:
            raise UserError(f"{file} is damaged; restore it from a copy, or begin another run")
        return labels_MA
    unlabelled = sum(int((view.attributes(part) == 0).all(1).sum()) for part in _parts(len(view)))
    if labeller is None or not unlabelled:
        return None
    say(unlabelled)
    labels_MA = label_faces(view, labeller)
    try:
        write_bytes(file, save({"labels": labels_MA}))
    except OSError as error:
        raise UserError(f"{file} cannot be written ({error.strerror or error})") from None
    return labels_MA


def _parts(count: int) -> Iterator[np.ndarray]:
    for start in range(0, count, 1 << 16):
        yield np.arange(start, min(count, start + (1 << 16)))


class BatchSource:
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

    def images(self, index_N: np.ndarray) -> Tensor:
        """Return float [N, 3, R, R] in [-1, 1]: the images at these positions of the run."""
        image_NHWC = self.view.images(self.order.at(index_N))
        if self.flips is not None:
            mirrored = self.flips.below(index_N, 2).astype(bool)
            image_NHWC[mirrored] = image_NHWC[mirrored, :, ::-1]
        return pixels.to_float(torch.from_numpy(image_NHWC).to(self.device), self.dtype)

    def attributes(self, index_N: np.ndarray) -> Tensor | None:
        """Return float [N, 40]: what is said of the images at these positions, or None if the recipe knows none."""
        kept_NA = self.host_attributes(index_N)
        return None if kept_NA is None else torch.from_numpy(kept_NA).to(self.device, self.dtype)

    def host_attributes(self, index_N: np.ndarray) -> np.ndarray | None:
        """Return the same as float32 in the processor's memory."""
        recipe = self.config.recipe
        if not recipe.attributes:
            return None
        place_N = self.order.at(index_N)
        own_NA = self.view.attributes(place_N) if self.labels_MA is None else self.labels_MA[place_N]
        return kept_attributes(own_NA, self.config.seed, index_N, recipe.label_dropout)

    def draws(self, index_N: np.ndarray) -> Draws:
        """Return what has been drawn ahead for the step at these positions: nothing."""
        return {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
