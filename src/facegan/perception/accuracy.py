"""How well attributes-net sees the attributes of people it has never met."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from facegan.attributes import ATTRIBUTE_NAMES
from facegan.data.packed import DataView
from facegan.perception.attributes_net import SIDE, AttributesNet
from facegan.perception.resizing import resize

_BATCH = 256


@torch.inference_mode()
def attribute_logits(network: AttributesNet, view: DataView) -> np.ndarray:
    """Return float32 [N, 40], the mean over each face and its mirror image."""
    parts = []
    for start in range(0, len(view), _BATCH):
        x_NCHW = resize(view.images(np.arange(start, min(start + _BATCH, len(view)))), SIDE, "clean") / 127.5 - 1
        parts.append((network(x_NCHW) + network(x_NCHW.flip(-1))) / 2)
    return torch.cat(parts).numpy()


def balanced_thresholds(logit_NA: np.ndarray, label_NA: np.ndarray) -> np.ndarray:
    """Return float [40]: for each attribute the logit above which balanced accuracy is best on these faces."""
    thresholds = np.zeros(logit_NA.shape[1])
    for column in range(logit_NA.shape[1]):
        known = label_NA[:, column] != 0
        logit_N, there_N = logit_NA[known, column], label_NA[known, column] > 0
        if there_N.all() or not there_N.any():
            continue
        order = np.argsort(logit_N)
        misses = np.cumsum(there_N[order]) / there_N.sum()
        rightly_left = np.cumsum(~there_N[order]) / (~there_N).sum()
        best = int(np.argmax(rightly_left - misses))
        thresholds[column] = logit_N[order][best : best + 2].mean()
    return thresholds


def accuracy_card(
    logit_NA: np.ndarray, label_NA: np.ndarray, threshold_A: np.ndarray, majority_A: np.ndarray
) -> dict[str, Any]:
    """Return accuracies on faces with labels [N, 40].

    ``threshold_A``: logits for balanced accuracy, found on other faces. ``majority_A``: what is more frequent in the
    training data (+1 or -1): the accuracy of always answering that stands beside.
    """
    rows = {}
    for column, name in enumerate(ATTRIBUTE_NAMES):
        known = label_NA[:, column] != 0
        logit_N, there_N = logit_NA[known, column], label_NA[known, column] > 0
        above_N = logit_N > threshold_A[column]
        sides = [above_N[there_N].mean() if there_N.any() else np.nan, (~above_N[~there_N]).mean()]
        rows[name] = {
            "accuracy": float(((logit_N > 0) == there_N).mean()),
            "majority": float((there_N == (majority_A[column] > 0)).mean()),
            "balanced_accuracy": float(np.mean(sides)),
            "share": float(there_N.mean()),
        }
    means = {
        f"mean_{key}": float(np.nanmean([row[key] for row in rows.values()]))
        for key in ("accuracy", "majority", "balanced_accuracy")
    }
    return {**means, "faces": len(logit_NA), "attributes": rows}
