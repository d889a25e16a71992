"""The layers of the style networks: weights of unit variance, scaled where they are used ("equalised learning rate").

So one learning rate fits every layer (Karras et al. 2018, section 4.1). The gain of the activation is in the weights'.

Legend: N samples, C channels, H height, W width, I and O input and output features, S one sample's latent.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facegan.collectives import all_reduce_sum, process_count
from facegan.errors import UserError
from facegan.networks.conv_algorithms import DIRECT, PLAIN, convolve, convolve_transposed

SLOPE = 0.2
ACTIVATION_GAIN = math.sqrt(2.0)
"""Keeps the second moment through a leaky ReLU (He et al. 2015), nearly."""


class ScaledDense(nn.Module):
    """Fully connected layer with an equalised learning rate (Karras et al. 2018): float [N, I] to [N, O].

    Weights are stored with a standard deviation of 1 / ``lr_multiplier`` and multiplied by gain * lr_multiplier /
    sqrt(I), biases by gain * lr_multiplier. ``lr_multiplier``: the layer's learning rate as a share of the network's.
    ``gain``: that of the activation that follows.
    """

    def __init__(
        self, in_features: int, out_features: int, *, gain: float = 1.0, lr_multiplier: float = 1.0, bias: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.bias = nn.Parameter(torch.empty(out_features)) if bias else None
        self.initializer = 1.0 / lr_multiplier
        self.scale, self.bias_scale = gain * lr_multiplier / math.sqrt(in_features), gain * lr_multiplier

    def forward(self, x_NI: Tensor) -> Tensor:
        return F.linear(x_NI, self.weight * self.scale, None if self.bias is None else self.bias * self.bias_scale)


_POOLED_BY_CONVOLUTION = ("cuda",)
"""Devices on which means of 2x2 pixels are taken within the convolution after them; a processor pools faster."""
_UP_TAPS = ((0, 0, 1), (0, 1, 1), (1, 1, 0), (1, 0, 0))
_DOWN_TAPS = ((0.5, 0, 0), (0.5, 0.5, 0), (0, 0.5, 0.5), (0, 0, 0.5))


class ScaledConv(nn.Module):
    """A convolution that keeps the size, doubles it or halves it.

    "up" is nearest upsampling and then a 3x3 convolution, computed at once as a transposed 4x4 convolution of stride 2;
    "down" is a 3x3 convolution and then the mean of 2x2 pixels, computed as a 4x4 convolution of stride 2: 16 products
    for four pixels where the plain algorithm takes 36. Borders are zeros, as in the plain algorithm.
    """

    taps: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        *,
        resample: Literal["", "up", "down"] = "",
        stride: int = 1,
        gain: float = ACTIVATION_GAIN,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.stride = 2 if resample == "down" else stride
        self.padding = 1 if resample else (kernel - stride + 1) // 2
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.initializer = 1.0
        self.resample = resample
        self.scale = gain / math.sqrt(in_channels * kernel * kernel)
        self.algorithm = DIRECT
        self._frozen: tuple[Tensor, Tensor] | None = None
        self.bound: float | None = None
        """What float16 lets it return at most (``loss_scale``); None: anything."""
        taps = {"up": _UP_TAPS, "down": _DOWN_TAPS, "": ()}[resample]
        self.register_buffer("taps", torch.tensor(taps), persistent=False)

    def kernel(self) -> Tensor:
        """Return the kernel that is applied: [O, C, k, k], or [C, O, 4, 4] for "up"."""
        if self._frozen is not None:
            return self._frozen[0]
        weight = self.weight * self.scale
        if not self.resample:
            return weight
        layout = "ioab" if self.resample == "up" else "oiab"
        taps = self.taps.to(weight.dtype)
        folded = torch.einsum(f"ap,bq,oipq->{layout}", taps, taps, weight)
        return folded.contiguous(memory_format=torch.channels_last)

    def forward(self, x_NCHW: Tensor, kernel: Tensor | None = None) -> Tensor:
        """Return [N, O, H', W'] of x [N, C, H, W]; ``kernel``: what ``kernel()`` returned, if it is at hand."""
        if self.algorithm == PLAIN:
            return self.plain_forward(x_NCHW)
        kernel = self.kernel() if kernel is None else kernel
        if self.resample == "up":
            y_NCHW = convolve_transposed(self.algorithm, x_NCHW, kernel, 2, 1)
            return y_NCHW if self.bias is None else y_NCHW + self.bias[:, None, None]
        pad = self.padding
        return convolve(self.algorithm, x_NCHW, kernel, self.bias, self.stride, (pad, pad, pad, pad))

    def plain_forward(self, x_NCHW: Tensor) -> Tensor:
        """The definition that ``forward`` must equal."""
        if self.resample == "up":
            x_NCHW = F.interpolate(x_NCHW, scale_factor=2.0, mode="nearest")
        stride = 1 if self.resample else self.stride
        y = F.conv2d(x_NCHW, self.weight * self.scale, self.bias, stride, self.padding)
        return F.avg_pool2d(y, 2) if self.resample == "down" else y

    def of_means(self, x_NCHW: Tensor) -> Tensor:
        """Return a 1x1 convolution of the means of 2x2 pixels, [N, O, H / 2, W / 2].

        On a GPU as one convolution of stride 2: there, pooling maps whose channels come last, and the gradient of it,
        took a quarter of a step's time.
        """
        if x_NCHW.device.type in _POOLED_BY_CONVOLUTION:
            y_NCHW = F.conv2d(x_NCHW, self._kernel_of_means(), self.bias, stride=2)
            return y_NCHW if self.bound is None else y_NCHW.clamp(-self.bound, self.bound)
        return self(F.avg_pool2d(x_NCHW, 2))

    def _kernel_of_means(self) -> Tensor:
        kernel = (self.kernel() / 4).expand(-1, -1, 2, 2)
        return kernel.contiguous(memory_format=torch.channels_last)

    def energy(self, kernel: Tensor) -> Tensor:
        """Return float32 [O, C]: how much of an input channel's second moment comes out, on the average over phases."""
        if self._frozen is not None:
            return self._frozen[1]
        squares = kernel.float().square().sum((2, 3))
        return squares.T / 4 if self.resample == "up" else squares

    @torch.no_grad()
    def freeze(self) -> None:
        """Compute what depends on the weights alone once and for all: they must not change any more."""
        kernel = self.kernel()
        self._frozen = (kernel, self.energy(kernel))


