"""A generator for inference: what depends on its weights alone is computed once.

Batch normalisation, which only scales and shifts when moving statistics are used, is folded into the layer before it;
upsampling convolutions keep the kernels of their four phases, and Winograd's form of them for many faces at a time.

Legend: N samples, C input channels, O output channels.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facegan.networks.layers import (
    BatchNorm,
    Dense,
    ToImage,
    TransposedConv,
    UpsampleConv,
    fold_phases,
    phases_to_image,
)
from facegan.networks.style import StyleGenerator
from facegan.networks.style_layers import ScaledConv
from facegan.networks.winograd import Tiling

_TILE = 4
_LEAST_TILES = 64
"""Tiles that make Winograd's products worth their larger kernel."""
_LEAST_CHANNELS = 16
_LINEAR = (Dense, UpsampleConv, TransposedConv)
_OTHERS = (BatchNorm, nn.ReLU, nn.Tanh, ToImage)


class _Linear(nn.Module):
    """A linear function of x, weight and bias, with weight and bias at hand."""

    def __init__(self, function: Callable[..., Tensor], weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.function = function
        self.weight, self.bias = nn.Buffer(weight), None if bias is None else nn.Buffer(bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.weight, self.bias)


class _Upsampling(nn.Module):
    """``UpsampleConv`` with its phases' kernel at hand."""

    def __init__(self, weight_OC55: Tensor, bias: Tensor, taps: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Buffer(fold_phases(weight_OC55, taps)), nn.Buffer(bias.repeat(4))
        self.kernel_tiles: Tensor | None = None

    def forward(self, x_NCHW: Tensor) -> Tensor:
        weight, bias = self.weight, self.bias
        samples, _, height, width = x_NCHW.shape
        tiling = Tiling(samples, height, width, 1, 1, height, width, 3, 1, _TILE)
        many = samples * tiling.rows * tiling.columns >= _LEAST_TILES and weight.shape[0] >= 4 * _LEAST_CHANNELS
        if not many or x_NCHW.device.type != "cpu":
            return phases_to_image(F.conv2d(x_NCHW, weight, bias, padding=1))
        if self.kernel_tiles is None:
            self.kernel_tiles = tiling.kernel_tiles(weight)
        V_KTF = tiling.input_tiles(x_NCHW.permute(0, 2, 3, 1))
        y_NHWC = tiling.output(torch.bmm(V_KTF, self.kernel_tiles.transpose(1, 2)), bias)
        return phases_to_image(y_NHWC.permute(0, 3, 1, 2))


class InferenceGenerator(nn.Module):
    """The function of a generator in inference mode, as fast as we know how; equal but for float32 rounding."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.latent_size, self.resolution = generator.latent_size, generator.resolution
        blocks = list(generator.blocks)  # type: ignore[arg-type]
        self.stages = nn.Sequential()
        for block, after in zip(blocks, [*blocks[1:], None], strict=True):
            if isinstance(block, _LINEAR):
                self.stages.append(_fused(block, after if isinstance(after, BatchNorm) else None))
            elif not isinstance(block, BatchNorm):
                self.stages.append(block)

    def forward(self, latent_NZ: Tensor) -> Tensor:
        """Return images, float [N, 3, R, R] in [-1, 1], of latents [N, Z]."""
        return self.stages(latent_NZ)


@torch.no_grad()
def for_inference(generator: nn.Module) -> nn.Module:
    """Return a form of a generator that only makes faces, fast; the generator itself if it has layers unknown here."""
    if isinstance(generator, StyleGenerator):
        frozen = copy.deepcopy(generator)
        for module in frozen.modules():
            if isinstance(module, ScaledConv):
                module.freeze()
        return frozen
    blocks = getattr(generator, "blocks", [None])
    if not all(isinstance(block, (*_LINEAR, *_OTHERS)) for block in blocks):
        return generator
    return InferenceGenerator(generator).eval().requires_grad_(False)


def _fused(layer: nn.Module, norm: BatchNorm | None) -> nn.Module:
    """Return a linear layer with the batch normalisation after it folded in."""
    weight = layer.get_parameter("weight").detach()
    parameter = dict(layer.named_parameters()).get("bias")
    bias: Tensor | None = None if parameter is None else parameter.detach()
    if norm is not None:
        scale = norm.weight / (norm.running_var + norm.epsilon).sqrt()
        outputs = 1 if isinstance(layer, TransposedConv) else 0
        weight = weight * scale.view([-1 if axis == outputs else 1 for axis in range(weight.dim())])
        bias = norm.bias - norm.running_mean * scale + (0 if bias is None else bias * scale)
    if isinstance(layer, UpsampleConv):
        assert bias is not None
        return _Upsampling(weight, bias, layer.taps)
    if isinstance(layer, TransposedConv):
        transposed = partial(F.conv_transpose2d, stride=layer.stride[0], padding=int(layer.padding[0]))
        return _Linear(transposed, weight, bias)
    return _Linear(F.linear, weight, bias)
