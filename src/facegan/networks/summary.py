"""A network's layers as Keras' ``model.summary()`` would list them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from facegan.networks.layers import (
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    PadRightBottom,
    PooledTanh,
    ToImage,
    TransposedConv,
    UpsampleConv,
)
from facegan.networks.style import ModulatedLayer, ResidualBlock, StyleDiscriminator, StyleGenerator
from facegan.networks.style_layers import MinibatchDeviation, ScaledConv, ScaledDense

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """One line of a summary. ``shape`` is that of one sample, channels last, as Keras writes it."""

    layer: str
    shape: Shape
    parameters: int = 0
    moving: int = 0
    """Parameters that no gradient trains: moving statistics."""


def summarize(network: nn.Module, input_shape: Shape) -> list[Row]:
    """Return the rows of a network, for one sample of ``input_shape`` (channels last)."""
    if isinstance(network, StyleGenerator):
        return _style_generator(network)
    if isinstance(network, StyleDiscriminator):
        blocks = (network.stem, *network.blocks, network.deviation, network.last, network.features, network.logit)
        projection = Row("Projection on attributes", (1,), network.embedding.weight.numel())
        return [*_in_turn(blocks, input_shape), projection]
    return _in_turn(network.blocks, input_shape)  # type: ignore[arg-type]


def totals(rows: list[Row]) -> tuple[int, int, int]:
    """Return the numbers of parameters: all, trainable, non-trainable (moving statistics)."""
    total, moving = sum(row.parameters for row in rows), sum(row.moving for row in rows)
    return total, total - moving, moving


def _in_turn(layers: Iterable[nn.Module], shape: Shape) -> list[Row]:
    rows: list[Row] = []
    for layer in layers:
        rows += rows_of(layer, shape)
        shape = rows[-1].shape
    return rows


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def rows_of(layer: nn.Module, shape: Shape) -> list[Row]:
    """Return the layers of Keras that a layer of ours stands for; ``shape`` is that of one input."""
    height, width, channels = shape if len(shape) == 3 else (1, 1, shape[0])
    match layer:
        case Dense() | ScaledDense():
            return [Row("Dense", (layer.weight.shape[0],), _count(layer))]
        case Conv():
            return [Row("Conv2D", (layer.out_size(height), layer.out_size(width), layer.out_channels), _count(layer))]
        case UpsampleConv():
            return [
                Row("UpSampling2D", (2 * height, 2 * width, channels)),
                Row("Conv2D", (2 * height, 2 * width, layer.out_channels), _count(layer)),
            ]
        case TransposedConv():
            size = (height - 1) * layer.stride[0] - 2 * int(layer.padding[0]) + 4
            return [Row("Conv2DTranspose", (size, size, layer.out_channels), _count(layer))]
        case BatchNorm():
            return [Row("BatchNormalization", shape, 4 * channels, 2 * channels)]
        case nn.Tanh() | nn.ReLU():
            return [Row("Activation", shape)]
        case PooledTanh():
            return [Row("Activation", shape), Row("MaxPooling2D", (height // 2, width // 2, channels))]
        case Dropout() | nn.LeakyReLU():
            return [Row(type(layer).__name__, shape)]
        case PadRightBottom():
            return [Row("ZeroPadding2D", (height + 1, width + 1, channels))]
        case ToImage():
            return [Row("Reshape", (layer.size, layer.size, layer.channels))]
        case Flatten():
            return [Row("Flatten", (math.prod(shape),))]
        case ScaledConv():
            size = height * 2 if layer.resample == "up" else height // layer.stride
            name = {"up": "Upsample + Conv2D", "down": "Conv2D + Pool", "": "Conv2D"}[layer.resample]
            return [Row(name, (size, size, layer.weight.shape[0]), _count(layer))]
        case ModulatedLayer():
            row = rows_of(layer.convolution, shape)[0]
            return [Row(f"Modulated {row.layer}", row.shape, _count(layer))]
        case ResidualBlock():
            return [Row("ResidualBlock", rows_of(layer.second, shape)[0].shape, _count(layer))]
        case MinibatchDeviation():
            return [Row("MinibatchDeviation", (height, width, channels + 1))]
    raise TypeError(f"no summary is known of {type(layer).__name__}")


def _style_generator(network: StyleGenerator) -> list[Row]:
    channels, side, _ = network.constant.shape
    shape: Shape = (side, side, channels)
    rows = [
        Row("Mapping", (network.style_size,), _count(network.mapping)),
        Row("Styles of all layers", (network.style_count,), _count(network.styles)),
        Row("Constant", shape, network.constant.numel()),
    ]
    pictures = iter(network.pictures)
    for number, layer in enumerate(network.layers):
        rows += rows_of(layer, shape)
        shape = rows[-1].shape
        if number in network.ends:
            rows += rows_of(next(pictures), shape)
    return rows
