"""One step of training, slowly: a small pair that a class trains by pressing buttons.

As in the presentation that this project comes from: D learns from real and made images with labels 1 and 0; G learns
through D, which stays as it is. "Not frozen" is the mistake: D is changed by G's step too, is told that made images are
real, and soon tells nothing from nothing, while the images stay as bad as they were.

Legend: N images shown, R resolution.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from facegan import recipes
from facegan.errors import UserError
from facegan.networks import Pair, build_pair
from facegan.pixels import to_float, to_uint8
from facegan.randomness import Stream
from facegan.sampling.latents import draw_latents

ACTIONS = ("D", "G", "G-not-frozen", "both")
SHOWN = 8
_BATCH = 32
_STEPS, _USUAL_STEPS = 10, 40
MOST_LESSONS = 24
_MOST_STEPS = 2000
_RATE, _BETAS = 5e-4, (0.5, 0.999)
_SIDE, _WIDTHS = 32, (24, 8)
"""Pixels a side, and the widths of G and D: a D that is narrower leaves G something to learn."""


class Lesson:
    """A pair in training, and what it showed so far."""

    def __init__(self, real_NHWC: np.ndarray, seed: int, source: str = "data") -> None:
        """``real_NHWC``: uint8 [N, R, R, 3], what is learned from. ``source``: data, or the name of the model that
        made them."""
        self.source = source
        self.id = secrets.token_hex(8)
        real_NHWC = _shrunk(real_NHWC)
        recipe = recipes.recipe("dcgan", real_NHWC.shape[1])
        self.recipe = replace(recipe, generator={"width": _WIDTHS[0]}, discriminator={"width": _WIDTHS[1]})
        self.pair: Pair = build_pair(self.recipe, seed=seed)
        self.real, self.seed, self.steps = real_NHWC, seed, 0
        self.optimizers = {
            name: torch.optim.Adam(network.parameters(), lr=_RATE, betas=_BETAS)
            for name, network in (("G", self.pair.generator), ("D", self.pair.discriminator))
        }
        self.history: list[dict[str, Any]] = []
        self._fixed_NZ = self._latents("fixed", np.arange(SHOWN))
        self._note("")

    def _latents(self, stream: str, index_N: np.ndarray) -> Tensor:
        recipe = self.recipe
        return torch.from_numpy(draw_latents(self.seed, f"lesson/{stream}", index_N, recipe.latent_size, recipe.latent))

    def _batch(self) -> Tensor:
        place = np.arange(self.steps * _BATCH, (self.steps + 1) * _BATCH)
        rows_B = Stream(self.seed, "lesson/order").below(place, len(self.real))
        return to_float(torch.from_numpy(self.real[rows_B]))

    def act(self, action: str) -> None:
        """Do ten steps of one kind, or forty as usual: D and G in turn, D frozen in G's.

        Raises:
            UserError: an unknown kind, or the lesson is over.
        """
        if action not in ACTIONS:
            raise UserError(f"action: choose {', '.join(ACTIONS)}")
        if self.steps >= _MOST_STEPS:
            raise UserError("this lesson has been long enough: begin another")
        self.pair.generator.train(), self.pair.discriminator.train()
        images, _ = self.faces()
        for _ in range(_USUAL_STEPS if action == "both" else _STEPS):
            index_N = np.arange(self.steps * _BATCH, (self.steps + 1) * _BATCH)
            latent_BZ = self._latents("latents", index_N)
            if action in ("D", "both"):
                self._train_discriminator(latent_BZ)
            if action != "D":
                self._train_generator(latent_BZ, frozen=action != "G-not-frozen")
            self.steps += 1
        self._note(action, images[SHOWN:])

    def _train_discriminator(self, latent_BZ: Tensor) -> None:
        with torch.no_grad():
            made = self.pair.generator(latent_BZ)
        real_logits = self.pair.discriminator(self._batch())
        made_logits = self.pair.discriminator(made)
        loss = _loss(real_logits, 1.0) + _loss(made_logits, 0.0)
        self._learn(loss, "D")

    def _train_generator(self, latent_BZ: Tensor, *, frozen: bool) -> None:
        loss = _loss(self.pair.discriminator(self.pair.generator(latent_BZ)), 1.0)
        self._learn(loss, "G", *([] if frozen else ["D"]))

    def _learn(self, loss: Tensor, *names: str) -> None:
        for optimizer in self.optimizers.values():
            optimizer.zero_grad()
        loss.backward()
        for name in names:
            self.optimizers[name].step()

    @torch.no_grad()
    def faces(self) -> tuple[np.ndarray, np.ndarray]:
        """Return images uint8 [16, R, R, 3], 8 real ones and then 8 made ones of the same latents, and D's scores."""
        made = self.pair.generator(self._fixed_NZ).clamp(-1, 1)
        made_NHWC = to_uint8(made)
        scores_N = np.concatenate([self._scores(images) for images in (self.real[:SHOWN], made_NHWC)])
        return np.concatenate([self.real[:SHOWN], made_NHWC]), scores_N

    @torch.no_grad()
    def _scores(self, image_NHWC: np.ndarray) -> np.ndarray:
        return self.pair.discriminator(to_float(torch.from_numpy(image_NHWC))).sigmoid().numpy()

    def _note(self, action: str, before_NHWC: np.ndarray | None = None) -> None:
        """Note the mean scores; ``before_NHWC``: the made images as they were before, which D is asked about again."""
        images, scores_N = self.faces()
        means = {"real": scores_N[:SHOWN].mean(), "made": scores_N[SHOWN:].mean()}
        if before_NHWC is not None:
            means["same_images"] = self._scores(before_NHWC).mean()
            means["change"] = np.abs(images[SHOWN:].astype(float) - before_NHWC).mean()
        rounded = {name: round(float(value), 4) for name, value in means.items()}
        self.history.append({"action": action, "steps": self.steps, **rounded})


def _shrunk(image_NHWC: np.ndarray) -> np.ndarray:
    """Return images of 32 px, or of half of that, each pixel the mean of those that it covers: a step is then quick."""
    count, side, _, channels = image_NHWC.shape
    factor = max(1, side // _SIDE)
    parts = image_NHWC.reshape(count, side // factor, factor, side // factor, factor, channels)
    return parts.mean((2, 4)).round().astype(np.uint8)


def _loss(logits_B: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits_B, torch.full_like(logits_B, label))
