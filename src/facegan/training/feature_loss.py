"""What heads on attributes-net's feature maps learn, and what G learns from them.

D's heads rank real above made faces by maps of a network that is frozen, with D's own loss. Their gradient is held
small at the maps of both, as R1 and R2 hold D's at images: it costs next to nothing, so it is part of every step.

Legend: N samples, C channels, P side of a map.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facegan.config import RecipeConfig
from facegan.losses import NEEDS_REAL, discriminator_loss, generator_loss
from facegan.networks.feature_heads import FeatureHeads
from facegan.perception.attributes_net import SIDE, AttributesNet
from facegan.perception.labeller import shipped

Maps = Sequence[Tensor]
"""float [N, C, P, P], from the largest map to the smallest."""


@dataclass(frozen=True)
class SeenMaps:
    """What attributes-net sees in a step's images."""

    real: Maps
    fake: Maps
    """With gradients for G, where D's fakes are those of G's step."""


@cache
def _frozen(device: torch.device, dtype: torch.dtype) -> AttributesNet:
    network = copy.deepcopy(shipped().network).eval().requires_grad_(False)
    return network.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]


def feature_maps(image_NCHW: Tensor) -> list[Tensor]:
    """Return attributes-net's maps of images [N, 3, R, R] in [-1, 1], in their type (float32 for float16)."""
    if image_NCHW.dtype == torch.float16:  # its activations may leave float16's range
        image_NCHW = image_NCHW.float()
    if image_NCHW.shape[-1] != SIDE:
        size, dtype = (SIDE, SIDE), image_NCHW.dtype
        image_NCHW = F.interpolate(image_NCHW.float(), size, mode="bilinear", align_corners=False, antialias=True)
        image_NCHW = image_NCHW.to(dtype)
    image_NCHW = image_NCHW.contiguous(memory_format=torch.channels_last)
    return _frozen(image_NCHW.device, image_NCHW.dtype).feature_maps(image_NCHW)


def heads_of(discriminator: nn.Module) -> FeatureHeads | None:
    """Return a discriminator's heads, or None if it has none."""
    heads = getattr(discriminator, "heads", None)
    return heads if isinstance(heads, FeatureHeads) else None


def heads_loss(heads: FeatureHeads, maps: SeenMaps, recipe: RecipeConfig) -> tuple[Tensor, Tensor]:
    """Return the loss of D's heads, penalty included, and how often they rank a real face above a made one."""
    real = [map_NCPP.detach().requires_grad_() for map_NCPP in maps.real]
    fake = [map_NCPP.detach().requires_grad_() for map_NCPP in maps.fake]
    real_logits, fake_logits = heads(real), heads(fake)
    pairs = list(zip(real_logits, fake_logits, strict=True))
    losses = [discriminator_loss(recipe.loss, *pair, real_label=recipe.real_label).mean() for pair in pairs]
    loss = torch.stack(losses).sum()
    if recipe.feature_penalty:
        gradients = torch.autograd.grad(
            torch.cat([*real_logits, *fake_logits]).float().sum(), [*real, *fake], create_graph=True
        )
        squares = torch.stack([gradient.float().square().sum() for gradient in gradients]).sum()
        loss = loss + 0.5 * recipe.feature_penalty * squares / len(real_logits[0])
    ranks = [(real_N.detach()[:, None] > fake_N.detach()).float().mean() for real_N, fake_N in pairs]
    return loss, torch.stack(ranks).mean()


def generator_heads_loss(heads: FeatureHeads, real: Maps, fake: Maps, recipe: RecipeConfig) -> Tensor:
    """Return what G's loss has from D's heads, weighed: of the maps of its images and of as many real ones."""
    with torch.no_grad():
        real_logits = heads(real) if recipe.loss in NEEDS_REAL else [None] * len(real)
    pairs = zip(heads(fake), real_logits, strict=True)
    losses = [generator_loss(recipe.loss, fake_N, real_N).mean() for fake_N, real_N in pairs]
    return recipe.feature_weight * torch.stack(losses).sum()
