"""What a program uses: ``facegan.load``, ``facegan.build``, and the model that ``load`` returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from facegan import recipes
from facegan.errors import UserError
from facegan.networks import Pair, build_pair
from facegan.pixels import to_uint8
from facegan.provenance import Provenance
from facegan.runs.folder import SHIPPED, find_snapshot
from facegan.runs.snapshot import LABEL_PRIOR, SnapshotInfo, load_discriminator, load_generator, read_tensors
from facegan.sampling.label_prior import MOST_BYTES, LabelPrior
from facegan.sampling.sampler import LABELS, Sampler, check_range

__all__ = ["LABELS", "Model", "build", "load"]


class Model(Sampler):
    """A trained generator, with the discriminator that it was trained against."""

    def __init__(self, info: SnapshotInfo, *, device: str = "cpu") -> None:
        """Read a snapshot's generator, the averaged one if there is one, onto a device."""
        self.config = info.run_config()
        self.nimg = info.nimg
        """Real images that were shown to the discriminator when the snapshot was taken."""
        self.state = info.state
        """What else its snapshot says: its quick score, or what was measured of a shipped model."""
        self._info, self._device = info, torch.device(device)
        self._discriminator: nn.Module | None = None
        recipe = self.config.recipe
        self.name = next((name for name, path in SHIPPED.items() if path == info.path), recipe.name)
        """Of a model that comes with the package its own, of others their recipe's."""
        stem = "ema" if recipe.ema_halflife else "generator"
        self.sha256 = info.sha256[f"{stem}.safetensors"]
        """Of the file with the generator's weights."""
        generator = load_generator(info, recipe, stem)
        prior = None
        if recipe.attributes and f"{LABEL_PRIOR}.safetensors" in info.sha256:
            tensors = read_tensors(info, LABEL_PRIOR, most=MOST_BYTES)
            prior = LabelPrior.from_tensors(tensors, str(info.path / f"{LABEL_PRIOR}.safetensors"))
        super().__init__(generator.to(self._device).eval().requires_grad_(False), recipe, prior)

    @property
    def discriminator(self) -> nn.Module:
        """The discriminator of the same snapshot, read when it is first asked for."""
        if self._discriminator is None:
            network = load_discriminator(self._info, self.recipe)
            self._discriminator = network.to(self._device).eval().requires_grad_(False)
        return self._discriminator

    def batches(
        self,
        count: int,
        *,
        seed: int = 0,
        first: int = 0,
        attributes: Mapping[str, float] | None = None,
        truncation: float = 1.0,
        labels: str = "prior",
        scores: bool = False,
    ) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Return what yields (faces uint8 [n, R, R, 3], scores float [n] or None) until ``count`` faces are made.

        A million faces need no more memory than a few. The score is sigmoid(logit): how real D thinks a face with these
        attributes is. The other arguments are those of ``sample``.

        Raises:
            UserError: as ``sample``, at once.
        """
        batches = self._numbered(count, seed, first, attributes, truncation, labels)
        return (
            (to_uint8(image_NCHW), self._scores(image_NCHW, labels_NA) if scores else None)
            for image_NCHW, labels_NA in batches
        )

    def provenance(
        self,
        count: int = 1,
        *,
        seed: int = 0,
        first: int = 0,
        attributes: Mapping[str, float] | None = None,
        truncation: float = 1.0,
        labels: str = "prior",
        sheet: bool = False,
    ) -> Provenance:
        """Return what a file of the faces that ``sample`` makes of these arguments has to say of itself.

        ``sheet``: whether it is a picture of many faces.
        """
        drawn = labels if self.label_prior is not None else "none"
        return Provenance(
            model=self.name,
            nimg=self.nimg,
            sha256=self.sha256,
            seed=seed,
            first=first,
            count=count,
            truncation=truncation,
            attributes=attributes or {},
            labels=drawn if self.recipe.attributes else "",
            sheet=sheet,
        )

    @torch.inference_mode()
    def _scores(self, image_NCHW: torch.Tensor, labels_NA: np.ndarray | None) -> np.ndarray:
        condition = {}
        if labels_NA is not None:
            condition["attributes_NA"] = torch.from_numpy(labels_NA).to(self._device)
        return self.discriminator(image_NCHW, **condition).sigmoid().cpu().numpy()


def load(source: str | Path, *, device: str = "cpu") -> Model:
    """Return the model of a run (its newest snapshot), of a snapshot folder, or the shipped one, "celeba64".

    Raises:
        UserError: nothing is there, or it is neither.
    """
    if not isinstance(source, (str, Path)):
        raise UserError(f'load({source!r}): give the path of a run or a snapshot, or "celeba64"')
    return Model(find_snapshot(Path(source)), device=device)


def build(name: str, *, resolution: int = 64, seed: int = 0) -> Pair:
    """Return the untrained networks of a recipe: ``.generator`` and ``.discriminator``, torch modules.

    They come as for training: the style discriminators then look at groups of four images, and style generators do not
    clip their images; after ``.eval()`` a batch may have any size, and images are in [-1, 1].

    Raises:
        UserError: an unknown recipe, or a resolution that it cannot make.
    """
    check_range("resolution", resolution, 1, 2**16)
    recipe = recipes.recipe(name, resolution)
    return build_pair(recipe, seed=seed)
