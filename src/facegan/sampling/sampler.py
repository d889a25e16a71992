"""Latents and attributes in, faces out: everything here that makes faces makes them this way.

Legend: N samples, M latents of a mean, Z latent, A the 40 attributes, W style, R resolution.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from facegan.attributes import ATTRIBUTE_COUNT, asked_vector
from facegan.config import RecipeConfig
from facegan.errors import UserError
from facegan.machine import device_of
from facegan.pixels import to_uint8
from facegan.sampling.conditioning import LabelSampler
from facegan.sampling.inference import for_inference
from facegan.sampling.label_prior import LabelPrior
from facegan.sampling.latents import draw_latents

INTERNAL_BATCH = 64
"""Faces made at a time, whatever was asked for, so that a face does not depend on its company."""
LABELS = ("prior", "none")
"""Where attributes that are not asked for come from: drawn as in training, or not said."""
_MEAN_PAIRS = 32
"""Latents of a mean style, each with its negative, which cancels what is odd in them: its error is about a 25th of what
styles differ by, the same for all faces."""

Attributes = Mapping[str, float] | np.ndarray | None


@torch.inference_mode()
def generate(generator: nn.Module, latent_NZ: np.ndarray, attributes_NA: np.ndarray | None = None) -> Tensor:
    """Return images, float [N, 3, R, R] in [-1, 1], of latents [N, Z] and, where the generator takes them, attributes
    [N, 40] (None: all unknown). The generator must be in inference mode."""
    device = device_of(generator)
    parts = []
    for place in _batches(len(latent_NZ)):
        inputs = [latent_NZ[place]] if attributes_NA is None else [latent_NZ[place], attributes_NA[place]]
        parts.append(generator(*(torch.from_numpy(array).to(device) for array in inputs)))
    return torch.cat(parts)


def mean_latents(recipe: RecipeConfig) -> np.ndarray:
    """Return float32 [M, Z]: the latents whose styles' mean is what truncation moves towards."""
    latent_NZ = draw_latents(0, "mean-style", np.arange(_MEAN_PAIRS), recipe.latent_size, recipe.latent)
    return np.concatenate([latent_NZ, -latent_NZ])


