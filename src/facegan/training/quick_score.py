"""The quick score of a run's snapshots: a Frechet distance that sees faces, in some seconds.

The Frechet distance (Heusel et al. 2017, equation 6) in attributes-net's features between faces of latents that are
always the same and the run's own training data, on the data's first 64 principal components. attributes-net labels and
selects; judge-net, which judges, has no part in it. The number stands for its own count of faces and for its data: it
orders the snapshots of one run.

Why 64 components: they hold 95% of the variance, and tell one model from another as surely as all 256 do, while what
faces add to the distance by being few is two fifths less (docs/measuring.md; benchmarks/quick_score.py).

Legend: N faces, D features (256), K components.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load, save
from torch import nn

from facegan.config import RunConfig
from facegan.data.order import evenly
from facegan.data.packed import DataView
from facegan.files import read_bytes
from facegan.metrics.frechet import Gaussian, Sums, frechet_distance
from facegan.perception.attributes_net import DIMENSIONS
from facegan.perception.labeller import shipped
from facegan.runs.folder import write_run_file
from facegan.sampling.inference import for_inference
from facegan.sampling.label_prior import LabelPrior
from facegan.sampling.sampler import INTERNAL_BATCH
from facegan.training.faces import make_faces

COMPONENTS = 64
_DATA_COUNT = 20_000
"""Images of the data that are looked at, evenly spaced."""
_CHUNK = 512
_LARGEST = 1 << 20
"""Bytes of a stored reference; ours has 165,000."""


@dataclass(frozen=True)
class QuickReference:
    """What attributes-net sees in a run's data: float64 moments on the data's first components."""

    components_DK: np.ndarray
    mean_K: np.ndarray
    covariance_KK: np.ndarray
    network: str
    """sha256 of attributes-net's weights."""
    data: str
    """Content hash of the data."""

    @cached_property
    def gaussian(self) -> Gaussian:
        """The data's moments on the components."""
        return Gaussian(torch.from_numpy(self.mean_K), torch.from_numpy(self.covariance_KK))

    @classmethod
    def of(cls, view: DataView) -> QuickReference:
        """Look at a dataset: a minute or two for 20,000 images on one core."""
        index_N = evenly(len(view), _DATA_COUNT)
        parts = (view.images(index_N[start : start + _CHUNK]) for start in range(0, len(index_N), _CHUNK))
        sums = _sums(parts, torch.eye(DIMENSIONS, dtype=torch.float64))
        mean_D = sums.sum_D / sums.count
        # Over N, not N - 1: a dataset may be a single image.
        covariance_DD = sums.products_DD / sums.count - torch.outer(mean_D, mean_D)
        components_DK = torch.linalg.eigh(covariance_DD)[1][:, -COMPONENTS:]
        covariance_KK = components_DK.T @ covariance_DD @ components_DK
        return cls(
            components_DK.numpy(), (mean_D @ components_DK).numpy(), covariance_KK.numpy(),
            shipped().sha256, view.content_hash,
        )  # fmt: skip

    def save(self, path: Path) -> None:
        """Write it as a safetensors file.

        Raises:
            UserError: the disk is full, or may not be written.
        """
        arrays = {name: np.array(getattr(self, name), order="C") for name in _SHAPES}
        arrays |= {name: np.frombuffer(getattr(self, name).encode(), np.uint8) for name in ("network", "data")}
        write_run_file(path, save(arrays))

    @classmethod
    def load(cls, path: Path, data: str) -> QuickReference | None:
        """Return what ``save`` wrote; None if it is not there or not whole, or is of other data than ``data`` (a
        content hash) or of another attributes-net than the shipped one."""
        try:
            found = load(read_bytes(path, _LARGEST))
            arrays = {name: found[name] for name in _SHAPES}
            told = {name: found[name].tobytes() for name in ("network", "data")}
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            return None
        network = shipped().sha256
        whole = told == {"network": network.encode(), "data": data.encode()} and all(
            array.shape == _SHAPES[name] and array.dtype == np.float64 and np.isfinite(array).all()
            for name, array in arrays.items()
        )
        return cls(**arrays, network=network, data=data) if whole else None


_SHAPES = {
    "components_DK": (DIMENSIONS, COMPONENTS), "mean_K": (COMPONENTS,), "covariance_KK": (COMPONENTS, COMPONENTS),
}  # fmt: skip


def reference_of(file: Path, view: DataView, say: Callable[[int], None] = lambda _: None) -> QuickReference:
    """Return a run's reference: the one in ``file``, or a new one, kept there for the run's life.

    Before a new one is made, ``say`` is told how many images are looked at.

    Raises:
        UserError: the file cannot be written.
    """
    found = QuickReference.load(file, view.content_hash)
    if found is None:
        say(len(evenly(len(view), _DATA_COUNT)))
        found = QuickReference.of(view)
        found.save(file)
    return found


def score_faces(
    generator: nn.Module, config: RunConfig, count: int, prior: LabelPrior | None = None
) -> Iterator[np.ndarray]:
    """Yield uint8 [n, R, R, 3] until the ``count`` faces that a run's generator is scored by are made, of latents and
    labels that are always the same."""
    prepared = for_inference(generator)
    for start in range(0, count, INTERNAL_BATCH):
        number_N = np.arange(start, min(start + INTERNAL_BATCH, count))
        yield make_faces(prepared, config, prior, "score", number_N)


def score_images(parts: Iterator[np.ndarray], reference: QuickReference) -> float:
    """Return the Frechet distance to the data of faces, parts of uint8 [n, R, R, 3], 2 or more in all; 0 is best."""
    return frechet_distance(_sums(parts, torch.from_numpy(reference.components_DK)).gaussian(), reference.gaussian)


def quick_score(
    generator: nn.Module, config: RunConfig, reference: QuickReference, count: int, prior: LabelPrior | None = None
) -> float:
    """Return the score of a run's generator on ``count`` faces (2 or more): 0 or more, 0 is best.

    ``prior``: what the faces' attributes are drawn from.
    """
    return score_images(score_faces(generator, config, count, prior), reference)


def _sums(parts: Iterator[np.ndarray], components_DK: torch.Tensor) -> Sums:
    """Return the sums of faces' features on some components."""
    net = shipped()
    total: Sums | None = None
    for image_NHWC in parts:
        sums = Sums.of(net.features(image_NHWC).double() @ components_DK)
        total = sums if total is None else total + sums
    assert total is not None
    return total
