"""What a program uses: ``facegan.load``, ``facegan.build``, and the model that ``load`` returns."""

from __future__ import annotations

import numbers
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from facegan import recipes
from facegan.attributes import asked_vector
from facegan.config import RunConfig, from_dict
from facegan.errors import UserError
from facegan.networks import Pair, build_discriminator, build_generator
from facegan.pixels import to_uint8
from facegan.run import find_snapshot
from facegan.sampling.conditioning import Labels, truncated
from facegan.sampling.label_prior import MOST_BYTES, LabelPrior
from facegan.sampling.prepared import prepare
from facegan.sampling.sample import sample_batches
from facegan.snapshot import INFO_FILE, LABEL_PRIOR, SnapshotInfo, load_network, read_tensors

LABELS = ("prior", "none")
"""Where a face's attributes come from, if they are not asked for: drawn as in training, or not said."""


class Model:
    """A trained generator, with the discriminator it played against."""

    def __init__(self, info: SnapshotInfo, *, device: str = "cpu") -> None:
        """Read a snapshot's generator, the averaged one if there is one, onto a device."""
        self.config = from_dict(RunConfig, info.config, str(info.path / INFO_FILE))
        self.recipe = self.config.recipe
        self.resolution = self.recipe.resolution
        self.nimg = info.nimg
        """Real images that were shown to the discriminator when the snapshot was taken."""
        self.state = info.state
        """What else its snapshot says: its quick score, or what was measured of a shipped model."""
        self._info, self._device = info, torch.device(device)
        self._discriminator: nn.Module | None = None
        self._prepared: nn.Module | None = None
        stem = "ema" if self.recipe.ema_halflife else "generator"
        recipe = self.recipe
        generator = load_network(
            info, stem, lambda: build_generator(recipe.network, recipe.generator_options, seed=None)
        )
        self.generator = generator.to(self._device).eval().requires_grad_(False)
        self.sha256 = info.sha256[f"{stem}.safetensors"]
        """Of the file with the generator's weights."""
        self.label_prior: LabelPrior | None = None
        """How the attributes of its training's faces go together; None of a model without attributes, or of 0.1.0."""
        if recipe.attributes and f"{LABEL_PRIOR}.safetensors" in info.sha256:
            self.label_prior = LabelPrior.from_tensors(
                read_tensors(info, LABEL_PRIOR, most=MOST_BYTES),
                str(info.path / f"{LABEL_PRIOR}.safetensors"),
            )

    @property
    def discriminator(self) -> nn.Module:
        """The discriminator of the same snapshot, read when it is first asked for."""
        if self._discriminator is None:
            recipe = self.recipe
            network = load_network(
                self._info,
                "discriminator",
                lambda: build_discriminator(recipe.network, recipe.discriminator_options, seed=None),
            )
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
        """Yield (faces uint8 [n, R, R, 3], scores float [n] or None) until ``count`` faces are made.

        A million faces need no more memory than a few. The score is sigmoid(logit): how real D thinks a face with these
        attributes is.

        ``attributes``: {name: value from -1, absent, to 1, present}; 0: nothing is said of it. ``labels``: "prior"
        draws the other attributes, given those; where nothing is asked, some are withheld, as in training. "none" says
        nothing of them, and neither does a model without a label prior.

        Raises:
            UserError: ``count``, ``seed``, ``first``, ``truncation`` or ``labels`` out of range, an unknown attribute,
                or attributes asked of a model that was trained without them.
        """
        _check_range("count", count, 1, 10**9)
        _check_range("seed", seed, 0, 2**63 - 1)
        _check_range("first", first, 0, 2**62)
        if not isinstance(truncation, numbers.Real) or not 0 <= truncation <= 1:
            raise UserError(f"truncation={truncation}: choose from 0 (all faces alike) to 1 (as trained)")
        if labels not in LABELS:
            raise UserError(f"labels={labels!r}: choose {' or '.join(LABELS)}")
        asked_A = asked_vector(attributes) if attributes else None
        if attributes and not self.recipe.attributes:
            raise UserError(
                f"the recipe {self.recipe.name} makes faces without regard to attributes, so "
                f"{', '.join(attributes)} cannot be asked for; leave the attributes out"
            )
        if self._prepared is None:
            self._prepared = prepare(self.generator)
        said = Labels(self.label_prior if labels == "prior" else None, asked_A, self.recipe.label_dropout)
        for labels_NA, image_NCHW in sample_batches(
            truncated(self._prepared, said, truncation, self.recipe.latent),
            self.recipe.latent_size,
            count=count,
            seed=seed,
            distribution=self.recipe.latent,
            first=first,
            labels=said,
        ):
            yield to_uint8(image_NCHW), self._scores(image_NCHW, labels_NA) if scores else None

    def sample(
        self,
        count: int,
        *,
        seed: int = 0,
        first: int = 0,
        attributes: Mapping[str, float] | None = None,
        truncation: float = 1.0,
        labels: str = "prior",
    ) -> np.ndarray:
        """Return uint8 [count, R, R, 3]: faces ``first`` onwards of a seed.

        Face i of a seed is the same face in any count: within a grey level or two, and byte for byte in the same call
        on the same machine. Arguments are those of ``batches``.

        Raises:
            UserError: as ``batches``.
        """
        batches = self.batches(
            count, seed=seed, first=first, attributes=attributes, truncation=truncation, labels=labels
        )
        return np.concatenate([faces for faces, _ in batches])

    @torch.inference_mode()
    def _scores(self, image_NCHW: torch.Tensor, labels_NA: np.ndarray | None) -> np.ndarray:
        condition = {}
        if labels_NA is not None:
            condition["attributes_NA"] = torch.from_numpy(labels_NA).to(self._device)
        return self.discriminator(image_NCHW, **condition).sigmoid().cpu().numpy()


def _check_range(name: str, value: int, least: int, most: int) -> None:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or not least <= value <= most:
        raise UserError(f"{name}={value}: choose a whole number from {least} to {most}")


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
    _check_range("resolution", resolution, 1, 2**16)
    recipe = recipes.recipe(name, resolution)
    return Pair(
        build_generator(recipe.network, recipe.generator_options, seed=seed),
        build_discriminator(recipe.network, recipe.discriminator_options, seed=seed),
    )
