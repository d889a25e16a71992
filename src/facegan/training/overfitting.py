"""Whether the discriminator knows its training faces by heart: how it ranks them against held-out people's.

Only logged: nothing is steered, chosen or stopped by it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from facegan import pixels
from facegan.data.packed import DataView, PackedDataset
from facegan.errors import UserError

_FACES = 512
_PASS = 64


def ranking_faces(view: DataView, datasets: Sequence[PackedDataset]) -> tuple[np.ndarray, np.ndarray] | None:
    """Return uint8 faces [N, R, R, 3] of training and of held-out people, up to 512 of each, evenly spaced.

    None if nobody is held out.
    """
    try:
        held_out = DataView(datasets, held_out=True)
    except UserError:
        return None
    return _evenly(view), _evenly(held_out)


def _evenly(view: DataView) -> np.ndarray:
    return view.images(np.unique(np.linspace(0, len(view) - 1, min(len(view), _FACES)).astype(np.int64)))


@torch.no_grad()
def training_rank(discriminator: nn.Module, training_NHWC: np.ndarray, held_out_NHWC: np.ndarray) -> float:
    """Return the share of pairs in which D gives the training face the higher logit: 0.5 is no difference, 1 all.

    D gets no attributes, and nothing is augmented. With 512 faces of each the standard error is about 0.018.
    """
    was_training = discriminator.training
    discriminator.eval()
    training_M, held_out_H = (_logits(discriminator, faces) for faces in (training_NHWC, held_out_NHWC))
    discriminator.train(was_training)
    above = (training_M[:, None] > held_out_H).double().mean()
    level = (training_M[:, None] == held_out_H).double().mean()
    return float(above + level / 2)


def _logits(discriminator: nn.Module, image_NHWC: np.ndarray) -> Tensor:
    device = next(itertools.chain(discriminator.parameters(), discriminator.buffers())).device
    return torch.cat(
        [discriminator(pixels.to_float(part.to(device))).float() for part in torch.from_numpy(image_NHWC).split(_PASS)]
    )
