"""A network's layers as Keras' ``model.summary()`` would list them."""

from __future__ import annotations

from torch import nn

from facegan.networks.layers import Row, Shape


def summarize(network: nn.Module, input_shape: Shape) -> list[Row]:
    """Return one row a layer, for one sample of ``input_shape`` (channels last)."""
    if hasattr(network, "rows"):  # one that is not a row of layers
        own: list[Row] = network.rows()  # type: ignore[operator]
        return own
    rows: list[Row] = []
    shape = input_shape
    for block in network.blocks:  # type: ignore[union-attr]
        rows += block.rows(shape)
        shape = rows[-1].shape
    return rows


def totals(rows: list[Row]) -> tuple[int, int, int]:
    """Return the numbers of parameters: all, trainable, non-trainable (moving statistics)."""
    total, moving = sum(row.parameters for row in rows), sum(row.moving for row in rows)
    return total, total - moving, moving