class Sampler:
    """A generator that makes faces of a recipe: of numbered samples, of latents, or of styles."""

    def __init__(self, generator: nn.Module, recipe: RecipeConfig, label_prior: LabelPrior | None = None) -> None:
        self.generator, self.recipe = generator, recipe
        self.resolution = recipe.resolution
        self.label_prior = label_prior
        """How the attributes of its training's faces go together; None of a model without attributes, or of 0.1.0."""
        self._network: nn.Module | None = None
        self._mean_latents: Tensor | None = None

    def latents(self, seed: int = 0, index: Sequence[int] | np.ndarray = (0,)) -> np.ndarray:
        """Return float32 [N, Z]: latents of numbered samples; row i is a function of (seed, index[i]) alone.

        Raises:
            UserError: ``seed`` or a number is out of range.
        """
        index_N = _checked_index(seed, index)
        return draw_latents(seed, "latents", index_N, self.recipe.latent_size, self.recipe.latent)

    def labels(
        self,
        seed: int = 0,
        index: Sequence[int] | np.ndarray = (0,),
        attributes: Mapping[str, float] | None = None,
        *,
        labels: str = "prior",
    ) -> np.ndarray | None:
        """Return float32 [N, 40]: what ``sample`` says to the generator of these samples, or None if nothing.

        Raises:
            UserError: as ``sample``.
        """
        conditioning, index_N = self._conditioning(attributes, labels), _checked_index(seed, index)
        return conditioning.amplified(conditioning.draw(seed, index_N))

    def styles(self, latents: np.ndarray, attributes: Attributes = None, *, truncation: float = 1.0) -> np.ndarray:
        """Return float32 [N, W]: the styles of latents [N, Z], from which ``generate`` makes the same faces.

        ``attributes``: {name: value from -1, absent, to 1, present}, the same for every face, or float [N, 40] as
        ``labels`` returns them. ``truncation`` moves each style towards the mean of all latents' styles with the same
        attributes: w' = m + t (w - m) (Karras et al. 2019, appendix B; for each label, Dobler et al. 2022).

        Raises:
            UserError: a value out of range, an array of another shape, or a generator without styles.
        """
        self._check_styles()
        batches = self._inputs(latents, attributes, truncation)
        parts = [self._styles(latent_NZ, labels_NA, truncation) for latent_NZ, labels_NA in batches]
        return torch.cat(parts).float().cpu().numpy()

    def numbered_styles(
        self,
        seed: int = 0,
        index: Sequence[int] | np.ndarray = (0,),
        attributes: Mapping[str, float] | None = None,
        *,
        truncation: float = 1.0,
        labels: str = "prior",
    ) -> np.ndarray:
        """Return float32 [N, W]: the styles of numbered samples, from which ``generate`` makes what ``sample`` does.

        Raises:
            UserError: as ``sample``, or a generator without styles.
        """
        self._check_styles()
        check_truncation(truncation)
        conditioning, index_N = self._conditioning(attributes, labels), _checked_index(seed, index)
        parts = []
        for place in _batches(len(index_N)):
            labels_NA = conditioning.amplified(conditioning.draw(seed, index_N[place]))
            parts.append(self._styles(self.latents(seed, index_N[place]), labels_NA, truncation))
        return torch.cat(parts).float().cpu().numpy()

    def mean_styles(self, labels: np.ndarray | None = None) -> np.ndarray:
        """Return float32 [N, W]: the styles that truncation moves towards, of labels [N, 40] as ``labels`` returns them
        (None: nothing is said, [1, W]). Each is the mean over latents.

        Raises:
            UserError: labels of another shape, or a generator without styles.
        """
        self._check_styles()
        if labels is None:
            return self._mean_styles(None).float().cpu().numpy()
        self._check_attributes("they")
        label_NA = _checked_rows("labels", labels, ATTRIBUTE_COUNT)
        parts = [self._mean_styles(label_NA[place]) for place in _batches(len(label_NA))]
        return torch.cat(parts).float().cpu().numpy()

    def generate(
        self,
        latents: np.ndarray | None = None,
        *,
        styles: np.ndarray | None = None,
        attributes: Attributes = None,
        truncation: float = 1.0,
    ) -> np.ndarray:
        """Return uint8 [N, R, R, 3]: the faces of latents [N, Z], or of styles [N, W] or [N, L, W], one for each of the
        ``style_layers``.

        ``attributes`` and ``truncation`` are those of ``styles``, and part of styles already; truncation of a generator
        without styles multiplies its latents.

        Raises:
            UserError: as ``styles``; or neither latents nor styles are given, or both.
        """
        if (latents is None) == (styles is None):
            raise UserError("generate: give latents [N, Z], or styles=[N, W] or [N, L, W]")
        check_truncation(truncation)
        if styles is not None:
            if attributes is not None or truncation != 1:
                raise UserError("generate: attributes and truncation are part of styles; give them to styles()")
            self._check_styles()
            checked = self._checked_styles(styles)
            images = (self._images_of(torch.from_numpy(checked[place])) for place in _batches(len(checked)))
        else:
            assert latents is not None
            batches = self._inputs(latents, attributes, truncation)
            images = (self._images(latent_NZ, labels_NA, truncation) for latent_NZ, labels_NA in batches)
        return np.concatenate([to_uint8(image_NCHW) for image_NCHW in images])

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
        on the same machine.

        ``attributes``: {name: value from -1, absent, to 1, present}; 0: withheld. ``labels``: "prior"
        draws the other attributes, given those; where nothing is asked, some are withheld, as in training. "none"
        leaves them unknown, and so does a model without a label prior.

        Raises:
            UserError: ``count``, ``seed``, ``first``, ``truncation`` or ``labels`` out of range, an unknown attribute,
                or attributes asked of a model that was trained without them.
        """
        batches = self._numbered(count, seed, first, attributes, truncation, labels)
        return np.concatenate([to_uint8(image_NCHW) for image_NCHW, _ in batches])

    def _numbered(
        self, count: int, seed: int, first: int, attributes: Mapping[str, float] | None, truncation: float, labels: str
    ) -> Iterator[tuple[Tensor, np.ndarray | None]]:
        """Check the arguments; return what yields (images float [n, 3, R, R], labels before amplification)."""
        check_range("count", count, 1, 10**9)
        check_range("first", first, 0, 2**62)
        _check_seed(seed)
        check_truncation(truncation)
        conditioning = self._conditioning(attributes, labels)

        def batches() -> Iterator[tuple[Tensor, np.ndarray | None]]:
            for place in _batches(count):
                index_N = np.arange(first + place.start, first + place.stop)
                labels_NA = conditioning.draw(seed, index_N)
                given_NA = conditioning.amplified(labels_NA)
                yield self._images(self.latents(seed, index_N), given_NA, truncation), labels_NA

        return batches()

    @property
    def network(self) -> nn.Module:
        """The generator made ready for inference, when it is first needed."""
        if self._network is None:
            self._network = for_inference(self.generator)
        return self._network

    def _conditioning(self, attributes: Mapping[str, float] | None, labels: str) -> LabelSampler:
        if not isinstance(labels, str) or labels not in LABELS:
            raise UserError(f"labels={labels!r:.60}: choose {' or '.join(LABELS)}")
        asked_A = None if attributes is None else asked_vector(attributes)
        if attributes:
            self._check_attributes(", ".join(attributes))
        prior = self.label_prior if labels == "prior" else None
        return LabelSampler(prior, asked_A if attributes else None, self.recipe.label_dropout)

    def _inputs(
        self, latents: np.ndarray, attributes: Attributes, truncation: float
    ) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """Return latents and labels, as the generator gets them, in internal batches."""
        check_truncation(truncation)
        latent_NZ = _checked_rows("latents", latents, self.recipe.latent_size)
        if isinstance(attributes, np.ndarray):
            self._check_attributes("they")
            labels_NA: np.ndarray | None = checked_attributes(attributes, len(latent_NZ), "latents")
        else:
            conditioning = self._conditioning(attributes, "none")
            labels_NA = conditioning.amplified(conditioning.draw(0, np.arange(len(latent_NZ))))
        places = _batches(len(latent_NZ))
        return [(latent_NZ[at], None if labels_NA is None else labels_NA[at]) for at in places]

    @torch.inference_mode()
    def _images(self, latent_NZ: np.ndarray, labels_NA: np.ndarray | None, truncation: float) -> Tensor:
        """Return images, float [N, 3, R, R] in [-1, 1], of one internal batch; labels as the generator gets them."""
        if not hasattr(self.generator, "mapping"):
            return generate(self.network, latent_NZ if truncation == 1 else latent_NZ * np.float32(truncation))
        return self._images_of(self._styles(latent_NZ, labels_NA, truncation))

    @torch.inference_mode()
    def _images_of(self, style: Tensor) -> Tensor:
        return self.network.synthesize(style.to(device_of(self.network)))  # type: ignore[operator]

    @torch.inference_mode()
    def _styles(self, latent_NZ: np.ndarray, labels_NA: np.ndarray | None, truncation: float) -> Tensor:
        style_NW = self._mapped(latent_NZ, labels_NA)
        return style_NW if truncation == 1 else torch.lerp(self._mean_styles(labels_NA), style_NW, truncation)

    def _mapped(self, latent_NZ: np.ndarray, labels_NA: np.ndarray | None) -> Tensor:
        device = device_of(self.network)
        given_NA = None if labels_NA is None else torch.from_numpy(labels_NA).to(device)
        return self.network.mapping(torch.from_numpy(latent_NZ).to(device), given_NA)  # type: ignore[operator]

    @torch.inference_mode()
    def _mean_styles(self, labels_NA: np.ndarray | None) -> Tensor:
        """Return the mean styles [N, W] of labels as the generator gets them, or [1, W] where none is known."""
        if labels_NA is None:
            labels_NA = np.zeros((1, ATTRIBUTE_COUNT), np.float32)
        row_KA, place_N = np.unique(labels_NA, axis=0, return_inverse=True)
        device = device_of(self.network)
        if self._mean_latents is None:
            self._mean_latents = torch.from_numpy(mean_latents(self.recipe)).to(device)
        given_KA = torch.from_numpy(row_KA).to(device)
        mean_KW: Tensor = self.network.mapping.mean_style(self._mean_latents, given_KA)  # type: ignore[union-attr, operator]
        return mean_KW[torch.from_numpy(place_N.reshape(-1)).to(device)]

    @property
    def style_layers(self) -> int:
        """How many layers take a style, from the coarsest on; 0 of a generator without styles."""
        return int(getattr(self.generator, "style_layers", 0))

    @property
    def style_size(self) -> int:
        """W: numbers in a style; 0 of a generator without styles."""
        return int(getattr(self.generator, "style_size", 0))

    def _checked_styles(self, styles: np.ndarray) -> np.ndarray:
        """Return finite float32 [N, W] or [N, L, W]."""
        width = self.style_size
        style = _floats("styles", styles, width)
        if style.ndim != 3:
            return _checked_rows("styles", style, width)
        if style.shape[1] != self.style_layers:
            raise UserError(f"styles of shape {list(style.shape)}: this model takes [N, {self.style_layers}, W]")
        flat = style.reshape(-1, style.shape[2])
        return _checked_rows("styles", flat, width).reshape(-1, self.style_layers, width)

    def _check_styles(self) -> None:
        if not hasattr(self.generator, "mapping"):
            raise UserError(f"the recipe {self.recipe.name} has no styles; give latents")

    def _check_attributes(self, names: str) -> None:
        if not self.recipe.attributes:
            raise UserError(
                f"the recipe {self.recipe.name} makes faces without regard to attributes, so {names} cannot be asked "
                "for; leave the attributes out"
            )


def _batches(count: int) -> list[slice]:
    """Return the places of the internal batches of ``count`` rows."""
    return [slice(start, min(start + INTERNAL_BATCH, count)) for start in range(0, count, INTERNAL_BATCH)]


def check_range(name: str, value: int, least: int, most: int) -> None:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or not least <= value <= most:
        raise UserError(f"{name}={value}: choose a whole number from {least} to {most}")


def _check_seed(seed: int) -> None:
    check_range("seed", seed, 0, 2**63 - 1)


def check_truncation(truncation: float) -> None:
    if not isinstance(truncation, numbers.Real) or not 0 <= truncation <= 1:
        raise UserError(f"truncation={truncation}: choose from 0 (alike where the attributes are) to 1 (as trained)")


def _checked_index(seed: int, index: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return int64 [N]: the numbers of samples."""
    _check_seed(seed)
    try:
        index_N = np.asarray(index)
    except ValueError:
        index_N = np.empty(0)
    if index_N.ndim != 1 or not np.issubdtype(index_N.dtype, np.integer) or not len(index_N):
        raise UserError("index: give the numbers of samples, such as range(16)")
    if index_N.min() < 0 or index_N.max() > 2**62 + 10**9:
        raise UserError(f"index: samples are numbered from 0 to {2**62}")
    return index_N.astype(np.int64)


