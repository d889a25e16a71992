"""Losses: logits in, per-sample tensor out."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def binary_cross_entropy(logit_N: Tensor, target: float) -> Tensor:
    """Return float32 [N]: -target log D - (1 - target) log(1 - D), D = sigmoid(logit) (Goodfellow et al. 2014, eq. 1).

    Stable for any finite logit, because log(1 + exp) is never taken of a large number. D is trained with the target 1
    (or a little less) for real and 0 for fake images, G with the target 1 for its own (the non-saturating form).
    """
    logit = logit_N.float()
    return F.softplus(logit) - target * logit
