"""Attributes of faces that have no labels, and features of faces, as attributes-net sees them; and how well it sees."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facegan.attributes import ATTRIBUTE_NAMES
from facegan.data.packed import DataView
from facegan.perception.attributes_net import SIDE, AttributesNet
from facegan.perception.resizing import resize
from facegan.perception.weights import SHIPPED, load_weights

_LOGIT_BATCH = 256
_FEATURE_BATCH = 64
"""Faces at a time: on a processor faster than more, whose activations leave its caches."""


@torch.inference_mode()
def attribute_logits(network: AttributesNet, image_NHWC: np.ndarray) -> np.ndarray:
    """Return float32 [N, 40] of uint8 faces, the mean over each face and its mirror image."""
    parts, device = [], next(network.parameters()).device
    for start in range(0, len(image_NHWC), _LOGIT_BATCH):
        x_NCHW = (resize(image_NHWC[start : start + _LOGIT_BATCH], SIDE, "clean") / 127.5 - 1).to(device)
        parts.append((network(x_NCHW) + network(x_NCHW.flip(-1))) / 2)
    return torch.cat(parts).cpu().numpy()


class Labeller:
    """Attributes-net with its weights: the shipped ones, or those of ``facegan train-attributes``."""

    def __init__(self, file: Path | None = None, *, device: torch.device | str = "cpu") -> None:
        """Raises:
        UserError: the file is missing, damaged, or of another network.
        """
        self.network = AttributesNet()
        self.sha256 = load_weights(self.network, file or SHIPPED / "attributes-net.safetensors")
        self.network.to(device)

    def logits(self, image_NHWC: np.ndarray) -> np.ndarray:
        """Return float32 [N, 40] of uint8 [N, R, R, 3]: above 0, the attribute is rather there than not."""
        return attribute_logits(self.network, image_NHWC)

    @torch.inference_mode()
    def features(self, image_NHWC: np.ndarray) -> Tensor:
        """Return float32 [N, 256] of uint8 [N, R, R, 3]: what the logits are made of."""
        parts = []
        for start in range(0, len(image_NHWC), _FEATURE_BATCH):
            x_NCHW = resize(image_NHWC[start : start + _FEATURE_BATCH], SIDE, "clean") / 127.5 - 1
            parts.append(self.network.features(x_NCHW.contiguous(memory_format=torch.channels_last)))
        return torch.cat(parts)


@cache
def shipped(device: str = "cpu") -> Labeller:
    """Return the labeller with the shipped weights, read once for each device."""
    return Labeller(device=device)


def card_of(network: AttributesNet, known: DataView, unseen: DataView) -> dict[str, Any]:
    """Return how well a network trained on one view sees the people of another: for each attribute

    ``accuracy``, with "there" above logit 0; ``majority``, that of always giving the commoner answer of its training
    faces; ``balanced_accuracy``, the mean of the shares of those who have it and of those who have not that are
    seen rightly, with "there" above the log-odds of its training faces, where a calibrated network's balanced accuracy
    is highest. None where no face has it, or every face.
    """
    label_MA, label_NA = (view.attributes(np.arange(len(view))) for view in (known, unseen))
    rows = np.split(np.arange(len(unseen)), range(_LOGIT_BATCH, len(unseen), _LOGIT_BATCH))
    logit_NA = np.concatenate([attribute_logits(network, unseen.images(row_B)) for row_B in rows])
    return accuracies(logit_NA, label_NA, shares(label_MA))


def shares(label_MA: np.ndarray) -> np.ndarray:
    """Return the share of known labels that are +1, never quite 0 or 1."""
    return ((label_MA > 0).sum(0) + 1) / ((label_MA != 0).sum(0) + 2)


def accuracies(logit_NA: np.ndarray, label_NA: np.ndarray, prior_A: np.ndarray) -> dict[str, Any]:
    """Return ``card_of``'s numbers: of logits and labels [N, 40], and the shares of the training faces."""
    threshold_A = np.log(prior_A / (1 - prior_A))
    rows: dict[str, dict[str, float | None]] = {}
    for column, name in enumerate(ATTRIBUTE_NAMES):
        known_N = label_NA[:, column] != 0
        logit_N, there_N = logit_NA[known_N, column], label_NA[known_N, column] > 0
        if there_N.all() or not there_N.any():
            rows[name] = dict.fromkeys(("share", "accuracy", "majority", "balanced_accuracy"))
            continue
        above_N = logit_N > threshold_A[column]
        rows[name] = {
            "share": float(there_N.mean()),
            "accuracy": float(((logit_N > 0) == there_N).mean()),
            "majority": float((there_N == (prior_A[column] > 0.5)).mean()),
            "balanced_accuracy": float((above_N[there_N].mean() + (~above_N[~there_N]).mean()) / 2),
        }
    means = {}
    for key in ("accuracy", "majority", "balanced_accuracy"):
        values = [row[key] for row in rows.values() if row[key] is not None]
        means[f"mean_{key}"] = float(np.mean(np.array(values, float))) if values else None
    return {**means, "faces": len(logit_NA), "attributes": rows}
