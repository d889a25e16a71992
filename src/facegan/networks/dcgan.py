"""DCGAN (Radford, Metz, Chintala 2016): transposed convolutions up, strided convolutions down."""

from __future__ import annotations

from torch import Tensor, nn

from facegan.errors import UserError
from facegan.networks.layers import BatchNorm, Conv, DropoutKey, ToImage, TransposedConv

_STD = 0.02
"""Standard deviation of every initial weight (section 4 of the paper)."""


def _doublings(resolution: int) -> int:
    """Return how often 4 px must double to give the resolution."""
    doublings = (resolution // 4).bit_length() - 1
    if resolution < 16 or 4 << doublings != resolution:
        raise UserError(f"dcgan makes images of 16, 32, 64, 128 ... px: not {resolution}")
    return doublings


def _check_width(width: int) -> None:
    if not 1 <= width <= 1024:
        raise UserError(f"dcgan takes a width from 1 to 1024 channels, such as 64: not {width}")


def _norm(features: int) -> BatchNorm:
    return BatchNorm(features, momentum=0.9, epsilon=1e-5, initializer=_STD)


class DcganGenerator(nn.Module):
    """Latent to 4x4, then doubled by transposed 4x4 convolutions with batch normalisation and ReLU."""

    def __init__(self, resolution: int = 64, latent_size: int = 100, width: int = 64) -> None:
        super().__init__()
        doublings = _doublings(resolution)
        _check_width(width)
        self.latent_size, self.resolution = latent_size, resolution
        channels = width << (doublings - 1)
        blocks: list[nn.Module] = [
            ToImage(1, latent_size),
            TransposedConv(latent_size, channels, stride=1, padding=0, initializer=_STD), _norm(channels), nn.ReLU(),
        ]  # fmt: skip
        for _ in range(doublings - 1):
            up = TransposedConv(channels, channels // 2, stride=2, padding=1, initializer=_STD)
            blocks += [up, _norm(channels // 2), nn.ReLU()]
            channels //= 2
        blocks += [TransposedConv(channels, 3, stride=2, padding=1, initializer=_STD), nn.Tanh()]
        self.blocks = nn.Sequential(*blocks)

    def forward(self, latent_NZ: Tensor) -> Tensor:
        """Return images, float [N, 3, R, R] in [-1, 1], of latents [N, latent_size]."""
        return self.blocks(latent_NZ)


class DcganDiscriminator(nn.Module):
    """Halved by strided 4x4 convolutions with LeakyReLU, batch normalisation on all but the first, to one logit."""

    def __init__(self, resolution: int = 64, width: int = 64) -> None:
        super().__init__()
        doublings = _doublings(resolution)
        _check_width(width)
        self.resolution = resolution
        blocks: list[nn.Module] = [
            Conv(3, width, 4, stride=2, padding=1, bias=False, initializer=_STD), nn.LeakyReLU(0.2),
        ]  # fmt: skip
        channels = width
        for _ in range(doublings - 1):
            down = Conv(channels, channels * 2, 4, stride=2, padding=1, bias=False, initializer=_STD)
            blocks += [down, _norm(channels * 2), nn.LeakyReLU(0.2)]
            channels *= 2
        blocks.append(Conv(channels, 1, 4, padding="valid", bias=False, initializer=_STD))
        self.blocks = nn.Sequential(*blocks)

    def forward(self, image_NCHW: Tensor, dropout_key: DropoutKey | None = None) -> Tensor:
        """Return logits [N] of images, float [N, 3, R, R] in [-1, 1]. ``dropout_key`` is not used."""
        return self.blocks(image_NCHW)[:, 0, 0, 0]
