"""What both sides of the comparison are given: weights, latents and images, each drawn from a stream by name.

NumPy only: ``record.py`` imports this beside Keras, ``test_keras_parity.py`` beside torch.

Legend: N samples, R resolution, Z latent size, K values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facegan.randomness import Stream
from facegan.sampling.latents import draw_latents

Arrays = Sequence[tuple[str, tuple[int, ...]]]
"""The name and the shape of each array of Keras' ``get_weights()``."""

SEED = 0
COUNT = 8
"""Samples of each output."""
STEPS = 3
BATCH = 4
"""Real images of each step."""

NETWORKS = tuple(
    f"{pair}/{side}"
    for pair in ("classic-tanh/64", "classic-dcgan/64", "classic-dcgan/96")
    for side in ("generator", "discriminator")
)
"""recipe/resolution/side."""
LATENTS = {"classic-tanh": "uniform", "classic-dcgan": "normal"}

_CENTRE_AND_SPREAD = {
    "bias": (0.0, 0.1),
    "gamma": (1.0, 0.1),
    "beta": (0.0, 0.1),
    "moving_mean": (0.0, 0.1),
    "moving_variance": (1.0, 0.5),
}


@dataclass(frozen=True)
class Run:
    """Three training steps at 64 px."""

    recipe: str
    optimizer: str
    """Of both networks. "sgd": 5e-4, Nesterov momentum 0.9; "adam": 2e-4, beta1 0.5, epsilon 1e-7."""
    fakes: str
    """How G makes the fakes that D learns from: in "training" or in "inference" mode."""
    generator_batch: str = "alone"
    """What passes through D in G's step: G's images "alone", or "joint" with the real ones."""

    @property
    def name(self) -> str:
        return f"{self.recipe}/{self.optimizer}/{self.fakes}/{self.generator_batch}"


RUNS = (
    Run("classic-tanh", "sgd", "training"),
    Run("classic-tanh", "sgd", "inference"),
    Run("classic-tanh", "adam", "training"),
    Run("classic-dcgan", "sgd", "training"),
    Run("classic-dcgan", "adam", "training"),
    Run("classic-dcgan", "adam", "inference"),
    Run("classic-dcgan", "adam", "training", generator_batch="joint"),
)


def draw_weights(network: str, arrays: Arrays) -> list[np.ndarray]:
    """Return a float32 array for each of Keras' ``get_weights()``.

    Kernels are U(-l, l), l = sqrt(6 / (fan in + fan out)); biases and a batch normalisation's arrays are moved away
    from 0 and 1, so that no two of them can be mistaken for one another.
    """
    source = Stream(SEED, f"parity/{network}")
    weights = []
    for number, (name, shape) in enumerate(arrays):
        if name == "kernel":
            taps = math.prod(shape[:-2])
            centre, spread = 0.0, math.sqrt(6 / (taps * (shape[-2] + shape[-1])))
        else:
            centre, spread = _CENTRE_AND_SPREAD[name]
        sign_K = source.uniform(np.array([number]), math.prod(shape))[0] * 2 - 1
        weights.append((centre + spread * sign_K).astype(np.float32).reshape(shape))
    return weights


def calmed(network: str, arrays: Arrays, weights: list[np.ndarray]) -> list[np.ndarray]:
    """Return the weights that training steps start from: the same, but for D's gamma and beta, made 33 times smaller.

    Adam's first step moves each weight by its whole learning rate, and classic-dcgan's D adds up 41,472 features in its
    last layer: with a gamma near 1 its logits jump by 8, and a rounding error of 1e-7 has grown to 0.1 of loss in the
    third step, in any library. From a calmer start three steps can be compared.
    """
    scale = {"gamma": 0.03, "beta": 0.03} if network.endswith("discriminator") else {}
    return [
        weight * np.float32(scale[name]) if name in scale else weight
        for (name, _), weight in zip(arrays, weights, strict=True)
    ]


def draw_images(stream: str, index_N: np.ndarray, resolution: int) -> np.ndarray:
    """Return float32 [N, R, R, 3] in [-1, 1]: coloured squares of 8 px under fine noise. NullListener's face."""
    coarse_size = resolution // 8
    coarse = Stream(SEED, f"{stream}/coarse").uniform(index_N, coarse_size**2 * 3)
    coarse = coarse.reshape(-1, coarse_size, coarse_size, 3).repeat(8, axis=1).repeat(8, axis=2)
    fine = Stream(SEED, f"{stream}/fine").uniform(index_N, resolution**2 * 3).reshape(coarse.shape)
    return ((0.7 * coarse + 0.3 * fine) * 2 - 1).astype(np.float32)


def network_input(network: str) -> np.ndarray:
    """Return what a network's outputs are recorded of: latents [N, Z], or images [N, R, R, 3]."""
    recipe, resolution, side = network.split("/")
    index_N = np.arange(COUNT)
    if side == "generator":
        return draw_latents(SEED, "parity/latents", index_N, 100, LATENTS[recipe])
    return draw_images("parity/images", index_N, int(resolution))


def step_index(step: int) -> np.ndarray:
    """Return int64 [N]: images shown before each sample of a step (0, 1 or 2)."""
    return np.arange(step * BATCH, (step + 1) * BATCH)


def real_images(step: int) -> np.ndarray:
    """Return the real images [N, 64, 64, 3] of a step."""
    return draw_images("parity/real", step_index(step), 64)


def digest(values: np.ndarray, every: int) -> np.ndarray:
    """Return float32 [K]: all of up to 4096 values; of more, every ``every``-th, then the mean and the deviation."""
    flat = np.asarray(values, np.float32).reshape(-1)
    if flat.size <= 4096:
        return flat
    moments = np.array([flat.mean(dtype=np.float64), flat.std(dtype=np.float64)], np.float32)
    return np.concatenate([flat[::every], moments])
