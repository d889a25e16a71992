"""How well attributes-net sees the attributes of people it has never met."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

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
    prior_A = _shares(learnt.attributes(np.arange(len(learnt))))
    label_NA = unseen.attributes(np.arange(len(unseen)))
    return accuracies(_view_logits(network, unseen), label_NA, np.log(prior_A / (1 - prior_A)), prior_A > 0.5)


def probe_card(
    learnt_MD: Tensor, label_MA: np.ndarray, unseen_ND: Tensor, label_NA: np.ndarray, *, decay: float = 1e-3
) -> dict[str, Any]:
    """Return ``card_of``'s numbers for features: of a logistic regression that learns from some and is tried on others.

    ``decay`` weighs the squared weights, of features that are standardised.
    """
    centre_D, scale_D = learnt_MD.mean(0), learnt_MD.std(0).clamp(min=1e-6)
    x_MD, x_ND = (learnt_MD - centre_D) / scale_D, (unseen_ND - centre_D) / scale_D
    probe = torch.nn.Linear(x_MD.shape[1], label_MA.shape[1])
    torch.nn.init.zeros_(probe.weight), torch.nn.init.zeros_(probe.bias)
    optimizer = torch.optim.LBFGS(probe.parameters(), max_iter=200, line_search_fn="strong_wolfe")
    known_MA, there_MA = torch.from_numpy(label_MA != 0), torch.from_numpy(label_MA > 0).float()

    def closure() -> Tensor:
        optimizer.zero_grad()
        losses = F.binary_cross_entropy_with_logits(probe(x_MD), there_MA, reduction="none")
        loss = (losses * known_MA).sum() / known_MA.sum() + decay * (probe.weight**2).sum() / label_MA.shape[1]
        loss.backward()
        return loss

    optimizer.step(closure)
    prior_A = _shares(label_MA)
    with torch.inference_mode():
        logit_NA = probe(x_ND).numpy()
    return accuracies(logit_NA, label_NA, np.log(prior_A / (1 - prior_A)), prior_A > 0.5)


def _shares(label_MA: np.ndarray) -> np.ndarray:
    """Return the share of known labels that are +1, never quite 0 or 1."""
    return ((label_MA > 0).sum(0) + 1) / ((label_MA != 0).sum(0) + 2)


def accuracies(
    logit_NA: np.ndarray, label_NA: np.ndarray, threshold_A: np.ndarray, commoner_A: np.ndarray
) -> dict[str, Any]:
    """Return ``card_of``'s numbers: logits and labels [N, 40], thresholds for balance, and the commoner answers."""
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
            "majority": float((there_N == commoner_A[column]).mean()),
            "balanced_accuracy": float((above_N[there_N].mean() + (~above_N[~there_N]).mean()) / 2),
        }
    means = {}
    for key in ("accuracy", "majority", "balanced_accuracy"):
        values = [row[key] for row in rows.values() if row[key] is not None]
        means[f"mean_{key}"] = float(np.mean(np.array(values, float))) if values else None
    return {**means, "faces": len(logit_NA), "attributes": rows}
