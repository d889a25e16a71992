"""Settings that no training could work with, found before it begins."""

from __future__ import annotations

import torch

from facegan.config import RecipeConfig
from facegan.errors import UserError
from facegan.networks import build_pair
from facegan.networks.layers import BatchNorm
from facegan.networks.style_layers import MinibatchDeviation


def refuse_impossible(recipe: RecipeConfig, batch: int, *, labelled: bool) -> None:
    """Refuse settings that cannot work together; ``batch``: images of one process's step.

    Raises:
        UserError: which they are, and why.
    """
    with torch.device("meta"):
        modules = list(build_pair(recipe, seed=None).discriminator.modules())
    penalties = [name for name in ("r1", "r2", "gradient_penalty") if getattr(recipe, name)]
    without = "" if recipe.loss == "wasserstein" else "leave it out, or "
    if penalties and any(isinstance(module, BatchNorm) for module in modules):
        raise UserError(
            f"{penalties[0]}={getattr(recipe, penalties[0]):g} needs D's gradient at each image alone, and the "
            f"discriminator of {recipe.name} has batch normalisation, which makes every logit depend on all images of "
            f"the batch: {without}take the recipe style-s or classic-tanh"
        )
    groups = [module.group for module in modules if isinstance(module, MinibatchDeviation)]
    if groups and batch % groups[0]:
        raise UserError(
            f"--batch: {batch} images for each process; the discriminator of {recipe.name} looks at groups of "
            f"{groups[0]}, so choose a multiple of it"
        )
    if recipe.attributes and not any(hasattr(module, "embedding") for module in modules):
        raise UserError(f"attributes=true: the networks of {recipe.name} know no attributes; take style-s")
    if recipe.attributes and not labelled:
        raise UserError(
            "attributes=true needs attributes to learn, and the data has none: prepare it with list_attr_celeba, or "
            "leave them out with --set attributes=false"
        )
