"""Each layer against its definition: values, gradients, and the borders where mistakes hide."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from facegan.networks.initialization import initialize
from facegan.networks.layers import (
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    DropoutKey,
    Flatten,
    ToImage,
    UpsampleConv,
    statistics_frozen,
)
from facegan.networks.summary import rows_of


def filled(layer):
    initialize(layer, 0, "test")
    with torch.no_grad():
        layer.bias.copy_(torch.linspace(-1, 1, layer.bias.numel()))
    return layer


def tensorflow_same(x, layer):
    """TensorFlow's rule written down a second time: output o sees inputs o*stride - before + tap."""
    kernel, stride = layer.kernel_size[0], layer.stride[0]
    samples, _, size, _ = x.shape
    out = -(-size // stride)
    before = max(0, (out - 1) * stride + kernel - size) // 2
    y = torch.zeros(samples, layer.out_channels, out, out, dtype=x.dtype)
    for row in range(out):
        for column in range(out):
            for p in range(kernel):
                for q in range(kernel):
                    i, j = row * stride - before + p, column * stride - before + q
                    if 0 <= i < size and 0 <= j < size:
                        y[:, :, row, column] += x[:, :, i, j] @ layer.weight[:, :, p, q].T
    return y + layer.bias.view(1, -1, 1, 1)


@pytest.mark.parametrize("size", [7, 8, 9])
@pytest.mark.parametrize("stride", [1, 2])
def test_same_padding_is_tensorflows(size, stride):
    layer = filled(Conv(2, 3, 5, stride=stride)).double()
    x = torch.linspace(-1, 1, 2 * 2 * size * size, dtype=torch.float64).view(2, 2, size, size)
    torch.testing.assert_close(layer(x), tensorflow_same(x, layer))
    assert rows_of(layer, (size, size, 2))[0].shape == (layer(x).shape[2], layer(x).shape[3], 3)


@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (2, 3, 4, 4), (2, 3, 5, 7)])
def test_upsampling_convolution_equals_its_plain_form_and_gradients(shape):
    layer = filled(UpsampleConv(3, 4)).double()
    x = torch.linspace(-1, 1, int(np.prod(shape)), dtype=torch.float64).sin().view(shape).requires_grad_()
    results = []
    for forward in (layer.forward, layer.plain_forward):
        y = forward(x)
        weights = torch.linspace(-1, 2, y.numel(), dtype=torch.float64).view_as(y.contiguous())
        results.append((y, *torch.autograd.grad((y * weights).sum(), [x, layer.weight, layer.bias])))
    for fast, plain in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, rtol=0, atol=1e-11)


@pytest.mark.parametrize("shape", [(6, 5), (3, 5, 4, 4)])
def test_batch_norm_equals_torchs_and_keeps_population_statistics(shape):
    norm = BatchNorm(5, momentum=0.8, epsilon=1e-3)
    initialize(norm, 0, "test")
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), requires_grad=True)
    y = norm(x)
    expected = F.batch_norm(x, None, None, norm.weight, norm.bias, training=True, eps=1e-3)
    torch.testing.assert_close(y, expected)
    weights = torch.linspace(-1, 1, y.numel()).view_as(y)
    torch.testing.assert_close(*(torch.autograd.grad((out * weights).sum(), x)[0] for out in (y, expected)))
    axes = [0, *range(2, len(shape))]
    torch.testing.assert_close(norm.running_mean, 0.2 * x.detach().mean(axes))
    torch.testing.assert_close(norm.running_var, 0.8 + 0.2 * x.detach().var(axes, unbiased=False))
    norm.eval()
    frozen = (x - norm.running_mean.view(1, 5, *[1] * (len(shape) - 2))) / (
        norm.running_var.view(1, 5, *[1] * (len(shape) - 2)) + 1e-3
    ).sqrt()
    torch.testing.assert_close(norm(x), frozen)


def test_frozen_statistics_stay_although_the_batchs_own_are_used():
    norm = BatchNorm(3, momentum=0.9, epsilon=1e-3)
    initialize(norm, 0, "test")
    x = torch.linspace(0, 9, 12).view(4, 3)
    with statistics_frozen(norm):
        inside = norm(x)
    assert torch.equal(norm.running_mean, torch.zeros(3))
    torch.testing.assert_close(inside, norm(x))
    assert not torch.equal(norm.running_mean, torch.zeros(3))


def test_dropout_masks_follow_the_samples_index():
    layer, x = Dropout(0.4, "d"), torch.ones(3, 8, 16, 16)
    assert torch.equal(layer(x, None), x)
    together = layer(x, DropoutKey(1, "s", torch.tensor([10, 11, 12])))
    alone = layer(x[:1], DropoutKey(1, "s", torch.tensor([11])))
    assert torch.equal(together[1], alone[0])
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(alone, layer(x[:1], DropoutKey(1, "other", torch.tensor([11]))))
    share = 154 / 256  # 256 - round(256 * 0.4)
    values = together.unique().tolist()
    assert values == pytest.approx([0, 1 / share])
    assert (together > 0).float().mean().item() == pytest.approx(share, abs=0.02)


def test_reshape_and_flatten_write_channels_last_as_keras_does():
    flat = torch.arange(2 * 3 * 3 * 4.0).view(2, -1)
    image = ToImage(3, 4)(flat)
    assert image.shape == (2, 4, 3, 3)
    assert image[0, 1, 0, 2] == 2 * 4 + 1
    assert torch.equal(Flatten()(image), flat)


def test_initialisation_is_glorots_and_a_function_of_the_seed():
    layer = Dense(300, 500)
    initialize(layer, 0, "a")
    limit = (6 / 800) ** 0.5
    assert layer.weight.abs().max().item() == pytest.approx(limit, rel=1e-3)
    assert layer.weight.std().item() == pytest.approx(limit / 3**0.5, rel=0.01)
    assert torch.equal(layer.bias, torch.zeros(500))
    again, other = Dense(300, 500), Dense(300, 500)
    initialize(again, 0, "a")
    initialize(other, 1, "a")
    assert torch.equal(layer.weight, again.weight)
    assert not torch.equal(layer.weight, other.weight)
    normal = Conv(64, 64, 4, bias=False, initializer=0.02)
    initialize(normal, 0, "a")
    assert normal.weight.std().item() == pytest.approx(0.02, rel=0.02)
