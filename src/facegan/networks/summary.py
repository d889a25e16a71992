"""A network's layers as Keras' ``model.summary()`` would list them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import singledispatch

from torch import nn

from facegan.networks.layers import (
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    LeakyReLU,
    PadRightBottom,
    PooledTanh,
    ReLU,
    Tanh,
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


@singledispatch
def rows_of(layer: nn.Module, shape: Shape) -> list[Row]:
    """Return the layers of Keras that a layer of ours stands for; ``shape`` is that of one input."""
    raise TypeError(f"no summary is known of {type(layer).__name__}")


@rows_of.register
def _(layer: Dense, shape: Shape) -> list[Row]:
    return [Row("Dense", (layer.out_features,), _count(layer))]


@rows_of.register
def _(layer: ScaledDense, shape: Shape) -> list[Row]:
    return [Row("Dense", (layer.weight.shape[0],), _count(layer))]


@rows_of.register
def _(layer: Conv, shape: Shape) -> list[Row]:
    return [Row("Conv2D", (layer.out_size(shape[0]), layer.out_size(shape[1]), layer.out_channels), _count(layer))]


@rows_of.register
def _(layer: UpsampleConv, shape: Shape) -> list[Row]:
    height, width, channels = shape
    return [
        Row("UpSampling2D", (2 * height, 2 * width, channels)),
        Row("Conv2D", (2 * height, 2 * width, layer.out_channels), _count(layer)),
    ]


@rows_of.register
def _(layer: TransposedConv, shape: Shape) -> list[Row]:
    size = (shape[0] - 1) * layer.stride[0] - 2 * int(layer.padding[0]) + 4
    return [Row("Conv2DTranspose", (size, size, layer.out_channels), _count(layer))]


@rows_of.register
def _(layer: BatchNorm, shape: Shape) -> list[Row]:
    features = layer.weight.numel()
    return [Row("BatchNormalization", shape, 4 * features, 2 * features)]


@rows_of.register
def _(layer: Dropout, shape: Shape) -> list[Row]:
    return [Row("Dropout", shape)]


@rows_of.register(Tanh)
@rows_of.register(ReLU)
def _(layer: nn.Module, shape: Shape) -> list[Row]:
    return [Row("Activation", shape)]


@rows_of.register
def _(layer: LeakyReLU, shape: Shape) -> list[Row]:
    return [Row("LeakyReLU", shape)]


@rows_of.register
def _(layer: PooledTanh, shape: Shape) -> list[Row]:
    return [Row("Activation", shape), Row("MaxPooling2D", (shape[0] // 2, shape[1] // 2, shape[2]))]


@rows_of.register
def _(layer: PadRightBottom, shape: Shape) -> list[Row]:
    return [Row("ZeroPadding2D", (shape[0] + 1, shape[1] + 1, shape[2]))]


@rows_of.register
def _(layer: ToImage, shape: Shape) -> list[Row]:
    return [Row("Reshape", (layer.size, layer.size, layer.channels))]


@rows_of.register
def _(layer: Flatten, shape: Shape) -> list[Row]:
    return [Row("Flatten", (math.prod(shape),))]


@rows_of.register
def _(layer: ScaledConv, shape: Shape) -> list[Row]:
    size = shape[0] * 2 if layer.resample == "up" else shape[0] // layer.stride
    name = {"up": "Upsample + Conv2D", "down": "Conv2D + Pool", "": "Conv2D"}[layer.resample]
    return [Row(name, (size, size, layer.weight.shape[0]), _count(layer))]


@rows_of.register
def _(layer: ModulatedLayer, shape: Shape) -> list[Row]:
    row = rows_of(layer.convolution, shape)[0]
    return [Row(f"Modulated {row.layer}", row.shape, _count(layer))]


@rows_of.register
def _(layer: ResidualBlock, shape: Shape) -> list[Row]:
    return [Row("ResidualBlock", rows_of(layer.second, shape)[0].shape, _count(layer))]


@rows_of.register
def _(layer: MinibatchDeviation, shape: Shape) -> list[Row]:
    return [Row("MinibatchDeviation", (*shape[:2], shape[2] + 1))]


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
