"""Tiled convolutions against the library's: values and gradients, odd sizes, strides, paddings."""

import pytest
import torch
import torch.nn.functional as F

from facegan.networks.winograd import convolve, convolve_transposed, cook_toom

CASES = [  # height, width, kernel, stride, padding, tile
    (9, 9, 5, 1, (2, 2, 2, 2), 3),
    (13, 11, 5, 1, (2, 2, 2, 2), 4),
    (9, 7, 5, 1, (0, 0, 0, 0), 2),
    (32, 32, 5, 2, (1, 2, 1, 2), 4),
    (17, 15, 5, 2, (2, 2, 2, 2), 3),
    (17, 15, 5, 2, (2, 2, 2, 2), 2),
    (10, 12, 3, 1, (1, 1, 1, 1), 4),
    (1, 3, 3, 1, (1, 1, 1, 1), 2),
    (16, 16, 4, 2, (1, 1, 1, 1), 4),
    (7, 9, 4, 2, (1, 1, 1, 1), 2),
]
TOLERANCE = {torch.float64: 1e-12, torch.float32: 3e-5}
"""Of the largest value."""


def random(*shape, dtype, seed):
    return torch.empty(shape, dtype=dtype).normal_(generator=torch.Generator().manual_seed(seed)).requires_grad_()


def assert_close(found, expected, dtype):
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        apart = (one - other).abs().max() / other.abs().max()
        assert apart < TOLERANCE[dtype], apart


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("height", "width", "kernel", "stride", "padding", "tile"), CASES)
def test_tiles_equal_the_direct_form(height, width, kernel, stride, padding, tile, dtype):
    x = random(3, 20, height, width, dtype=dtype, seed=0)
    weight, bias = random(18, 20, kernel, kernel, dtype=dtype, seed=1), random(18, dtype=dtype, seed=2)
    top, bottom, left, right = padding
    direct = F.conv2d(F.pad(x, (left, right, top, bottom)), weight, bias, stride)
    tiled = convolve(x, weight, bias, stride=stride, padding=padding, tile=tile)
    gradient = random(*direct.shape, dtype=dtype, seed=3).detach()
    expected = (direct, *torch.autograd.grad(direct, (x, weight, bias), gradient))
    found = (tiled, *torch.autograd.grad(tiled, (x, weight, bias), gradient))
    assert_close(found, expected, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("height", "width", "stride", "padding", "tile"), [
    (4, 4, 2, 1, 2), (5, 7, 2, 1, 3), (8, 8, 2, 1, 4), (3, 5, 1, 0, 2), (6, 6, 2, 0, 4),
])  # fmt: skip
def test_transposed_tiles_equal_the_direct_form(height, width, stride, padding, tile, dtype):
    x, weight = random(3, 20, height, width, dtype=dtype, seed=0), random(20, 18, 4, 4, dtype=dtype, seed=1)
    direct = F.conv_transpose2d(x, weight, stride=stride, padding=padding)
    tiled = convolve_transposed(x, weight, stride=stride, padding=padding, tile=tile)
    gradient = random(*direct.shape, dtype=dtype, seed=2).detach()
    expected = (direct, *torch.autograd.grad(direct, (x, weight), gradient))
    found = (tiled, *torch.autograd.grad(tiled, (x, weight), gradient))
    assert_close(found, expected, dtype)


def test_gradients_that_nobody_needs_are_not_made():
    x, weight = random(2, 16, 8, 8, dtype=torch.float32, seed=0), random(16, 16, 3, 3, dtype=torch.float32, seed=1)
    y = convolve(x, weight.detach(), None, padding=(1, 1, 1, 1), tile=2)
    assert y.grad_fn.saved_tensors[0] is None  # the transformed input is kept for the weight's gradient alone
    assert torch.autograd.grad(y.sum(), x)[0].shape == x.shape


def test_a_second_derivative_raises():
    """The backward pass is not differentiable; a gradient penalty through it was off by a third, silently."""
    x, weight = random(1, 2, 8, 8, dtype=torch.float64, seed=0), random(2, 2, 4, 4, dtype=torch.float64, seed=1)
    for y in (
        convolve(x, weight, None, padding=(1, 2, 1, 2), tile=2),
        convolve_transposed(x, weight, stride=2, padding=1, tile=2),
    ):
        (dx,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        with pytest.raises(RuntimeError, match="once_differentiable"):
            dx.square().sum().backward()


@pytest.mark.parametrize(("tile", "taps"), [(2, 3), (4, 3), (3, 5), (4, 5), (2, 2), (4, 2)])
def test_one_direction_is_a_filter(tile, taps):
    A, G, B = cook_toom(tile, taps)
    inputs = torch.linspace(-1, 2, tile + taps - 1, dtype=torch.float64).sin()
    kernel = torch.linspace(1, 3, taps, dtype=torch.float64).cos()
    expected = torch.stack([inputs[start : start + taps] @ kernel for start in range(tile)])
    torch.testing.assert_close(A @ ((G @ kernel) * (B @ inputs)), expected)


def test_too_many_points_are_refused():
    with pytest.raises(ValueError, match="points"):
        cook_toom(20, 5)
