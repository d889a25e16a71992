"""The packed dataset: a folder of memory-mapped arrays, written beside and renamed into place.

    images.npy       uint8 [N, R, R, 3]      attributes.npy   int8 [N, 40]: -1/+1, 0 unknown
    identities.npy   int32 [N], 0 unknown    partitions.npy   int8 [N]: 0 train, 1 valid, 2 test, -1 unknown
    names.txt        a file name on each line                 dataset.json     what it is, and its content hash

Legend: N images, B of a batch, R pixels a side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from facegan.attributes import ATTRIBUTE_COUNT
from facegan.data.crop import Crop
from facegan.data.folder import start_of_file
from facegan.data.held_out import RULES, Rule, held_out_mask
from facegan.data.overlap import Overlap, overlap_of
from facegan.errors import UserError, brief, check_not_denied
from facegan.files import check_regular, read_json

FORMAT_VERSION = 1
_LARGEST_PREFLIGHT = 256 << 20
"""Bytes: a line for each file of the source, at the worst."""
_MODELS = {"run.json": "a run", "snapshot.json": "a snapshot of a run"}
"""Files by which folders are known that are taken for data."""
_ARRAY_START = b"\x93NUMPY\x01\x00"


class PackedDataset:
    """A packed dataset opened for reading. Pixels are read from disk only where a batch touches them."""

    def __init__(self, path: Path, description: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        self.path = path
        self.resolution: int = description["resolution"]
        self.count: int = description["count"]
        self.content_hash: str = description["content_hash"]
        self.labelled: bool = description["labelled"]
        self._description = description
        self.hold_out: Rule = description.get("hold_out", "identities")
        self.images = arrays["images"]
        self.attributes = arrays["attributes"]
        self.identities = arrays["identities"]
        self.partitions = arrays["partitions"]

    def __len__(self) -> int:
        return self.count

    @classmethod
    def open(cls, path: Path | str) -> PackedDataset:
        """Open the packed dataset in folder ``path``; maps its arrays and reads only ``dataset.json``.

        Raises:
            UserError: the folder is no packed dataset, or anything in it is missing, cut short or of another shape.
        """
        path = Path(path)
        description = _read_description(path)
        arrays = {}
        for name, (dtype, shape) in array_layout(description["count"], description["resolution"]).items():
            arrays[name] = _open_array(path / f"{name}.npy", dtype, shape)
        if not (path / "names.txt").is_file():
            raise UserError(f"{path} is damaged: names.txt is missing; prepare it again")
        return cls(path, description, arrays)

    @cached_property
    def files(self) -> list[str]:
        """The images' file names, in their order in the arrays."""
        with (self.path / "names.txt").open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            text = file.read()
        names = text.removesuffix("\n").split("\n")
        if len(names) != self.count:
            raise UserError(
                f"{self.path / 'names.txt'} is damaged: it has {len(names)} names where dataset.json counts "
                f"{self.count}; prepare it again"
            )
        return names

    def verify(self) -> None:
        """Compare the content with the hash that was taken when it was packed; reads every image once.

        Raises:
            UserError: images or labels have changed since.
        """
        labels = [self.attributes, self.identities, self.partitions]
        if content_digest(self.images, labels, self.hold_out, self.held_out()) != self.content_hash:
            raise UserError(f"{self.path} has changed since it was packed (its content hash differs); prepare it again")

    @property
    def crop(self) -> Crop:
        """The crop that its images have, in CelebA's frame; the usual one where it does not say."""
        box = self._description.get("crop")
        if isinstance(box, list) and len(box) == 4 and all(type(side) in (int, float) for side in box):
            return float(box[0]), float(box[1]), float(box[2]), float(box[3])
        return 148

    def source_counts(self) -> np.ndarray:
        """Return int64 [N]: how many files of the source had the bytes of this image, of which one was packed."""
        count_N = np.ones(len(self), np.int64)
        try:
            problems = read_json(self.path / "preflight.json", _LARGEST_PREFLIGHT)["problems"]
            names = [str(problem["of"]) for problem in problems if problem.get("of")]
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return count_N
        if names:
            row_of = {name: row for row, name in enumerate(self.files)}
            np.add.at(count_N, [row_of[name] for name in names if name in row_of], 1)
        return count_N

    def held_out(self) -> np.ndarray:
        """Return bool [N]: the image is held out from all training, by the dataset's rule."""
        files = self.files if self.hold_out == "pictures" else []
        return held_out_mask(self.hold_out, self.identities, self.partitions, files)


