"""The layers that the networks are made of.

Parameters are left empty by the constructors and filled by ``initialization``.

Legend: N samples, C channels, H height, W width, O and I output and input channels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facegan.collectives import differentiable_all_gather, process_count
from facegan.networks.conv_algorithms import DIRECT, PLAIN, convolve, convolve_transposed
from facegan.randomness import random_bytes


@dataclass(frozen=True)
class DropoutKey:
    """Key of the dropout masks of one pass through a network: a stream, and an index for each sample."""

    seed: int
    stream: str
    index_N: Tensor
    """int64 [N]."""


class _Unfilled:
    """A layer whose parameters are left empty: ``initialize`` fills them."""

    def reset_parameters(self) -> None: ...


class Dense(_Unfilled, nn.Linear):
    """A fully connected layer. ``initializer``: "glorot-uniform" or the standard deviation of a normal."""

    def __init__(self, in_features: int, out_features: int, *, initializer: str | float = "glorot-uniform") -> None:
        super().__init__(in_features, out_features)
        self.initializer = initializer


class Conv(_Unfilled, nn.Conv2d):
    """A convolution padded as TensorFlow does it, or by a fixed number of pixels.

    ``padding="same"`` gives ceil(H / stride) rows: the total padding is max(0, (out - 1) * stride + kernel - H), of
    which the smaller half goes above and left (so with stride 2 it is asymmetric). ``"valid"`` pads nothing.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        padding: str | int = "same",
        bias: bool = True,
        initializer: str | float = "glorot-uniform",
    ) -> None:
        fixed = padding if isinstance(padding, int) else 0
        super().__init__(in_channels, out_channels, kernel, stride=stride, padding=fixed, bias=bias)
        self.same = padding == "same"
        self.initializer = initializer
        self.algorithm = DIRECT

    def _same_padding(self, size: int) -> tuple[int, int]:
        kernel, stride = self.kernel_size[0], self.stride[0]
        total = max(0, (math.ceil(size / stride) - 1) * stride + kernel - size)
        return total // 2, total - total // 2

    def out_size(self, size: int) -> int:
        """Return the side of the output for a side of the input."""
        before, after = self._same_padding(size) if self.same else (int(self.padding[0]), int(self.padding[0]))
        return (size + before + after - self.kernel_size[0]) // self.stride[0] + 1

    def forward(self, x_NCHW: Tensor) -> Tensor:
        if self.same:
            top, bottom = self._same_padding(x_NCHW.shape[2])
            left, right = self._same_padding(x_NCHW.shape[3])
        else:
            top = bottom = left = right = int(self.padding[0])
        return convolve(self.algorithm, x_NCHW, self.weight, self.bias, self.stride[0], (top, bottom, left, right))


def fold_phases(weight_OC55: Tensor, taps: Tensor) -> Tensor:
    """Return [4 O, C, 3, 3]: the kernels of the four phases, repeated taps added up in float32."""
    phases = torch.einsum("apk,bql,oikl->aboipq", taps, taps, weight_OC55.to(taps.dtype))
    phases = phases.reshape(4 * weight_OC55.shape[0], weight_OC55.shape[1], 3, 3).to(weight_OC55.dtype)
    return phases.contiguous(memory_format=torch.channels_last)


