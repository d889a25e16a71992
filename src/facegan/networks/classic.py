"""The two historical Keras pairs, layer by layer.

Discriminators return logits; the sigmoid that Keras' models end in is part of their summary only.
"""

from __future__ import annotations

from torch import Tensor, nn

from facegan.errors import UserError
from facegan.networks.layers import (
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    DropoutKey,
    Flatten,
    PadRightBottom,
    PooledTanh,
    ToImage,
    UpsampleConv,
)

_EPSILON = 1e-3


def _require_multiple(network: str, resolution: int, factor: int, least: int) -> None:
    if resolution % factor or resolution < least:
        raise UserError(
            f"{network} makes images whose side is a multiple of {factor}, from {least} px: not {resolution}"
        )


class ClassicTanhGenerator(nn.Module):
    """Dense and tanh, twice upsampled by nearest neighbour and convolved 5x5; 34,031,363 parameters at 64 px."""

    def __init__(self, resolution: int = 64, latent_size: int = 100) -> None:
        super().__init__()
        _require_multiple("classic-tanh", resolution, 4, 16)
        size, self.latent_size, self.resolution = resolution // 4, latent_size, resolution
        self.blocks = nn.Sequential(
            Dense(latent_size, 1024), nn.Tanh(),
            Dense(1024, size * size * 128), BatchNorm(size * size * 128, momentum=0.99, epsilon=_EPSILON), nn.Tanh(),
            ToImage(size, 128),
            UpsampleConv(128, 64), nn.Tanh(),
            UpsampleConv(64, 3), nn.Tanh(),
        )  # fmt: skip

    def forward(self, latent_NZ: Tensor) -> Tensor:
        """Return images, float [N, 3, R, R] in [-1, 1], of latents [N, latent_size]."""
        return self.blocks(latent_NZ)


class ClassicTanhDiscriminator(nn.Module):
    """Two 5x5 convolutions with tanh and max-pooling, then dense layers; 25,901,953 parameters at 64 px."""

    def __init__(self, resolution: int = 64) -> None:
        super().__init__()
        _require_multiple("classic-tanh", resolution, 4, 16)
        self.resolution = resolution
        features = ((resolution // 2 - 4) // 2) ** 2 * 128
        self.blocks = nn.Sequential(
            Conv(3, 64, 5), PooledTanh(),
            Conv(64, 128, 5, padding="valid"), PooledTanh(),
            Flatten(), Dense(features, 1024), nn.Tanh(), Dense(1024, 1),
        )  # fmt: skip

    def forward(self, image_NCHW: Tensor, dropout_key: DropoutKey | None = None) -> Tensor:
        """Return logits [N] of images, float [N, 3, R, R] in [-1, 1]. ``dropout_key`` is not used."""
        return self.blocks(image_NCHW)[:, 0]


class ClassicDcganGenerator(nn.Module):
    """Four times upsampled by nearest neighbour and convolved 5x5, with ReLU; 5,135,235 parameters at 64 px."""

    def __init__(self, resolution: int = 64, latent_size: int = 100) -> None:
        super().__init__()
        _require_multiple("classic-dcgan", resolution, 16, 16)
        size, self.latent_size, self.resolution = resolution // 16, latent_size, resolution
        blocks: list[nn.Module] = [Dense(latent_size, size * size * 512), nn.ReLU(), ToImage(size, 512)]
        channels = 512
        for width in (256, 128, 64):
            blocks += [UpsampleConv(channels, width), BatchNorm(width, momentum=0.8, epsilon=_EPSILON), nn.ReLU()]
            channels = width
        self.blocks = nn.Sequential(*blocks, UpsampleConv(channels, 3), nn.Tanh())

    def forward(self, latent_NZ: Tensor) -> Tensor:
        """Return images, float [N, 3, R, R] in [-1, 1], of latents [N, latent_size]."""
        return self.blocks(latent_NZ)


class ClassicDcganDiscriminator(nn.Module):
    """Four 5x5 convolutions with LeakyReLU and dropout; 4,351,617 parameters at 64 px."""

    def __init__(self, resolution: int = 64, dropout: float = 0.4) -> None:
        super().__init__()
        _require_multiple("classic-dcgan", resolution, 16, 16)
        if not 0 <= dropout < 0.99:
            raise UserError(f"classic-dcgan takes a dropout from 0 to below 0.99: not {dropout}")
        self.resolution = resolution
        blocks: list[nn.Module] = [Conv(3, 64, 5, stride=2), nn.LeakyReLU(0.2), Dropout(dropout, "dropout-0")]
        channels = 64
        for number, (width, stride) in enumerate(((128, 2), (256, 2), (512, 1)), start=1):
            blocks.append(Conv(channels, width, 5, stride=stride))
            if number == 1:
                blocks.append(PadRightBottom())
            norm = BatchNorm(width, momentum=0.8, epsilon=_EPSILON)
            blocks += [norm, nn.LeakyReLU(0.2), Dropout(dropout, f"dropout-{number}")]
            channels = width
        size = (resolution // 4 + 2) // 2  # the side after the padding to R/4 + 1 and one more stride of 2
        self.blocks = nn.ModuleList([*blocks, Flatten(), Dense(size * size * channels, 1)])

    def forward(self, image_NCHW: Tensor, dropout_key: DropoutKey | None = None) -> Tensor:
        """Return logits [N] of images, float [N, 3, R, R] in [-1, 1]; dropout acts where ``dropout_key`` is given."""
        x = image_NCHW
        for block in self.blocks:
            x = block(x, dropout_key) if isinstance(block, Dropout) else block(x)
        return x[:, 0]
