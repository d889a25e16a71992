"""A style-based pair: modulated synthesis (Karras et al. 2020) against a residual projection discriminator.

Legend: N samples, Z latent, A the 40 attributes, W style, C channels, R resolution.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facegan.attributes import ATTRIBUTE_COUNT
from facegan.errors import UserError
from facegan.networks.feature_heads import FeatureHeads
from facegan.networks.layers import DropoutKey
from facegan.networks.style_layers import (
    SLOPE,
    MinibatchDeviation,
    ScaledConv,
    ScaledDense,
    ScaleShiftLeak,
    normalised,
)

_ONE = math.log(math.e - 1)
"""softplus of it is 1."""
_EMBEDDING = 64
_PICTURE_GAIN = 0.25
"""Of each size's part in the image at first: together they are then about as bright as a photograph."""


def sizes(resolution: int, patch: int) -> list[int]:
    """Return the sides of the feature maps, smallest first: 4 to 7 px, doubled up to ``resolution / patch``.

    Raises:
        UserError: no such side gives the resolution.
    """
    side = resolution // patch
    doublings = max(0, (side // 4).bit_length() - 1)
    if side * patch != resolution or side < 8 or side % (1 << doublings):
        raise UserError(
            f"style makes images of 4, 5, 6 or 7 px, doubled {patch} times or more, such as 64, 80, 96, 112, 128: "
            f"not {resolution}"
        )
    return [side >> power for power in range(doublings, -1, -1)]


def channels_of(resolution: int, side: int, width: int, max_channels: int) -> int:
    """Return the channels of feature maps of ``side``: ``width`` at the full resolution, doubled at each halving."""
    return min(max_channels, width * resolution // side)


def _check_widths(width: int, max_channels: int, patch: int) -> None:
    if not 1 <= width <= 1024 or not 1 <= max_channels <= 4096:
        raise UserError(
            f"style takes a width from 1 to 1024 and max_channels from 1 to 4096: not {width} and {max_channels}"
        )
    if patch not in (1, 2):
        raise UserError(f"style takes a patch of 1 or 2: not {patch}")


def _check_mapping(style_size: int, mapping_layers: int, lr_multiplier: float) -> None:
    if not 1 <= style_size <= 4096:
        raise UserError(f"style takes a style_size from 1 to 4096: not {style_size}")
    if not 1 <= mapping_layers <= 16:
        raise UserError(f"style takes from 1 to 16 mapping_layers: not {mapping_layers}")
    if not 1e-4 <= lr_multiplier <= 1:
        raise UserError(f"style takes a mapping_lr_multiplier from 0.0001 to 1: not {lr_multiplier}")


class Mapping(nn.Module):
    """Latent and attributes to a style w [N, W]. Attributes that are 0 say nothing."""

    def __init__(self, latent_size: int, style_size: int, layers: int, lr_multiplier: float) -> None:
        super().__init__()
        self.embedding = ScaledDense(ATTRIBUTE_COUNT, _EMBEDDING, bias=False)
        inputs = [latent_size + _EMBEDDING, *[style_size] * (layers - 1)]
        self.layers = nn.ModuleList(
            ScaledDense(size, style_size, gain=math.sqrt(2), lr_multiplier=lr_multiplier) for size in inputs
        )

    def forward(self, latent_NZ: Tensor, attributes_NA: Tensor | None) -> Tensor:
        if attributes_NA is None:
            attributes_NA = latent_NZ.new_zeros(latent_NZ.shape[0], ATTRIBUTE_COUNT)
        x = torch.cat([normalised(latent_NZ), self.embedding(attributes_NA.to(latent_NZ.dtype))], 1)
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
        return x

    def mean_style(self, latent_MZ: Tensor, attributes_NA: Tensor) -> Tensor:
        """Return the mean styles [N, W], over latents, of each row of attributes [N, 40]."""
        first, *others = self.layers
        said_NE = self.embedding(attributes_NA.to(latent_MZ.dtype))
        normal_MZ = normalised(latent_MZ)
        # The first layer of both is the sum of its parts: the latents' need not be computed again for each row.
        of_latents_MW = first(torch.cat([normal_MZ, normal_MZ.new_zeros(len(normal_MZ), _EMBEDDING)], 1))
        weight_WE = first.weight[:, normal_MZ.shape[1] :] * first.scale  # type: ignore[operator, index]
        x = F.leaky_relu(of_latents_MW + F.linear(said_NE, weight_WE)[:, None], SLOPE)
        for layer in others:
            x = F.leaky_relu(layer(x), SLOPE)
        return x.mean(1)


class ModulatedLayer(nn.Module):
    """Convolution of feature maps that come scaled by their style, demodulation, bias, leaky ReLU, and the next scale.

    Modulation multiplies a sample's input channels by its style s, demodulation divides its output channels by the
    second moment that this gives them (Karras et al. 2020, equations 1 and 3). Because s is positive and the
    activation homogeneous, the scale of the next layer's input is taken with this layer's: one scale and one shift for
    each sample and channel.
    """

    def __init__(self, in_channels: int, out_channels: int, resample: str = "") -> None:
        super().__init__()
        self.convolution = ScaledConv(in_channels, out_channels, resample=resample, gain=1.0, bias=False)  # type: ignore[arg-type]
        self.shift = nn.Parameter(torch.empty(out_channels))
        self.initializer = None

    def forward(self, x_NCHW: Tensor, style_NC: Tensor, next_style_NC: Tensor) -> Tensor:
        """Return x [N, O, H', W'] times the next style, from x times ``style_NC`` (both float32, positive)."""
        kernel = self.convolution.kernel()
        scale_NO = (style_NC.square() @ self.convolution.energy(kernel).T + 1e-8).rsqrt()
        gain_NO = next_style_NC * math.sqrt(2)
        y_NCHW = self.convolution(x_NCHW, kernel)
        shift_NO = self.shift.float() * gain_NO
        return ScaleShiftLeak.apply(y_NCHW, (scale_NO * gain_NO).to(y_NCHW.dtype), shift_NO.to(y_NCHW.dtype))


def _to_rgb(channels: int, patch: int) -> ScaledConv:
    """Return what makes an image's part of feature maps, ``patch`` pixels a side of each feature.

    Doubled, not made of patches (Aitken et al. 2017): features that are alike give pixels that are alike, no chequers.
    """
    if patch == 1:
        return ScaledConv(channels, 3, 1, gain=_PICTURE_GAIN)
    return ScaledConv(channels, 3, resample="up", gain=_PICTURE_GAIN)


def _upsampled(image_NCHW: Tensor, side: int) -> Tensor:
    """Return images of ``side`` px."""
    if image_NCHW.shape[-1] == side:
        return image_NCHW
    return F.interpolate(image_NCHW, (side, side), mode="bilinear", align_corners=False)


class StyleGenerator(nn.Module):
    """A learned constant, doubled by modulated convolutions; each size adds its part to the image.

    ``width``: channels at the full resolution, doubled at each halving up to ``max_channels``. ``patch``: pixels a
    side for each of the last features; 2 saves the costliest maps. ``second_conv_max_side``: sides up to this have a
    second convolution. ``fine_layer``: whether one more convolution of the last maps adds a part of its own to the
    image, which is 0 at first. ``mapping_lr_multiplier``: the mapping network's learning rate as a share of the
    others' (Karras et al. 2019, appendix C); its stored weights are larger by as much.

    In StyleGAN2's words: ``styles`` are the affine layers A, ``pictures`` the toRGB layers of the skip architecture; a
    style [N, W] is a point of W, styles [N, L, W] one of W+.
    """

    def __init__(
        self,
        resolution: int = 64,
        latent_size: int = 128,
        width: int = 32,
        max_channels: int = 256,
        patch: int = 2,
        second_conv_max_side: int = 32,
        style_size: int = 256,
        mapping_layers: int = 2,
        mapping_lr_multiplier: float = 0.01,
        fine_layer: bool = False,
    ) -> None:
        super().__init__()
        _check_widths(width, max_channels, patch)
        _check_mapping(style_size, mapping_layers, mapping_lr_multiplier)
        if second_conv_max_side < 0:
            raise UserError(f"style takes a second_conv_max_side of 0 or more: not {second_conv_max_side}")
        self.latent_size, self.resolution, self.style_size = latent_size, resolution, style_size
        self.mapping = Mapping(latent_size, style_size, mapping_layers, mapping_lr_multiplier)
        sides = sizes(resolution, patch)
        channels = [channels_of(resolution, side, width, max_channels) for side in sides]
        self.constant = nn.Parameter(torch.empty(channels[0], sides[0], sides[0]))
        self.initializer = 1.0
        layers, pictures, self.ends = [], [], []
        before = channels[0]
        for side, count in zip(sides, channels, strict=True):
            if side > sides[0]:
                layers.append(ModulatedLayer(before, count, "up"))
            if side <= second_conv_max_side or side == sides[0]:
                layers.append(ModulatedLayer(count, count))
            before = count
            self.ends.append(len(layers) - 1)
            pictures.append(_to_rgb(count, patch if side == sides[-1] else 1))
        if fine_layer:
            layers.append(ModulatedLayer(before, before))
            self.ends.append(len(layers) - 1)
            pictures.append(_to_rgb(before, patch))
            pictures[-1].initializer = 0.0
        self.layers, self.pictures = nn.ModuleList(layers), nn.ModuleList(pictures)
        # Of each layer's input, and of the last picture.
        counts = [channels[0], *(layer.shift.numel() for layer in layers)]
        self.style_count = sum(counts)
        self.styles = nn.ModuleList(ScaledDense(style_size, count) for count in counts)

    def forward(self, latent_NZ: Tensor, attributes_NA: Tensor | None = None) -> Tensor:
        """Return images, float [N, 3, R, R], of latents [N, Z] and attributes [N, 40] (None: all unknown).

        In training the values are not bounded; in inference they are in [-1, 1].
        """
        if latent_NZ.ndim != 2 or latent_NZ.shape[1] != self.latent_size:
            raise UserError(f"latents {list(latent_NZ.shape)}: this generator takes [N, {self.latent_size}]")
        return self.synthesize(self.mapping(latent_NZ, attributes_NA))

    @property
    def style_layers(self) -> int:
        """L: how many layers take a style, from the coarsest to the last picture."""
        return len(self.styles)

    def synthesize(self, style: Tensor) -> Tensor:
        """Return images as ``forward`` does, of styles [N, W], or [N, L, W] with one for each layer."""
        styles = style.unbind(1) if style.ndim == 3 else [style] * self.style_layers
        scales = [
            F.softplus(affine(style_NW).float() + _ONE) for affine, style_NW in zip(self.styles, styles, strict=True)
        ]
        x = self.constant * scales[0].to(self.constant.dtype)[:, :, None, None]
        x = x.contiguous(memory_format=torch.channels_last)
        image: Tensor | None = None
        pictures = iter(self.pictures)
        for number, layer in enumerate(self.layers):
            x = layer(x, scales[number], scales[number + 1])
            if number in self.ends:
                picture = next(pictures)(x)
                if image is not None:
                    picture = picture + _upsampled(image, picture.shape[-1])
                image = picture
        assert image is not None
        return image if self.training else image.clamp(-1, 1)


class ResidualBlock(nn.Module):
    """Two convolutions, the second of which halves the side, beside a 1x1 convolution of the mean of 2x2 pixels."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = ScaledConv(in_channels, in_channels)
        self.second = ScaledConv(in_channels, out_channels, resample="down", gain=1.0)
        self.shortcut = ScaledConv(in_channels, out_channels, 1, gain=math.sqrt(0.5), bias=False)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        y = F.leaky_relu(self.second(F.leaky_relu(self.first(x_NCHW), SLOPE)), SLOPE)
        return y.add(self.shortcut.of_means(x_NCHW))


class _FineFeatures(nn.Module):
    """Features of half the side of images, by a residual block at the full side; 0 at first."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.stem = ScaledConv(3, channels, 1)
        self.block = ResidualBlock(channels, out_channels)
        self.block.second.initializer = self.block.shortcut.initializer = 0.0

    def forward(self, image_NCHW: Tensor) -> Tensor:
        return self.block(F.leaky_relu(self.stem(image_NCHW), SLOPE))


class StyleDiscriminator(nn.Module):
    """Residual blocks, minibatch deviation, and a logit that a projection on the attributes adds to.

    The projection is the inner product of the features with the attributes' embedding (Miyato and Koyama 2018,
    equation 3); attributes that are 0 add nothing. Options as ``StyleGenerator``'s. ``patch`` 2 begins with a 4x4
    convolution of stride 2, beside which ``fine_block`` puts a residual block at the full resolution, whose part is 0
    at first. ``feature_heads``: whether heads on attributes-net's feature maps stand beside it; they have no part in
    the logit. ``stem`` is what StyleGAN2 calls fromRGB.
    """

    group = 4
    """Samples whose deviation is taken together: a process's batch must be a multiple of it."""

    def __init__(
        self,
        resolution: int = 64,
        width: int = 32,
        max_channels: int = 256,
        patch: int = 2,
        feature_heads: bool = False,
        fine_block: bool = False,
    ) -> None:
        super().__init__()
        _check_widths(width, max_channels, patch)
        if fine_block and patch == 1:
            raise UserError("fine_block stands beside a stem of patch 2: patch 1 has a block at the full resolution")
        self.resolution = resolution
        sides = sizes(resolution, patch)[::-1]
        channels = [channels_of(resolution, side, width, max_channels) for side in sides]
        self.stem = ScaledConv(3, channels[0], 4 if patch > 1 else 1, stride=patch)
        self.fine = _FineFeatures(min(max_channels, width), channels[0]) if fine_block else None
        self.blocks = nn.Sequential(*(ResidualBlock(before, after) for before, after in pairwise(channels)))
        self.deviation = MinibatchDeviation(self.group)
        self.last = ScaledConv(channels[-1] + 1, channels[-1])
        self.features = ScaledDense(channels[-1] * sides[-1] ** 2, channels[-1], gain=math.sqrt(2))
        self.logit = ScaledDense(channels[-1], 1)
        self.embedding = ScaledDense(ATTRIBUTE_COUNT, channels[-1], bias=False)
        self.heads = FeatureHeads() if feature_heads else None

    def forward(
        self, image_NCHW: Tensor, dropout_key: DropoutKey | None = None, attributes_NA: Tensor | None = None
    ) -> Tensor:
        """Return logits [N] of images, float [N, 3, R, R] in [-1, 1], and attributes [N, 40] (None: all unknown).

        There is no dropout: ``dropout_key`` is not used.
        """
        x = F.leaky_relu(self.stem(image_NCHW), SLOPE)
        if self.fine is not None:
            x = x + self.fine(image_NCHW)
        x = self.blocks(x)
        x = F.leaky_relu(self.last(self.deviation(x)), SLOPE)
        features = F.leaky_relu(self.features(x.permute(0, 2, 3, 1).flatten(1)), SLOPE)
        if attributes_NA is None:
            attributes_NA = features.new_zeros(len(features), ATTRIBUTE_COUNT)
        embedded = self.embedding(attributes_NA.to(features.dtype))
        return self.logit(features)[:, 0] + (features * embedded).sum(1) / math.sqrt(features.shape[1])
