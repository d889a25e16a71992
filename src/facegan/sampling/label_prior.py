"""How the attributes of faces go together: a mixture of Bernoulli vectors, fitted to the labels of a training.

p(a) = sum_k w_k prod_j theta_kj^[a_j = 1] (1 - theta_kj)^[a_j = -1], fitted by expectation maximisation (Bishop 2006,
section 9.3.3). It draws labels that belong to no person, and completes those that were asked for. It holds no person's
row: each component is a mean over at least 50 faces, more than CelebA has of any one person (35), pulled towards the
mean of all.

Legend: M labelled faces, N samples, K components, A the 40 attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from facegan.attributes import ATTRIBUTE_COUNT
from facegan.data.order import evenly
from facegan.errors import UserError
from facegan.randomness import Stream

COMPONENTS = 64
LEAST_FACES = 50
"""Faces that a component stands for at least; a smaller one is dissolved, and its faces go to the others."""
_FACES_EACH = 200
"""There are no more components than one for so many faces."""
_MOST_FACES = 32_768
"""Labels that are looked at, evenly spaced: more would take longer and say the same."""
_PSEUDO_FACES = 10.0
"""Weight, in faces, of the mean of all in each component's probabilities: the mean of a Beta prior."""
_STEPS, _TOLERANCE = 200, 1e-4
"""Steps at most, and the rise of the mean log-likelihood (in nats) that is not worth another."""
_FREE_STEPS = 10
"""Steps before small components are dissolved, one a step: they begin at single faces and have to find their place."""
_MOST_COMPONENTS = 1024
MOST_BYTES = 1 << 18
"""Of a stored prior; ours have ten thousand."""
_EDGE = 1e-6
"""Probabilities are kept so far from 0 and 1: whatever is asked for is possible."""


@dataclass(frozen=True)
class LabelPrior:
    """A distribution of the 40 attributes."""

    weights_K: np.ndarray
    """float32 [K], sum 1."""
    probabilities_KA: np.ndarray
    """float32 [K, 40], inside (0, 1): how often each attribute is there."""
    known_A: np.ndarray
    """float32 [40] in [0, 1]: of how many labelled faces each attribute is known. One that the data never says is not
    drawn: it stays 0, as it was in training."""

    def posterior(self, asked_A: np.ndarray | None) -> np.ndarray:
        """Return float64 [K]: the components' probabilities, given what is asked for.

        ``asked_A``: float [40], NaN where nothing is asked. By Bayes' theorem, with the likelihood of the attribute's
        sign tempered by how much of it is asked: p(k | a) ~ w_k prod_j p(sign a_j | k)^|a_j|. So 1 and -1 condition
        exactly, and 0 says nothing.
        """
        log_K = np.log(self.weights_K.astype(np.float64))
        if asked_A is not None:
            value_A = np.nan_to_num(np.asarray(asked_A, np.float64))
            theta_KA = np.clip(self.probabilities_KA.astype(np.float64), _EDGE, 1 - _EDGE)
            log_K = log_K + np.log(np.where(value_A > 0, theta_KA, 1 - theta_KA)) @ np.abs(value_A)
        weights_K = np.exp(log_K - log_K.max())
        return np.asarray(weights_K / weights_K.sum())

    def draw(
        self, seed: int, index_N: np.ndarray, asked_A: np.ndarray | None = None, *, stream: str = "labels"
    ) -> np.ndarray:
        """Return float32 [N, 40]: whole labels, -1 or 1 (0 for what the data does not know), and exactly what is asked.

        Each row is a function of (seed, stream, index) and of ``asked_A`` (as ``posterior``'s) alone.
        """
        draws_NK = Stream(seed, stream).uniform(index_N, 1 + 2 * ATTRIBUTE_COUNT)
        edges_K = np.cumsum(self.posterior(asked_A))
        component_N = np.minimum(np.searchsorted(edges_K, draws_NK[:, 0]), len(edges_K) - 1)
        there_NA = draws_NK[:, 1 : 1 + ATTRIBUTE_COUNT] < self.probabilities_KA[component_N]
        said_NA = draws_NK[:, 1 + ATTRIBUTE_COUNT :] < self.known_A
        labels_NA = np.where(there_NA, 1.0, -1.0) * said_NA
        if asked_A is not None:
            labels_NA = np.where(np.isnan(asked_A), labels_NA, asked_A)
        return labels_NA.astype(np.float32)

    def to_tensors(self) -> dict[str, Tensor]:
        """Return it as float32 tensors, by name."""
        arrays = {"weights": self.weights_K, "probabilities": self.probabilities_KA, "known": self.known_A}
        return {name: torch.from_numpy(np.array(array, np.float32)) for name, array in arrays.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], where: str) -> LabelPrior:
        """Return what ``to_tensors`` gave.

        Raises:
            UserError: it is something else. ``where`` names the file.
        """
        try:
            weights, probabilities, known = (tensors[name] for name in ("weights", "probabilities", "known"))
        except KeyError as error:
            raise UserError(f"{where} is no label prior: it has no {error.args[0]}; get it again") from None
        count = len(weights) if weights.dim() == 1 else 0
        shapes = [tuple(tensor.shape) for tensor in (weights, probabilities, known)]
        expected = [(count,), (count, ATTRIBUTE_COUNT), (ATTRIBUTE_COUNT,)]
        if not 1 <= count <= _MOST_COMPONENTS or shapes != expected:
            raise UserError(
                f"{where} is no label prior: it has the shapes {shapes}, expected [K], [K, {ATTRIBUTE_COUNT}] and "
                f"[{ATTRIBUTE_COUNT}] with K from 1 to {_MOST_COMPONENTS}; get it again"
            )
        found = cls(*(tensor.float().numpy() for tensor in (weights, probabilities, known)))
        inside = ((array >= 0) & (array <= 1) for array in (found.weights_K, found.probabilities_KA, found.known_A))
        if not all(part.all() for part in inside) or abs(found.weights_K.sum() - 1) > 1e-3 or not found.weights_K.all():
            raise UserError(
                f"{where} is no label prior: its numbers are no probabilities, or its weights are not above 0 and 1 "
                "together; get it again"
            )
        return found