def phases_to_image(y_NCHW: Tensor) -> Tensor:
    """Put four phases [N, 4 O, H, W] side by side: [N, O, 2 H, 2 W]."""
    samples, channels, height, width = y_NCHW.shape
    phases = y_NCHW.permute(0, 2, 3, 1).reshape(samples, height, width, 2, 2, channels // 4)
    y_NHWC = phases.permute(0, 1, 3, 2, 4, 5).reshape(samples, 2 * height, 2 * width, channels // 4)
    return y_NHWC.permute(0, 3, 1, 2)


class UpsampleConv(_Unfilled, nn.Conv2d):
    """Nearest upsampling by 2 and then a 5x5 convolution with ``same`` padding, computed at the low resolution.

    Output pixel (2i + a, 2j + b) sees only 3x3 input pixels, because the upsampled image repeats them: with the
    repeated taps added up, each of the four phases (a, b) is a 3x3 convolution. Equal to the plain algorithm, borders
    included, with 2.8 times fewer multiplications.
    """

    _PHASE_TAPS = (
        ((1, 1, 0, 0, 0), (0, 0, 1, 1, 0), (0, 0, 0, 0, 1)),
        ((1, 0, 0, 0, 0), (0, 1, 1, 0, 0), (0, 0, 0, 1, 1)),
    )
    taps: Tensor

    def __init__(self, in_channels: int, out_channels: int, *, initializer: str | float = "glorot-uniform") -> None:
        super().__init__(in_channels, out_channels, 5, padding=2)
        self.initializer = initializer
        self.register_buffer("taps", torch.tensor(self._PHASE_TAPS, dtype=torch.float32), persistent=False)
        self.algorithm = DIRECT

    def forward(self, x_NCHW: Tensor) -> Tensor:
        if self.algorithm == PLAIN:
            return self.plain_forward(x_NCHW)
        assert self.bias is not None
        y = convolve(self.algorithm, x_NCHW, fold_phases(self.weight, self.taps), self.bias.repeat(4), 1, (1, 1, 1, 1))
        return phases_to_image(y)

    def plain_forward(self, x_NCHW: Tensor) -> Tensor:
        """The definition that ``forward`` must equal."""
        return F.conv2d(F.interpolate(x_NCHW, scale_factor=2.0, mode="nearest"), self.weight, self.bias, padding=2)


class TransposedConv(_Unfilled, nn.ConvTranspose2d):
    """A transposed 4x4 convolution without bias (Radford et al. 2016)."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int, padding: int, initializer: float) -> None:
        super().__init__(in_channels, out_channels, 4, stride=stride, padding=padding, bias=False)
        self.initializer = initializer
        self.algorithm = DIRECT

    def forward(self, x_NCHW: Tensor) -> Tensor:  # type: ignore[override]
        return convolve_transposed(self.algorithm, x_NCHW, self.weight, self.stride[0], int(self.padding[0]))


class BatchNorm(nn.Module):
    """Batch normalisation (Ioffe and Szegedy 2015) over N, H and W, as Keras does it, across all processes.

    ``momentum`` is the share of the moving statistics that is kept; the moving variance takes the population
    variance of the batch. Weights and statistics stay float32 under a bfloat16 input.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, features: int, *, momentum: float, epsilon: float, initializer: float | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(features))
        self.bias = nn.Parameter(torch.empty(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))
        self.momentum, self.epsilon, self.initializer = momentum, epsilon, initializer
        self.update_statistics = True
        self.parts = 1

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.epsilon
            )
        if self.parts > 1:
            return torch.cat([self._normalise(part) for part in x.chunk(self.parts)])
        return self._normalise(x)

    def _normalise(self, x: Tensor) -> Tensor:
        if process_count() > 1:
            y, mean, variance = self._normalise_across_processes(x)
        else:
            y, mean, inverse_std = torch.native_batch_norm(
                x, self.weight, self.bias, None, None, True, 0.0, self.epsilon
            )
            variance = inverse_std.detach().square().reciprocal().sub(self.epsilon)
        if self.update_statistics:
            with torch.no_grad():
                self.running_mean.lerp_(mean, 1 - self.momentum)
                self.running_var.lerp_(variance, 1 - self.momentum)
        return y

    def _normalise_across_processes(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        axes, shape = [0, *range(2, x.dim())], [1, -1] + [1] * (x.dim() - 2)
        wide = x.float()
        own_mean = wide.mean(axes)
        own_squares = (wide - own_mean.view(shape)).square().sum(axes)
        count = own_mean.new_full((1,), x.numel() / x.shape[1])
        row_PK = differentiable_all_gather(torch.cat([own_mean, own_squares, count]))
        mean_PC, squares_PC, count_P1 = row_PK.split([x.shape[1], x.shape[1], 1], 1)
        # Centred moments are merged (Chan et al. 1979): a difference of large squares would lose what is asked for.
        share_P1 = count_P1 / count_P1.sum()
        mean = (share_P1 * mean_PC).sum(0)
        variance = squares_PC.sum(0) / count_P1.sum() + (share_P1 * (mean_PC - mean).square()).sum(0)
        scale = self.weight * (variance + self.epsilon).rsqrt()
        y = (wide - mean.view(shape)) * scale.view(shape) + self.bias.view(shape)
        return y.to(x.dtype), mean.detach(), variance.detach()


class Dropout(nn.Module):
    """Inverted dropout (Srivastava et al. 2014) whose mask is a function of the sample's index.

    A value is kept where its random byte is at least round(256 * rate), so the rate is a multiple of 1/256 (0.4
    becomes 0.3984), and kept values are divided by the exact share that is kept. Without a ``dropout_key`` it is the
    identity.
    """

    def __init__(self, rate: float, stream: str) -> None:
        super().__init__()
        self.threshold, self.stream = round(256 * rate), stream

    def forward(self, x_NCHW: Tensor, dropout_key: DropoutKey | None) -> Tensor:
        if dropout_key is None or self.threshold == 0:
            return x_NCHW
        samples, channels, height, width = x_NCHW.shape
        stream = f"{dropout_key.stream}/{self.stream}"
        bytes_NK = random_bytes(dropout_key.seed, stream, dropout_key.index_N, height * width * channels)
        keep = bytes_NK.view(samples, height, width, channels).permute(0, 3, 1, 2) >= self.threshold
        return x_NCHW * keep.to(x_NCHW.dtype).mul_(256 / (256 - self.threshold))


class PooledTanh(nn.Module):
    """tanh, then the 2x2 maximum with stride 2; an odd last row or column is dropped, as in Keras.

    tanh is monotone, so that the maximum may come first, which leaves a quarter of the values to take tanh of.
    """

    def __init__(self) -> None:
        super().__init__()
        self.algorithm = DIRECT

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return F.max_pool2d(x_NCHW.tanh(), 2) if self.algorithm == PLAIN else F.max_pool2d(x_NCHW, 2).tanh()


class PadRightBottom(nn.Module):
    """One row and one column of zeros, below and to the right."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return F.pad(x_NCHW, (0, 1, 0, 1))


class ToImage(nn.Module):
    """Reshape [N, H*W*C], written channels last as Keras does it, to NCHW (channels-last in memory, no copy)."""

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.size, self.channels = size, channels

    def forward(self, x_NF: Tensor) -> Tensor:
        return x_NF.view(-1, self.size, self.size, self.channels).permute(0, 3, 1, 2)


class Flatten(nn.Module):
    """NCHW to [N, H*W*C], channels last as Keras writes it."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return x_NCHW.permute(0, 2, 3, 1).flatten(1)


@contextmanager
def attribute_set(modules: Iterable[Any], name: str, value: object) -> Iterator[None]:
    """Inside, an attribute of these modules has another value."""
    before = [(module, getattr(module, name)) for module in modules]
    for module, _ in before:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, own in before:
            setattr(module, name, own)


def statistics_frozen(network: nn.Module) -> AbstractContextManager[None]:
    """Inside, layers in training mode use the batch's statistics and leave the moving ones alone."""
    norms = [module for module in network.modules() if hasattr(module, "update_statistics")]
    return attribute_set(norms, "update_statistics", False)


def moving_statistics(network: nn.Module) -> AbstractContextManager[None]:
    """Inside, batch normalisation uses its moving statistics, whatever mode the network is in."""
    return attribute_set(_norms(network), "training", False)


def statistics_apart(network: nn.Module, parts: int) -> AbstractContextManager[None]:
    """Inside, batch normalisation in training mode takes a batch in so many equal parts, each with its statistics."""
    return attribute_set(_norms(network), "parts", parts)


def _norms(network: nn.Module) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, BatchNorm)]