def checked_attributes(attributes: np.ndarray, count: int, of: str) -> np.ndarray:
    """Return finite float32 [N, 40], a row for each of ``count`` ``of``.

    Raises:
        UserError: it is something else.
    """
    labels_NA = _checked_rows("attributes", attributes, ATTRIBUTE_COUNT)
    if len(labels_NA) != count:
        raise UserError(f"{len(labels_NA)} rows of attributes for {count} {of}: give one for each")
    return labels_NA


def _floats(name: str, array: np.ndarray, width: int) -> np.ndarray:
    """Return a copy as float32; numbers too large for it become infinite."""
    try:
        with np.errstate(over="ignore"):
            return np.asarray(array).astype(np.float32, order="C", casting="same_kind")
    except (TypeError, ValueError):
        raise UserError(f"{name} are no array of numbers: this model takes [N, {width}]") from None


def _checked_rows(name: str, array: np.ndarray, width: int) -> np.ndarray:
    """Return finite float32 [N, width], N at least 1."""
    rows = _floats(name, array, width)
    if rows.ndim != 2 or rows.shape[1] != width or not len(rows):
        raise UserError(f"{name} of shape {list(rows.shape)}: this model takes [N, {width}]")
    if not np.isfinite(rows).all():
        raise UserError(f"{name}: not all of these numbers are finite")
    return rows