def fit(labels_MA: np.ndarray, *, components: int = COMPONENTS, seed: int = 0) -> LabelPrior | None:
    """Return the mixture that fits labels best, or None where fewer than 50 faces have any.

    ``labels_MA``: [M, 40] in [-1, 1], such as -1/+1 or 2p - 1 for an attribute that is there with probability p; 0 is
    unknown and says nothing. The same labels, ``components`` and ``seed`` give the same mixture.
    """
    value_MA = np.asarray(labels_MA[evenly(len(labels_MA), _MOST_FACES)], np.float64)
    value_MA = value_MA[(value_MA != 0).any(1)]
    if len(value_MA) < LEAST_FACES:
        return None
    known_MA = (value_MA != 0).astype(np.float64)
    there_MA = known_MA * (1 + value_MA) / 2
    mean_A = (there_MA.sum(0) + 0.5) / (known_MA.sum(0) + 1)
    count = max(1, min(components, len(value_MA) // _FACES_EACH))
    first = Stream(seed, "label-prior").permutation(0, len(value_MA))[:count]
    theta_KA = (np.where(known_MA[first] > 0, there_MA[first], mean_A) + mean_A) / 2
    weights_K = np.full(count, 1 / count)
    before = -np.inf
    for step in range(_STEPS):
        share_MK, likelihood = _responsibilities(there_MA, known_MA, weights_K, theta_KA)
        faces_K = share_MK.sum(0)
        if step >= _FREE_STEPS and faces_K.min() < LEAST_FACES:
            stays_K = np.arange(len(faces_K)) != faces_K.argmin()
            weights_K, theta_KA, before = weights_K[stays_K] / weights_K[stays_K].sum(), theta_KA[stays_K], -np.inf
            continue
        weights_K = faces_K / len(value_MA)
        seen_KA = share_MK.T @ known_MA
        theta_KA = (share_MK.T @ there_MA + _PSEUDO_FACES * mean_A) / (seen_KA + _PSEUDO_FACES)
        if step > _FREE_STEPS and likelihood - before < _TOLERANCE:
            break
        before = likelihood
    order = np.argsort(-weights_K, kind="stable")
    theta_KA = np.clip(theta_KA[order], _EDGE, 1 - _EDGE)
    return LabelPrior(*(part.astype(np.float32) for part in (weights_K[order], theta_KA, known_MA.mean(0))))


def _responsibilities(
    there_MA: np.ndarray, known_MA: np.ndarray, weights_K: np.ndarray, theta_KA: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return [M, K]: how much of each face is each component's; and the mean log-likelihood of a face."""
    theta_KA = np.clip(theta_KA, _EDGE, 1 - _EDGE)
    log_MK = there_MA @ np.log(theta_KA).T + (known_MA - there_MA) @ np.log1p(-theta_KA).T + np.log(weights_K)
    most_M1 = log_MK.max(1, keepdims=True)
    share_MK = np.exp(log_MK - most_M1)
    sum_M1 = share_MK.sum(1, keepdims=True)
    return share_MK / sum_M1, float((most_M1 + np.log(sum_M1)).mean())
