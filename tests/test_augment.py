import numpy as np
import pytest
import torch

from facegan.augment import ADA_STEPS, AdaptiveProbability, augment

TARGET = 0.6
INDEX = np.arange(100, 108)


def pictures(count=8, size=16):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_nothing_happens_without_a_probability():
    x = pictures()
    assert augment("none", 1.0, x, 0, "s", INDEX) is x
    assert augment("ada", 0.0, x, 0, "s", INDEX) is x


@pytest.mark.parametrize(("kind", "p"), [("ada", 0.5), ("ada", 1.0), ("diffaugment", 0.0)])
def test_a_change_is_a_function_of_the_index(kind, p):
    x = pictures()
    whole = augment(kind, p, x, 0, "s", INDEX)
    assert whole.shape == x.shape and torch.isfinite(whole).all()
    parts = [augment(kind, p, x[part], 0, "s", INDEX[part]) for part in (slice(0, 3), slice(3, 8))]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-5, atol=1e-5)
    assert not torch.equal(augment(kind, p, x, 0, "other", INDEX), whole)
    assert not torch.equal(augment(kind, p, x, 1, "s", INDEX), whole)


def test_ada_changes_about_as_many_as_it_should():
    x, index = pictures(400), np.arange(400)
    for p in (0.02, 0.1):
        changed = (augment("ada", p, x, 0, "s", index) - x).flatten(1).abs().amax(1) > 1e-6
        # x-flip p/2, 90 degrees 3/4 p, eleven others p (two of them 1 - sqrt(1 - p)), luma flip p/2
        expected = 1 - (1 - p / 2) ** 2 * (1 - 0.75 * p) * (1 - p) ** 8 * (1 - p)
        assert changed.float().mean().item() == pytest.approx(expected, abs=0.07)


@pytest.mark.parametrize(("kind", "p"), [("ada", 1.0), ("diffaugment", 0.0)])
def test_gradients_flow_through(kind, p):
    """Each change is affine in the image, so that the gradient of a weighted sum gives its differences exactly."""
    x = pictures().requires_grad_()
    weight = torch.rand(x.shape, generator=torch.Generator().manual_seed(1))
    total = (augment(kind, p, x, 0, "s", INDEX) * weight).sum()
    total.backward()
    other = pictures().flip(0)
    with torch.no_grad():
        difference = ((augment(kind, p, other, 0, "s", INDEX) - augment(kind, p, x, 0, "s", INDEX)) * weight).sum()
    assert ((other - x) * x.grad).sum().item() == pytest.approx(difference.item(), rel=1e-3, abs=1e-2)


def test_the_probability_follows_the_signs_and_survives_a_snapshot():
    def begin(values=None):
        return AdaptiveProbability(TARGET, 500_000, values)

    def play(signs, adaptive):
        for sign in signs:
            adaptive.after_step(torch.tensor(sign), 64)
        return adaptive

    sure = play([1.0] * ADA_STEPS, begin())
    assert sure.p == pytest.approx(ADA_STEPS * 64 / 500_000)
    assert play([0.0] * ADA_STEPS, sure).p == 0
    signs = [TARGET + 0.3 * (-1) ** number * (number % 5) for number in range(37)]
    straight = play(signs, begin())
    half = play(signs[:18], begin()).to_dict()
    assert play(signs[18:], begin(half)).to_dict() == straight.to_dict()
    assert begin({"p": "junk"}).p == 0
