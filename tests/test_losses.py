import math
from typing import get_args

import pytest
import torch

from facegan.config import Loss
from facegan.losses import (
    NEEDS_REAL,
    binary_cross_entropy,
    discriminator_loss,
    generator_loss,
    gradient_norm_squared,
    gradient_penalty,
)


@pytest.mark.parametrize(("logit", "target", "expected"), [
    (0.0, 1.0, math.log(2)),
    (0.0, 0.0, math.log(2)),
    (math.log(3), 1.0, math.log(4 / 3)),  # D = 3/4
    (math.log(3), 0.0, math.log(4)),
    (math.log(3), 0.9, 0.9 * math.log(4 / 3) + 0.1 * math.log(4)),
    (-200.0, 1.0, 200.0),
    (200.0, 0.0, 200.0),
])  # fmt: skip
def test_values_in_closed_form(logit, target, expected):
    assert binary_cross_entropy(torch.tensor([logit]), target).item() == pytest.approx(expected, rel=1e-6)


def test_gradient_is_score_minus_target_and_finite_everywhere():
    logit = torch.tensor([-1000.0, -1.0, 0.0, 2.0, 1000.0], requires_grad=True)
    binary_cross_entropy(logit, 1.0).sum().backward()
    torch.testing.assert_close(logit.grad, logit.detach().sigmoid() - 1)


LOG_2, LOG_4 = math.log(2), math.log(4)


@pytest.mark.parametrize(("loss", "of_d", "of_g"), [
    ("non-saturating", LOG_4, LOG_2),
    ("relativistic", LOG_2, LOG_2),
    ("hinge", 2.0, 0.0),
    ("least-squares", 1.0, 0.5),
    ("wasserstein", 0.0, 0.0),
])  # fmt: skip
def test_an_undecided_discriminator(loss, of_d, of_g):
    zero = torch.zeros(2)
    assert discriminator_loss(loss, zero, zero).tolist() == pytest.approx([of_d, of_d])
    assert generator_loss(loss, zero, zero).tolist() == pytest.approx([of_g, of_g])


@pytest.mark.parametrize("loss", get_args(Loss))
def test_the_players_pull_apart(loss):
    real, fake = torch.tensor([0.3], requires_grad=True), torch.tensor([0.2], requires_grad=True)
    d_real, d_fake = torch.autograd.grad(discriminator_loss(loss, real, fake).sum(), [real, fake])
    assert d_real < 0 < d_fake  # D raises real logits and lowers fake ones
    (g_fake,) = torch.autograd.grad(
        generator_loss(loss, fake, real.detach() if loss in NEEDS_REAL else None).sum(), fake
    )
    assert g_fake < 0


@pytest.mark.parametrize("loss", ["relativistic", "wasserstein"])
def test_losses_of_differences_are_kept_from_drifting(loss):
    real, fake = torch.tensor([5.5], requires_grad=True), torch.tensor([4.5], requires_grad=True)
    value = discriminator_loss(loss, real, fake) - discriminator_loss(loss, real - 5, fake - 5)
    assert value.item() == pytest.approx(1e-3 * 25, rel=1e-4)
    d_real, d_fake = torch.autograd.grad(discriminator_loss(loss, real, fake).sum(), [real, fake])
    assert (d_real + d_fake).item() == pytest.approx(2e-3 * 5, rel=1e-3)  # both together go down


def test_label_smoothing_is_for_the_loss_that_has_labels():
    logit = torch.tensor([1.5])
    smoothed = discriminator_loss("non-saturating", logit, -logit, real_label=0.9)
    expected = binary_cross_entropy(logit, 0.9) + binary_cross_entropy(-logit, 0.0)
    torch.testing.assert_close(smoothed, expected)


def test_penalties_of_a_linear_discriminator():
    weight = torch.arange(12.0, dtype=torch.float64).view(3, 2, 2).requires_grad_()

    def logits(image_NCHW):
        return (image_NCHW * weight).sum((1, 2, 3))

    image, other = torch.ones(5, 3, 2, 2, dtype=torch.float64), torch.zeros(5, 3, 2, 2, dtype=torch.float64)
    square = weight.detach().square().sum()
    norms = gradient_norm_squared(logits, image)
    torch.testing.assert_close(norms, square.float().expand(5))
    (gradient,) = torch.autograd.grad(norms.mean(), weight)
    torch.testing.assert_close(gradient, 2 * weight.detach())
    between = gradient_penalty(logits, image, other, torch.full((5,), 0.5))
    torch.testing.assert_close(between, ((square.sqrt() - 1) ** 2).float().expand(5))


def test_the_penalty_is_taken_between_the_images():
    seen = []

    def logits(image_NCHW):
        seen.append(image_NCHW.detach())
        return image_NCHW.square().sum((1, 2, 3))

    gradient_penalty(logits, torch.ones(2, 3, 1, 1), torch.zeros(2, 3, 1, 1), torch.tensor([0.25, 1.0]))
    assert seen[0][:, 0, 0, 0].tolist() == [0.25, 1.0]
