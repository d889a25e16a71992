"""What the processor makes for a step, made while the GPU is busy with the steps before.

A thread gathers the images of the next steps and draws their latents and the chances of their augmentation into pinned
memory, from where a GPU fetches them without anybody waiting. All of it is a function of the position in the run, so
that nothing changes but the time: the same numbers come at once, where the thread has not made them yet.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facegan import pixels
from facegan.config import RunConfig
from facegan.data.packed import DataView
from facegan.machine import to_device
from facegan.training.batches import BatchSource
from facegan.training.engine import Engine
from facegan.training.steps import Batch, Draws, draws_of

AHEAD = 2
"""Steps whose numbers are made before they are asked for."""


@dataclass(frozen=True)
class Made:
    """What the processor makes for one step, in its own memory."""

    image_NHWC: Tensor
    """uint8, not mirrored yet."""
    mirrored_N: Tensor | None
    """bool; None: the recipe mirrors no image."""
    attributes_NA: Tensor | None
    """float32; None: the recipe knows none."""
    draws: Draws


def batch_source(
    view: DataView,
    config: RunConfig,
    engine: Engine,
    dtype: torch.dtype,
    labels_MA: np.ndarray | None = None,
) -> BatchSource:
    """Return the batches of a run: made ahead for a GPU, and on a CPU, which has no time to spare, when asked for."""
    made_ahead = engine.device.type == "cuda"
    return (PrefetchedSource if made_ahead else BatchSource)(view, config, engine, dtype, labels_MA)


class PrefetchedSource(BatchSource):
    """A ``BatchSource`` whose next batches a thread makes; it may be asked for any batch, and is fast in their order.

    An exception of the thread is raised where its batch is asked for. The thread ends with the ``with`` block.
    """

    def __init__(self, *arguments: Any) -> None:
        """Take what ``BatchSource`` takes."""
        super().__init__(*arguments)
        self._thread = ThreadPoolExecutor(1, "facegan-batches", initializer=_begin_thread, initargs=(self.device,))
        self._coming: dict[int, Future[Made]] = {}
        """By the position of a batch's first image."""

    def batch(self, index_N: np.ndarray) -> Batch:
        """Return what the step at these positions of the run learns from, with what it is going to draw."""
        made = self._taken(index_N)
        attributes_NA = (
            None if made.attributes_NA is None else to_device(made.attributes_NA, self.device).to(self.dtype)
        )
        return Batch(index_N, self._placed_images(made), attributes_NA, made.draws)

    def __exit__(self, *error: object) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _taken(self, index_N: np.ndarray) -> Made:
        first = int(index_N[0])
        future = self._coming.pop(first, None)
        if future is None:  # the first step, or one to which the run went back
            self._forget()
            future = self._thread.submit(self._make, index_N)
        for number in range(1, AHEAD + 1):
            following_N = index_N + number * self.config.batch
            if int(following_N[0]) not in self._coming:
                self._coming[int(following_N[0])] = self._thread.submit(self._make, following_N)
        return future.result()

    def _forget(self) -> None:
        for future in self._coming.values():
            future.cancel()
        self._coming.clear()

    def _make(self, index_N: np.ndarray) -> Made:
        recipe = self.config.recipe
        mirrored_N = None if self.flips is None else self.flips.below(index_N, 2).astype(bool)
        attributes_NA = self.host_attributes(index_N)
        draws = draws_of(recipe, self.config.seed, index_N)
        return Made(
            image_NHWC=self._pinned(self.view.images(self.order.at(index_N))),
            mirrored_N=None if mirrored_N is None else self._pinned(mirrored_N),
            attributes_NA=None if attributes_NA is None else self._pinned(attributes_NA),
            draws={
                name: self._pinned(value) if isinstance(value, np.ndarray) and value.dtype == np.float32 else value
                for name, value in draws.items()
            },
        )

    def _pinned(self, values: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(values)
        return pin(tensor) if self.device.type == "cuda" else tensor

    def _placed_images(self, made: Made) -> Tensor:
        image_NHWC = to_device(made.image_NHWC, self.device)
        if made.mirrored_N is not None:
            mirrored_N111 = to_device(made.mirrored_N, self.device)[:, None, None, None]
            image_NHWC = torch.where(mirrored_N111, image_NHWC.flip(2), image_NHWC)
        return pixels.to_float(image_NHWC, self.dtype)


def pin(tensor: Tensor) -> Tensor:
    """Return a copy in pinned memory. It is used anew only when the GPU has fetched it."""
    return tensor.pin_memory()


def _begin_thread(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.set_device(device)