class ScaleShiftLeak(torch.autograd.Function):
    """leaky_relu(x * scale + shift), x [N, C, H, W], scale and shift [N, C]: only the result is kept for the backward.

    With g the gradient before the activation, the gradient of ``scale`` is sum(g x) = (sum(g y') - shift sum(g)) /
    scale, y' being the value before the activation; g y' is the incoming gradient times the result, because the
    activation is homogeneous.
    """

    @staticmethod
    def forward(ctx: Any, x_NCHW: Tensor, scale_NC: Tensor, shift_NC: Tensor) -> Tensor:
        y_NCHW = torch.addcmul(shift_NC[:, :, None, None], x_NCHW, scale_NC[:, :, None, None])
        F.leaky_relu_(y_NCHW, SLOPE)
        ctx.save_for_backward(y_NCHW, scale_NC, shift_NC)
        return y_NCHW

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y_NCHW, scale_NC, shift_NC = ctx.saved_tensors
        gradient_NCHW = gradients[0]
        product_NC = (gradient_NCHW * y_NCHW).sum((2, 3), dtype=torch.float32)
        before_NCHW = torch.ops.aten.leaky_relu_backward(gradient_NCHW, y_NCHW, SLOPE, True)
        shift_gradient_NC = before_NCHW.sum((2, 3), dtype=torch.float32)
        scale_gradient_NC = (product_NC - shift_NC.float() * shift_gradient_NC) / scale_NC.float()
        before_NCHW.mul_(scale_NC[:, :, None, None])
        return before_NCHW, scale_gradient_NC.to(scale_NC.dtype), shift_gradient_NC.to(shift_NC.dtype)


class MinibatchDeviation(nn.Module):
    """One more channel: how much the samples of a group differ (Karras et al. 2018, section 3).

    Groups are ``group`` neighbours in the batch, so that they follow from the position in the run. In inference, where
    a face's score must not depend on its company, the channel holds what was usual in training.
    """

    usual: Tensor
    momentum = 0.99

    def __init__(self, group: int) -> None:
        super().__init__()
        self.group = group
        self.register_buffer("usual", torch.zeros(()))
        self.update_statistics = True

    def forward(self, x_NCHW: Tensor) -> Tensor:
        samples, _, height, width = x_NCHW.shape
        if not self.training:
            channel = self.usual.to(x_NCHW.dtype).expand(samples, 1, height, width)
            return torch.cat([x_NCHW, channel], 1)
        if samples % self.group:
            raise UserError(
                f"{samples} images: in training this discriminator takes groups of {self.group}, and any number after "
                ".eval()"
            )
        groups = x_NCHW.float().reshape(-1, self.group, *x_NCHW.shape[1:])
        variance = (groups - groups.mean(1, keepdim=True)).square().mean(1)
        deviation = (variance + 1e-8).sqrt().mean((1, 2, 3))
        if self.update_statistics:
            self._remember(deviation.detach().mean())
        channel = deviation.repeat_interleave(self.group).view(samples, 1, 1, 1).to(x_NCHW.dtype)
        return torch.cat([x_NCHW, channel.expand(samples, 1, height, width)], 1)

    def _remember(self, mean: Tensor) -> None:
        mean = all_reduce_sum(mean) / process_count()
        self.usual.lerp_(mean.to(self.usual.dtype), 1 - self.momentum)


def normalised(x_NI: Tensor) -> Tensor:
    """Return x with a mean square of 1 in each row."""
    return x_NI * (x_NI.float().square().mean(1, keepdim=True) + 1e-8).rsqrt().to(x_NI.dtype)
