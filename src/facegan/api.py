"""What a program uses: ``facegan.load``, ``facegan.build``, and the model that ``load`` returns."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from facegan import recipes
from facegan.data.packed import PackedDataset
from facegan.errors import UserError
from facegan.networks import Pair, build_pair
from facegan.pixels import to_float, to_uint8
from facegan.provenance import Provenance
from facegan.runs.folder import SHIPPED, find_snapshot
from facegan.runs.snapshot import LABEL_PRIOR, SnapshotInfo, load_discriminator, load_generator, read_tensors
from facegan.sampling.label_prior import MOST_BYTES, LabelPrior
from facegan.sampling.sampler import INTERNAL_BATCH, LABELS, Sampler, check_range, checked_attributes

if TYPE_CHECKING:  # evaluation is loaded when it is asked for: who only makes faces waits a third of a second less
    from facegan.evaluation.faces import Faces, Progress
    from facegan.evaluation.receipt import Receipt

HUB_PREFIX = "hf:"

__all__ = ["LABELS", "Model", "build", "evaluate", "faces_of", "load"]


class Model(Sampler):
    """A trained generator, with the discriminator that it was trained against."""

    def __init__(self, info: SnapshotInfo, *, device: str = "cpu") -> None:
        """Read a snapshot's generator, the averaged one if there is one, onto a device."""
        self.config = info.run_config()
        self.nimg = info.nimg
        """Real images that were shown to the discriminator when the snapshot was taken."""
        self.state = info.state
        """What else its snapshot records: its quick score, or measurements of a shipped model."""
        self.info, self._device = info, torch.device(device)
        self._discriminator: nn.Module | None = None
        recipe = self.config.recipe
        self.name = next((name for name, path in SHIPPED.items() if path == info.path), recipe.name)
        """Of a model that comes with the package its own, of others their recipe's."""
        stem = info.generator_stem
        self.folder, self.stem = info.path, stem
        """The snapshot that it was read from, and the stem of the file with its weights."""
        self.sha256 = info.sha256.get(f"{stem}.safetensors", "")
        """Of the file with the generator's weights."""
        generator = load_generator(info, recipe, stem)
        prior = None
        if recipe.attributes and f"{LABEL_PRIOR}.safetensors" in info.sha256:
            tensors = read_tensors(info, LABEL_PRIOR, most=MOST_BYTES)
            prior = LabelPrior.from_tensors(tensors, str(info.path / f"{LABEL_PRIOR}.safetensors"))
        super().__init__(generator.to(self._device).eval().requires_grad_(False), recipe, prior)

    @property
    def has_discriminator(self) -> bool:
        """Whether the snapshot holds one; exported folders do not."""
        return "discriminator.safetensors" in self.info.sha256

    @property
    def discriminator(self) -> nn.Module:
        """The discriminator of the same snapshot, read when first used."""
        if self._discriminator is None:
            if not self.has_discriminator:
                raise UserError(f"{self.folder} has no discriminator, which would have to give the scores")
            network = load_discriminator(self.info, self.recipe)
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
        """Return an iterator of (faces uint8 [n, R, R, 3], scores float [n] or None), ``count`` faces in all.

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

    def score(self, images: np.ndarray, attributes: np.ndarray | None = None) -> np.ndarray:
        """Return float32 [N] in (0, 1), sigmoid(logit): how real D thinks that images uint8 [N, R, R, 3] are.

        ``attributes``: float [N, 40] in [-1, 1], what a discriminator that takes them is told of the images.

        Raises:
            UserError: the model has no discriminator, there is no image, an array has another shape or type, or
            attributes are not finite.
        """
        side = self.resolution
        if not isinstance(images, np.ndarray):
            raise UserError(f"images: give an array, uint8 [N, {side}, {side}, 3]")
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (side, side, 3) or not len(images):
            raise UserError(
                f"images {images.dtype} {list(images.shape)}: this model scores uint8 [N, {side}, {side}, 3]"
            )
        given_NA = None if attributes is None else checked_attributes(attributes, len(images), "images")
        labels_NA = given_NA if self.recipe.attributes else None
        parts = []
        for start in range(0, len(images), INTERNAL_BATCH):
            at = slice(start, start + INTERNAL_BATCH)
            image_NCHW = to_float(torch.from_numpy(images[at].copy()).to(self._device))
            parts.append(self._scores(image_NCHW, None if labels_NA is None else labels_NA[at]))
        return np.concatenate(parts)

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
    """Return the model of a run (its newest snapshot), a snapshot, an exported folder, or the shipped one, "celeba64".

    "hf:USER/NAME" is a model of the Hugging Face hub, "hf:USER/NAME@REVISION" one version of it; it needs the extra
    ``hub``. Only JSON and safetensors are downloaded, once.

    Raises:
        UserError: nothing is there, or it is neither.
    """
    if not isinstance(source, (str, Path)):
        raise UserError(f'load({source!r}): give the path of a run or a snapshot, or "celeba64"')
    if str(source).startswith(HUB_PREFIX):
        from facegan.runs.hub import download

        source = download(str(source).removeprefix(HUB_PREFIX))
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


def faces_of(
    source: Path,
    data: Sequence[PackedDataset],
    count: int,
    seed: int,
    *,
    device: torch.device | str = "cpu",
    first: int = 0,
    truncation: float = 1.0,
    labels: str = "prior",
    progress: Progress | None = None,
) -> Faces:
    """Return faces to be scored against ``data``: those that a model generates, or at most ``count`` of what is there.

    ``first`` is the number of a model's first face of the seed; of files and arrays the first ones are always taken.
    ``labels``: as for ``Model.batches``. ``progress``: (faces read, all of them), where files have to be read.

    Raises:
        UserError: there is neither a model nor a face.
    """
    from facegan.evaluation.faces import Faces, faces_at, is_model

    if not is_model(source):
        return faces_at(source, count, data, progress)
    model = load(source, device=str(device))
    batches = model.batches(count, seed=seed, first=first, truncation=truncation, labels=labels)
    return Faces((faces for faces, _ in batches), _described(model, str(source), seed, truncation, labels), count)


def _described(model: Model, path: str, seed: int, truncation: float, labels: str) -> dict[str, Any]:
    return {
        "kind": "model", "path": path, "recipe": model.recipe.name, "resolution": model.resolution,
        "nimg": model.nimg, "sha256": model.sha256, "seed": seed, "truncation": truncation,
        "data": model.config.data, "attributes": model.recipe.attributes,
        "labels": labels if model.label_prior is not None else "none",
    }  # fmt: skip


def pairs_provenance(described: Mapping[str, Any]) -> Provenance:
    """Return what a picture of faces that ``faces_of`` describes, beside others, says of itself."""
    names = {"model": "recipe", "nimg": "nimg", "sha256": "sha256", "seed": "seed", "truncation": "truncation"}
    known = {name: described[key] for name, key in names.items() if described["kind"] == "model"}
    return Provenance(**known, sheet=True, in_part=True)


def evaluate(
    faces: str | Path | np.ndarray | Iterable[np.ndarray],
    data: str | Path | Sequence[str | Path],
    *,
    count: int | None = None,
    seed: int = 0,
    spaces: Sequence[str] | None = None,
    people: str = "all",
    labels: str = "prior",
    device: str = "cpu",
) -> Receipt:
    """Return the scores of faces, whoever made them, against the real ones of packed datasets.

    ``faces``: a model, or pictures of any tool (a folder, a zip, tars, Parquet files, .npy), by its path; an array
    uint8 [N, R, R, 3] or [N, 3, R, R]; or an iterator of such arrays. Other sizes than that of the data are resized by
    Lanczos. ``count``: at most so many; 10,000 of a model by default, and of anything else all. ``receipt.scores`` has
    a value with a 95% interval for each score in each of the ``spaces``, by default judge-net and random-net;
    ``receipt.save`` writes what ``facegan compare`` reads.

    Raises:
        UserError: there are too few faces, or something cannot be read.
    """
    from facegan.evaluation.evaluate import evaluate as measure
    from facegan.evaluation.evaluate import open_view
    from facegan.evaluation.faces import faces_of_array, faces_of_batches, is_model, real_faces
    from facegan.perception.spaces import DEFAULT, open_space

    paths = [data] if isinstance(data, (str, Path)) else list(data)
    if isinstance(faces, (str, Path)):
        opened_data = real_faces(Path(faces), [Path(path) for path in paths], held_out=people == "held-out")
    else:
        opened_data = [PackedDataset.open(path) for path in paths]
    view = open_view(opened_data, people)
    opened = [open_space(name, device=torch.device(device)) for name in spaces or DEFAULT]
    with tempfile.TemporaryDirectory(prefix="facegan-faces-", ignore_cleanup_errors=True) as folder:
        most = sys.maxsize if count is None else count
        if isinstance(faces, (str, Path)):
            default = 10_000 if is_model(Path(faces)) else sys.maxsize
            most = default if count is None else count
            found = faces_of(Path(faces), view.datasets, most, seed, device=device, labels=labels)
        elif isinstance(faces, np.ndarray):
            found = faces_of_array(faces, most, view.datasets[0], "the array")
        else:
            found = faces_of_batches(faces, count, view.datasets[0], Path(folder))
        return measure(found.batches, found.described, view, opened, count=found.total, people=people)