def array_layout(count: int, resolution: int) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
    """Return {array name: (dtype, shape)} of a packed dataset."""
    return {
        "images": (np.dtype(np.uint8), (count, resolution, resolution, 3)),
        "attributes": (np.dtype(np.int8), (count, ATTRIBUTE_COUNT)),
        "identities": (np.dtype(np.int32), (count,)),
        "partitions": (np.dtype(np.int8), (count,)),
    }


def content_digest(images: np.ndarray, labels: Sequence[np.ndarray], hold_out: Rule, held_out_N: np.ndarray) -> str:
    """Return the content hash: sha256 hex of the bytes of the images, then attributes, identities, partitions.

    Another rule than ``identities`` is part of the content, and so is which images are held out (bool [N]) where
    their names decide that.
    """
    digest = hashlib.sha256()
    for start in range(0, len(images), 1024):
        digest.update(np.ascontiguousarray(images[start : start + 1024]).data)
    for label in labels:
        digest.update(np.ascontiguousarray(label).data)
    if hold_out != "identities":
        digest.update(hold_out.encode())
    if hold_out == "pictures":
        digest.update(np.packbits(held_out_N).data)
    return digest.hexdigest()


def joint_hash(datasets: Sequence[PackedDataset]) -> str:
    """Return the dataset's content hash, or the sha256 of the hashes of several in their order."""
    hashes = [dataset.content_hash for dataset in datasets]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def _read_description(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        found = "is a file" if path.exists() else "does not exist"
        raise UserError(f"{path} {found}: expected the folder of a packed dataset, as `facegan prepare` writes it")
    if path.name.endswith(".partial"):
        raise UserError(f"{path} is an unfinished dataset: run the same `facegan prepare` again")
    file = path / "dataset.json"
    if model := next((model for name, model in _MODELS.items() if (path / name).is_file()), None):
        raise UserError(
            f"{path} is {model}, where a packed dataset is expected: give the folder that `facegan prepare` wrote "
            "(a model comes first, then the data)"
        )
    if not file.is_file():
        raise UserError(
            f"{path} is not a packed dataset (it has no dataset.json): run `facegan prepare {path} OUT` and give OUT"
        )
    try:
        if _is_stylegan(file):
            raise UserError(f"{path} is a StyleGAN dataset: run `facegan prepare {path} OUT` and give OUT")
        description = read_json(file)
        version = description["format_version"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        check_not_denied(error)
        raise UserError(f"{file} is damaged and cannot be read: prepare the dataset again") from error
    if version != FORMAT_VERSION:
        raise UserError(
            f"{file} has format version {version!r:.40} and this facegan reads {FORMAT_VERSION}: prepare it again"
        )
    fields = {"resolution": int, "count": int, "content_hash": str, "labelled": bool}
    for field, kind in fields.items():
        value = description.get(field)
        if type(value) is not kind or (isinstance(value, int) and kind is int and value < 1):
            raise UserError(f"{file} is damaged: {field} is {value!r}; prepare the dataset again")
    if description.get("hold_out", "identities") not in RULES:
        raise UserError(f"{file} holds out by {description['hold_out']!r:.40}, which this facegan does not know")
    return description


def _is_stylegan(file: Path) -> bool:
    """Return whether a ``dataset.json`` is StyleGAN's list of labels, which may be far larger than a description."""
    head = start_of_file(file, 4096)
    return b'"labels"' in head and b'"format_version"' not in head


def map_array(file: Path) -> np.memmap:
    """Map an array file that anybody may have written; nothing is unpickled.

    Raises:
        OSError, ValueError: it is no ordinary file, or no array as NumPy writes them.
    """
    check_regular(file)
    with file.open("rb") as start:
        if start.read(8) != _ARRAY_START:  # of later versions, whose header may call itself 4 GB long
            raise ValueError("it does not begin as an array")
    try:
        return np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # numpy's reader of headers meets a damaged one with any exception there is
        short = "mmap length" in str(error)
        raise ValueError("it is shorter than it says" if short else brief(error)) from error


def _open_array(file: Path, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    if not file.exists():
        raise UserError(f"{file.parent} is damaged: {file.name} is missing; prepare it again")
    try:
        array = map_array(file)
        excess = file.stat().st_size - array.offset - array.nbytes
    except (OSError, ValueError) as error:
        check_not_denied(error)
        raise UserError(f"{file} is damaged ({brief(error)}): prepare the dataset again") from error
    if array.dtype != dtype or array.shape != shape or excess or not array.flags.c_contiguous:
        raise UserError(
            f"{file} is damaged: it holds {array.dtype} {list(array.shape)} and {excess} bytes more, where "
            f"dataset.json says {dtype} {list(shape)}; prepare the dataset again"
        )
    return array


def _refuse_empty_view(datasets: Sequence[PackedDataset], held_out: bool) -> NoReturn:
    where = ", ".join(str(dataset.path) for dataset in datasets)
    if not held_out:
        raise UserError(f"{where}: every image is held out, none is left to train on")
    if not any((dataset.identities > 0).any() or dataset.hold_out != "identities" for dataset in datasets):
        why = "no identity is known"
    else:
        why = f"prepared with --hold-out {datasets[0].hold_out}, or of few images"
    raise UserError(
        f"{where}: no image is held out ({why}); run facegan prepare again, with --hold-out partition or "
        f"--hold-out pictures, and train on that"
    )


def _rows_of(dataset: PackedDataset, held_out: bool | None, left_out_N: np.ndarray) -> np.ndarray:
    """Return the rows of a dataset that a view shows; ``left_out_N``: what is held out in another dataset."""
    if held_out is None:
        return np.arange(len(dataset))
    held_out_N = dataset.held_out()
    return np.flatnonzero(held_out_N if held_out else ~(held_out_N | left_out_N))


class DataView:
    """Several packed datasets of one resolution as one, restricted to the faces that its user may see.

    ``held_out``: False for all but held-out images (training), True for held-out ones only, None for all. What one
    dataset holds out is not trained on in another that has it too.

    Raises:
        UserError: no dataset, unlike resolutions, most pictures of one in another, or no face left.
    """

    def __init__(self, datasets: Sequence[PackedDataset], *, held_out: bool | None = False) -> None:
        if not datasets:
            raise UserError("no dataset was given: give the folder of at least one packed dataset")
        for dataset in datasets[1:]:
            if dataset.resolution != datasets[0].resolution:
                raise UserError(
                    f"{datasets[0].path} has {datasets[0].resolution} px and {dataset.path} has {dataset.resolution} "
                    f"px: prepare both at one resolution"
                )
        paths = [dataset.path.resolve() for dataset in datasets]
        if twice := next((path for path in paths if paths.count(path) > 1), None):
            raise UserError(f"{twice} is given twice: its faces would count double")
        overlap = overlap_of(datasets) if len(datasets) > 1 else Overlap([np.zeros(len(datasets[0]), bool)], [])
        self.warnings = overlap.sentences
        """What deserves a warning: which pictures several of the datasets hold."""
        self.datasets = list(datasets)
        self.resolution = datasets[0].resolution
        rows = [
            _rows_of(dataset, held_out, left_out_N)
            for dataset, left_out_N in zip(datasets, overlap.left_out, strict=True)
        ]
        self._row_M = np.concatenate(rows)
        self._dataset_M = np.repeat(np.arange(len(datasets)), [len(part) for part in rows])
        if not len(self._row_M):
            _refuse_empty_view(datasets, bool(held_out))
        # A plain array over the same map: np.memmap would run its own Python code at every gather.
        self._images = [np.asarray(dataset.images) for dataset in datasets]
        self._attributes = [np.asarray(dataset.attributes) for dataset in datasets]
        self._identities = [np.asarray(dataset.identities) for dataset in datasets]

    def __len__(self) -> int:
        return len(self._row_M)

    @property
    def labelled(self) -> bool:
        """Whether any of the datasets has attributes."""
        return any(dataset.labelled for dataset in self.datasets)

    @cached_property
    def content_hash(self) -> str:
        """See ``joint_hash``."""
        return joint_hash(self.datasets)

    def images(self, index_B: np.ndarray) -> np.ndarray:
        """Return uint8 [B, R, R, 3] of positions ``index_B`` (int64 [B]) in this view."""
        return self._gather(self._images, index_B)

    def attributes(self, index_B: np.ndarray) -> np.ndarray:
        """Return int8 [B, 40]: -1/+1, 0 unknown."""
        return self._gather(self._attributes, index_B)

    def identities(self, index_B: np.ndarray) -> np.ndarray:
        """Return int32 [B], 0 unknown."""
        return self._gather(self._identities, index_B)

    def places(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (positions in this view, rows in the dataset) of the faces that are of dataset ``number``."""
        place_M = np.flatnonzero(self._dataset_M == number)
        return place_M, self._row_M[place_M]

    def _gather(self, arrays: list[np.ndarray], index_B: np.ndarray) -> np.ndarray:
        row_B = self._row_M[index_B]
        if len(arrays) == 1:
            return arrays[0].take(row_B, axis=0)
        dataset_B = self._dataset_M[index_B]
        gathered = np.empty((len(row_B), *arrays[0].shape[1:]), arrays[0].dtype)
        for number, array in enumerate(arrays):
            place = np.flatnonzero(dataset_B == number)
            gathered[place] = array.take(row_B[place], axis=0)
        return gathered
