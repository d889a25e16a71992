"""The run's own score and the variety of its samples: cheap, always there, and of this run only.

Everything is measured on thumbnails of 16x16 pixels. The score is the Frechet distance (Heusel et al. 2017, equation
6) between the faces that the generator makes of fixed latents and the data, on the data's first 64 principal
components. It orders the snapshots of one run; it is no score to compare runs or papers with.

Legend: N images, T values of a thumbnail (768), K components.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.numpy import load, save
from torch import nn

from facegan.config import RunConfig
from facegan.data.packed import DataView
from facegan.frechet import Gaussian, frechet_distance
from facegan.sampling.label_prior import LabelPrior
from facegan.sampling.prepared import prepare
from facegan.training.faces import make_faces
from facegan.untrusted import read_bytes

SIDE = 16
COMPONENTS = 64
_DATA_COUNT = 20_000
"""Images of the data that are looked at, evenly spaced."""
_CHUNK = 512
_DISTANCE_COUNT = 1_000
"""Images whose mean distance from each other is taken."""
_LARGEST = 4 << 20
"""Bytes of a stored reference; ours has half a million."""
_TWINS = 0.2
"""Samples are twins below this share of the data's mean distance; of CelebA's pairs hardly any are."""


def thumbnails(image_NHWC: np.ndarray) -> torch.Tensor:
    """Return float [N, 768] in [-1, 1]: the means of uint8 images over a grid of 16x16 fields."""
    image_NCHW = torch.from_numpy(np.ascontiguousarray(image_NHWC)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return F.adaptive_avg_pool2d(image_NCHW, SIDE).flatten(1)


@dataclass(frozen=True)
class Reference:
    """What the data looks like, in a few numbers."""

    centre_T: np.ndarray
    components_TK: np.ndarray
    mean_K: np.ndarray
    covariance_KK: np.ndarray
    distance: np.ndarray
    """float64 []: mean Euclidean distance between two thumbnails of the data."""

    @cached_property
    def gaussian(self) -> Gaussian:
        """The data's moments on the components."""
        return Gaussian(torch.from_numpy(self.mean_K), torch.from_numpy(self.covariance_KK))

    @classmethod
    def of(cls, view: DataView) -> Reference:
        """Measure a dataset: some seconds for 20,000 images."""
        index_N = np.unique(np.linspace(0, len(view) - 1, min(len(view), _DATA_COUNT)).astype(np.int64))
        sum_T, products_TT = torch.zeros(3 * SIDE**2).double(), torch.zeros(3 * SIDE**2, 3 * SIDE**2).double()
        for start in range(0, len(index_N), _CHUNK):
            thumb_NT = thumbnails(view.images(index_N[start : start + _CHUNK])).double()
            sum_T += thumb_NT.sum(0)
            products_TT += thumb_NT.T @ thumb_NT
        centre_T = sum_T / len(index_N)
        covariance_TT = products_TT / len(index_N) - torch.outer(centre_T, centre_T)
        components_TK = torch.linalg.eigh(covariance_TT)[1][:, -COMPONENTS:]
        covariance_KK = components_TK.T @ covariance_TT @ components_TK
        few = np.unique(np.linspace(0, len(index_N) - 1, min(len(index_N), _DISTANCE_COUNT)).astype(np.int64))
        thumb_NT = thumbnails(view.images(index_N[few])).double()
        pairs = max(1, len(few) * (len(few) - 1))
        distance = torch.cdist(thumb_NT, thumb_NT).sum().numpy() / pairs
        return cls(
            centre_T.numpy(), components_TK.numpy(), np.zeros(COMPONENTS), covariance_KK.numpy(), np.asarray(distance)
        )

    def save(self, path: Path) -> None:
        """Write it as a safetensors file."""
        partial = path.with_name(f".{path.name}.partial")
        arrays = {field.name: np.array(getattr(self, field.name), order="C") for field in fields(self)}
        partial.write_bytes(save(arrays))
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Reference | None:
        """Return what ``save`` wrote, or None if it is not there or not whole."""
        size, count = 3 * SIDE * SIDE, COMPONENTS
        shapes = ((size,), (size, count), (count,), (count, count), ())
        try:
            found = load(read_bytes(path, _LARGEST))
            arrays = [found[field.name] for field in fields(cls)]
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            return None
        whole = all(
            array.shape == shape and array.dtype == np.float64 and np.isfinite(array).all()
            for array, shape in zip(arrays, shapes, strict=True)
        )
        return cls(*arrays) if whole else None


def score_images(image_NHWC: np.ndarray, reference: Reference) -> float:
    """Return the Frechet distance of uint8 images to the data; 0 is best."""
    centred_NT = thumbnails(image_NHWC).double() - torch.from_numpy(reference.centre_T)
    projected_NK = centred_NT @ torch.from_numpy(reference.components_TK)
    covariance_KK = projected_NK.T.cov(correction=0)
    return frechet_distance(Gaussian(projected_NK.mean(0), covariance_KK), reference.gaussian)


def score_count(resolution: int) -> int:
    """Return how many faces the score looks at: fewer of larger ones, so that it stays cheap."""
    return 512 if resolution <= 64 else 256


def own_score(generator: nn.Module, config: RunConfig, reference: Reference, prior: LabelPrior | None = None) -> float:
    """Return the score of a run's generator, on faces of latents and labels that are always the same."""
    count = score_count(config.recipe.resolution)
    return score_images(make_faces(prepare(generator), config, prior, "score", count), reference)


def variety(image_NHWC: np.ndarray, reference: Reference) -> dict[str, float]:
    """Return two statistics of uint8 samples of fixed latents, to be held against the data.

    "variety": mean distance between two samples, as a share of the data's own; "repeats": the largest share of the
    others that are twins of one sample. Of data that are all alike, variety is 0 by definition.
    """
    thumb_NT = thumbnails(image_NHWC).double()
    count, usual = len(thumb_NT), float(reference.distance)
    apart_NN = torch.cdist(thumb_NT, thumb_NT)
    if usual < 1e-3:
        return {"variety": 0.0, "repeats": 1.0}
    twins_N = (apart_NN < _TWINS * usual).sum(1) - 1
    return {
        "variety": float(apart_NN.sum() / (count * (count - 1)) / usual),
        "repeats": float(twins_N.max() / (count - 1)),
    }
