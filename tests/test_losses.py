import math

import pytest
import torch

from facegan.losses import binary_cross_entropy


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
