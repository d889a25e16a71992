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
def attribute_logits(network: AttributesNet, image_NHWC: np.ndarray) -> np.ndarray:
    """Return float32 [N, 40] of uint8 faces, the mean over each face and its mirror image."""
    parts, device = [], next(network.parameters()).device
    for start in range(0, len(image_NHWC), _BATCH):
        x_NCHW = (resize(image_NHWC[start : start + _BATCH], SIDE, "clean") / 127.5 - 1).to(device)
        parts.append((network(x_NCHW) + network(x_NCHW.flip(-1))) / 2)
    return torch.cat(parts).cpu().numpy()


def _view_logits(network: AttributesNet, view: DataView) -> np.ndarray:
    rows = (np.arange(start, min(start + _BATCH, len(view))) for start in range(0, len(view), _BATCH))
    return np.concatenate([attribute_logits(network, view.images(row_B)) for row_B in rows])


def card_of(network: AttributesNet, learnt: DataView, unseen: DataView) -> dict[str, Any]:
    """Return how well a network that learnt from one view sees the people of another: for each attribute

    ``accuracy``, with "there" above logit 0; ``majority``, that of always giving the commoner answer of the faces it
    learnt from; ``balanced_accuracy``, the mean of the shares of those who have it and of those who have not that are
    seen rightly, with "there" above the log-odds of the faces it learnt from, which is where a calibrated network's
    balanced accuracy is highest. None where nobody has it, or everybody.
    """
    label_MA, label_NA = (view.attributes(np.arange(len(view))) for view in (learnt, unseen))
    return accuracies(_view_logits(network, unseen), label_NA, shares(label_MA))


def shares(label_MA: np.ndarray) -> np.ndarray:
    """Return the share of known labels that are +1, never quite 0 or 1."""
    return ((label_MA > 0).sum(0) + 1) / ((label_MA != 0).sum(0) + 2)


def accuracies(logit_NA: np.ndarray, label_NA: np.ndarray, prior_A: np.ndarray) -> dict[str, Any]:
    """Return ``card_of``'s numbers: of logits and labels [N, 40], and the shares of the faces that were learnt from."""
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
