"""The Inception score, exp(E KL(p(y|x) || p(y))) (Salimans et al. 2016): of ImageNet's classes, which faces are not.

It is here to be comparable with old papers. One split, since more splits only add bias.
"""

from __future__ import annotations

import torch
from torch import Tensor

from facegan.metrics.intervals import GROUPS, Estimate, groups_of, jackknife


def _score(log_p_NC: Tensor) -> float:
    p_NC = log_p_NC.exp()
    return float((p_NC * (log_p_NC - p_NC.mean(0).log())).sum(1).mean().exp())


def inception_score(logits_NC: Tensor) -> Estimate:
    """Return the score of class logits without bias, [N, 1008], 1 or more; higher is called better."""
    log_p_NC = logits_NC.double().log_softmax(1)
    groups = min(GROUPS, len(log_p_NC))
    group_N = torch.from_numpy(groups_of(len(log_p_NC), groups))
    return jackknife(_score(log_p_NC), [_score(log_p_NC[group_N != group]) for group in range(groups)])
