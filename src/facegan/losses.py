"""Losses: logits in, per-sample tensor out. And penalties on the discriminator's gradient at images.

D's loss is small where it calls real images real and fakes fake; G's where D calls its fakes real. By name:

    non-saturating  softplus(-D(x)) + softplus(D(G(z)));      softplus(-D(G(z)))       Goodfellow et al. 2014
    relativistic    softplus(D(G(z)) - D(x));                 softplus(D(x) - D(G(z))) Jolicoeur-Martineau 2018
    hinge           max(0, 1 - D(x)) + max(0, 1 + D(G(z)));   -D(G(z))                 Lim and Ye 2017
    least-squares   ((D(x) - 1)^2 + (D(G(z)) + 1)^2) / 2;     (D(G(z)) - 1)^2 / 2      Mao et al. 2017
    wasserstein     D(G(z)) - D(x);                           -D(G(z))                 Arjovsky et al. 2017

The relativistic and Wasserstein losses know differences of logits only; a small term keeps D's mean logit near 0, so
that D's score means the same everywhere. Logits above 0 mean real in every loss: least-squares has the targets 1, -1.

Legend: N samples.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

NEEDS_REAL = ("relativistic",)
"""Losses of G that look at D's logits of real images too."""
SHIFT_INVARIANT = ("relativistic", "wasserstein")
"""Losses of D that do not change when one constant is added to all logits."""

_DRIFT = 1e-3


def binary_cross_entropy(logit_N: Tensor, target: float) -> Tensor:
    """Return float32 [N]: -target log D - (1 - target) log(1 - D), D = sigmoid(logit) (Goodfellow et al. 2014, eq. 1).

    Stable for any finite logit, because log(1 + exp) is never taken of a large number. D is trained with the target 1
    (or a little less) for real and 0 for fake images, G with the target 1 for its own (the non-saturating form).
    """
    logit = logit_N.float()
    return F.softplus(logit) - target * logit


def discriminator_loss(loss: str, real_N: Tensor, fake_N: Tensor, *, real_label: float = 1.0) -> Tensor:
    """Return float32 [N]: D's loss for pairs of a real and a fake image, of their logits.

    ``real_label`` below 1 smooths the label of real images ("non-saturating" only; Salimans et al. 2016, section 3.4).
    """
    real, fake = real_N.float(), fake_N.float()
    if loss == "non-saturating":
        return binary_cross_entropy(real, real_label) + binary_cross_entropy(fake, 0.0)
    if loss == "relativistic":
        return F.softplus(fake - real) + _drift(real, fake)
    if loss == "hinge":
        return F.relu(1 - real) + F.relu(1 + fake)
    if loss == "least-squares":
        return 0.5 * ((real - 1).square() + (fake + 1).square())
    if loss == "wasserstein":
        return fake - real + _drift(real, fake)
    raise ValueError(loss)


def _drift(real: Tensor, fake: Tensor) -> Tensor:
    """Return what keeps logits around 0 where a loss knows differences only (Karras et al. 2018, appendix A.1)."""
    return _DRIFT * (0.5 * (real + fake)).square()


def generator_loss(loss: str, fake_N: Tensor, real_N: Tensor | None = None) -> Tensor:
    """Return float32 [N]: G's loss for D's logits of its images, and of as many real ones where ``NEEDS_REAL``."""
    fake = fake_N.float()
    if loss == "non-saturating":
        return binary_cross_entropy(fake, 1.0)
    if loss == "relativistic":
        assert real_N is not None
        return F.softplus(real_N.float() - fake)
    if loss in ("hinge", "wasserstein"):
        return -fake
    if loss == "least-squares":
        return 0.5 * (fake - 1).square()
    raise ValueError(loss)


def gradient_norm_squared(logits: Callable[[Tensor], Tensor], image_NCHW: Tensor) -> Tensor:
    """Return float32 [N]: |dD/dx|^2 at images, with a graph for D's parameters.

    R1 is half of gamma times its mean over real images, R2 over fakes (Mescheder et al. 2018, equation 9; Huang et al.
    2024, equation 5). D must treat samples apart from each other: no batch normalisation.
    """
    image_NCHW = image_NCHW.detach().requires_grad_()
    (gradient_NCHW,) = torch.autograd.grad(logits(image_NCHW).float().sum(), image_NCHW, create_graph=True)
    return gradient_NCHW.float().square().sum((1, 2, 3))


def gradient_penalty(
    logits: Callable[[Tensor], Tensor], real_NCHW: Tensor, fake_NCHW: Tensor, share_N: Tensor
) -> Tensor:
    """Return float32 [N]: (|dD/dx| - 1)^2 between a real image and a fake one (Gulrajani et al. 2017, equation 3).

    ``share_N`` in (0, 1): where between them.
    """
    share_N111 = share_N.to(real_NCHW.dtype).view(-1, 1, 1, 1)
    between_NCHW = fake_NCHW.detach() + share_N111 * (real_NCHW - fake_NCHW.detach())
    return ((gradient_norm_squared(logits, between_NCHW) + 1e-12).sqrt() - 1).square()
