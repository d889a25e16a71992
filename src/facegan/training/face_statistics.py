"""What the log says of faces: how far apart samples are, on thumbnails of 16x16 pixels, and whether the discriminator
knows its training faces by heart, by how it ranks them against held-out people's.

The second is only logged: it changes, chooses and stops nothing.

Legend: N images, T values of a thumbnail (768).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facegan import pixels
from facegan.data.order import evenly
from facegan.data.packed import DataView
from facegan.errors import UserError
from facegan.machine import device_of

SIDE = 16
_DATA_COUNT = 20_000
"""``data_distance`` looks at 1,000 of the first 20,000 evenly spaced images of the data."""
_DISTANCE_COUNT = 1_000
_RANKED = 512
"""Faces of training and of held-out people that D ranks."""
_PASS = 64
_TWINS = 0.2
"""Samples are twins below this share of the data's mean distance; of CelebA's pairs hardly any are."""


def thumbnails(image_NHWC: np.ndarray) -> torch.Tensor:
    """Return float [N, 768] in [-1, 1]: the means of uint8 images over a grid of 16x16 fields."""
    image_NHWC = np.require(image_NHWC, requirements=("C", "W"))
    image_NCHW = torch.from_numpy(image_NHWC).permute(0, 3, 1, 2).float() / 127.5 - 1
    return F.adaptive_avg_pool2d(image_NCHW, SIDE).flatten(1)


def data_distance(view: DataView) -> float:
    """Return the mean Euclidean distance between two thumbnails of a dataset, 0 or more."""
    index_N = evenly(len(view), _DATA_COUNT)
    few_N = index_N[evenly(len(index_N), _DISTANCE_COUNT)]
    thumb_NT = thumbnails(view.images(few_N)).double()
    return float(torch.cdist(thumb_NT, thumb_NT).sum()) / max(1, len(few_N) * (len(few_N) - 1))


def variety(image_NHWC: np.ndarray, distance: float) -> dict[str, float]:
    """Return two statistics of uint8 samples of fixed latents, to be held against the ``data_distance``.

    "variety": mean distance between two samples, as a share of the data's own; "repeats": the largest share of the
    others that are twins of one sample. Of data that are all alike, variety is 0 by definition.
    """
    thumb_NT = thumbnails(image_NHWC).double()
    count = len(thumb_NT)
    apart_NN = torch.cdist(thumb_NT, thumb_NT)
    if distance < 1e-3:
        return {"variety": 0.0, "repeats": 1.0}
    twins_N = (apart_NN < _TWINS * distance).sum(1) - 1
    return {
        "variety": float(apart_NN.sum() / (count * (count - 1)) / distance),
        "repeats": float(twins_N.max() / (count - 1)),
    }


def ranking_faces(view: DataView) -> tuple[np.ndarray, np.ndarray] | None:
    """Return uint8 faces [N, R, R, 3] of training and of held-out people, up to 512 of each, evenly spaced.

    None if no face is held out.
    """
    try:
        held_out = DataView(view.datasets, held_out=True)
    except UserError:
        return None
    return view.images(evenly(len(view), _RANKED)), held_out.images(evenly(len(held_out), _RANKED))


@torch.no_grad()
def training_rank(discriminator: nn.Module, training_NHWC: np.ndarray, held_out_NHWC: np.ndarray) -> float:
    """Return the share of pairs in which D gives the training face the higher logit: 0.5 is no difference, 1 all.

    D gets no attributes, and nothing is augmented. With 512 faces of each the standard error is about 0.018.
    """
    was_training = discriminator.training
    discriminator.eval()
    training_M, held_out_H = (_logits(discriminator, faces).cpu() for faces in (training_NHWC, held_out_NHWC))
    discriminator.train(was_training)
    above = (training_M[:, None] > held_out_H).double().mean()
    level = (training_M[:, None] == held_out_H).double().mean()
    return float(above + level / 2)


def _logits(discriminator: nn.Module, image_NHWC: np.ndarray) -> Tensor:
    device = device_of(discriminator)
    return torch.cat(
        [discriminator(pixels.to_float(part.to(device))).float() for part in torch.from_numpy(image_NHWC).split(_PASS)]
    )
