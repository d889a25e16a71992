"""Faces to be scored, whoever made them: files, arrays, packed datasets; and the real ones they are compared with."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
import warnings
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from facegan.data.crop import Crop, crop_box
from facegan.data.face_files import crops, read_face_files
from facegan.data.folder import is_packed
from facegan.data.overlap import refuse_trained_on
from facegan.data.packed import DataView, PackedDataset, joint_hash, map_array
from facegan.errors import UserError, brief
from facegan.runs.folder import RUN_FILE, SHIPPED, RunFolder
from facegan.runs.snapshot import INFO_FILE

_BATCH = 256
_EXPECTED = "give uint8 [N, R, R, 3] or [N, 3, R, R], 0 to 255"
Progress = Callable[[int, int], None]


class Faces(NamedTuple):
    """Batches of faces, uint8 [n, R, R, 3]; what the receipt says of their source; how many there are."""

    batches: Iterator[np.ndarray]
    described: dict[str, Any]
    total: int


def is_model(path: Path) -> bool:
    """Return whether a path names a model rather than faces: also where nothing is there."""
    if str(path) in SHIPPED or not path.exists():
        return "*" not in path.name
    if path.is_file() or (path / "dataset.json").is_file():
        return False
    return (path / RUN_FILE).is_file() or (path / INFO_FILE).is_file() or any(path.glob("*.safetensors"))


def faces_at(path: Path, count: int, data: Sequence[PackedDataset], progress: Progress | None = None) -> Faces:
    """Return the first ``count`` faces, or all if there are fewer, of what is no model.

    That is a packed dataset, a .npy or .npz file, or pictures: a folder, a zip, tars, Parquet files. Arrays and
    pictures of another size are resized to that of ``data``, the real faces.

    Raises:
        UserError: no face can be read there.
    """
    if path.suffix.lower() in (".npy", ".npz") and path.is_file():
        return _array_at(path, count, data[0])
    if is_packed(path):
        return _dataset_at(path, count)
    return _files_at(path, count, data, progress)


def _array_at(path: Path, count: int, like: PackedDataset) -> Faces:
    try:
        if path.suffix.lower() == ".npz":
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                image_NHWC = _only_faces(path, arrays)
        else:
            image_NHWC = map_array(path)
    except (OSError, ValueError, IndexError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} is no array of faces ({brief(error)}): {_EXPECTED}") from None
    return faces_of_array(image_NHWC, count, like, str(path))


def _only_faces(path: Path, arrays: np.lib.npyio.NpzFile) -> np.ndarray:
    """Return the one array of the file that may be faces; the first one if none may be."""
    first = None
    for name in arrays.files:
        array = arrays[name]
        if array.ndim != 4 or array.dtype != np.uint8:
            continue
        if first is not None:
            raise UserError(f"{path} holds several arrays of images ({first[0]}, {name}): save the one that is meant")
        first = name, array
    return arrays[arrays.files[0]] if first is None else first[1]


def faces_of_array(image_NHWC: np.ndarray, count: int, like: PackedDataset, name: str) -> Faces:
    """Return the first faces of an array, uint8 [N, R, R, 3] or [N, 3, R, R], as ``like`` has them.

    Those of another size are resized by Lanczos, and cropped as files are (``read_face_files``).

    Raises:
        UserError: it is another array, or none, or there is no face in it.
    """
    faces, resolution = image_NHWC, like.resolution
    if isinstance(faces, np.ndarray) and faces.ndim == 4 and faces.shape[1] == 3 != faces.shape[3]:
        faces = faces.transpose(0, 2, 3, 1)
    if not isinstance(faces, np.ndarray) or faces.dtype != np.uint8 or faces.ndim != 4 or faces.shape[3] != 3:
        shape = f"{faces.dtype} {list(faces.shape)}" if isinstance(faces, np.ndarray) else f"a {type(faces).__name__}"
        raise UserError(f"{name} holds {shape}: {_EXPECTED}")
    if not faces.size:
        raise UserError(f"{name} holds no face: its shape is {list(faces.shape)}")
    if faces[:_BATCH].max() == 1:
        raise UserError(f"{name} holds only values of 0 and 1 in its first faces: {_EXPECTED}")
    found, (height, width) = min(count, len(faces)), faces.shape[1:3]
    described = {"kind": "array", "attributes": False, "path": name, "resolution": resolution}
    if (height, width) != (resolution, resolution):
        size = f"{width}x{height}"
        described |= _resized({size: found}, crops([size], like.crop))
    parts = (faces[start : min(start + _BATCH, found)] for start in range(0, found, _BATCH))
    return Faces((_at(part, resolution, like.crop) for part in parts), described, found)


def faces_of_batches(batches: Iterable[np.ndarray], count: int | None, like: PackedDataset, folder: Path) -> Faces:
    """Return at most ``count`` faces of batches, or of single faces [R, R, 3], as ``like`` has them.

    They are kept in a file in ``folder``.

    Raises:
        UserError: a batch is no array of faces.
    """
    if not isinstance(batches, Iterable):
        raise UserError(f"faces are a {type(batches).__name__}: give a path, an array or an iterator of arrays")
    file, found = folder / "faces.raw", 0
    with file.open("wb") as out:
        for batch in batches:
            whole = batch[None] if isinstance(batch, np.ndarray) and batch.ndim == 3 else batch
            if isinstance(whole, np.ndarray) and not len(whole):
                continue
            left = sys.maxsize if count is None else count - found
            faces, _, total = faces_of_array(whole, left, like, "a batch of faces")
            for part in faces:
                out.write(np.ascontiguousarray(part).data)
            found += total
            if found == count:
                break
    if not found:
        raise UserError("there is no face: the iterator ended before it gave any")
    image_NHWC = np.memmap(file, np.uint8, "r", shape=(found, like.resolution, like.resolution, 3))
    return faces_of_array(image_NHWC, found, like, "an iterator")


def _at(image_NHWC: np.ndarray, resolution: int, crop: Crop) -> np.ndarray:
    """Return the faces at a resolution: the crop of each, by Lanczos."""
    height, width = image_NHWC.shape[1:3]
    if (height, width) == (resolution, resolution):
        return image_NHWC
    box, size = crop_box(width, height, crop), (resolution, resolution)
    resized = (
        Image.fromarray(np.ascontiguousarray(image)).resize(size, Image.Resampling.LANCZOS, box) for image in image_NHWC
    )
    return np.stack([np.asarray(image) for image in resized])


def _resized(sizes: dict[str, int], cropped: dict[str, str]) -> dict[str, Any]:
    return {**({"resized": sizes, "resize": "Lanczos"} if sizes else {}), **({"cropped": cropped} if cropped else {})}


def _dataset_at(path: Path, count: int) -> Faces:
    """Return a packed dataset's faces; each as often as its source had it, for a collapse must be seen."""
    dataset = PackedDataset.open(path)
    view = DataView([dataset], held_out=None)
    row_N = np.repeat(np.arange(len(view)), dataset.source_counts())[:count]
    described = {
        "kind": "dataset",
        "attributes": False,
        "path": str(path),
        "resolution": view.resolution,
        "sha256": view.content_hash,
    }
    batches = (view.images(row_N[start : start + _BATCH]) for start in range(0, len(row_N), _BATCH))
    return Faces(batches, described, len(row_N))


def _files_at(path: Path, count: int, data: Sequence[PackedDataset], progress: Progress | None) -> Faces:
    scratch, resolution = Path(tempfile.mkdtemp(prefix="facegan-faces-")), data[0].resolution
    try:
        found = read_face_files(path, scratch, resolution=resolution, crop=data[0].crop, count=count, progress=progress)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    image_NHWC = found.image_NHWC
    weakref.finalize(image_NHWC, shutil.rmtree, scratch, ignore_errors=True)
    described = {
        "kind": "files",
        "attributes": False,
        "path": str(path),
        "resolution": resolution,
        **_resized(found.resized, found.cropped),
    }
    if found.unreadable:
        described["unreadable"] = {"count": len(found.unreadable), "first": ": ".join(found.unreadable[0])}
    starts = range(0, len(image_NHWC), _BATCH)
    return Faces((image_NHWC[start : start + _BATCH] for start in starts), described, len(image_NHWC))


def real_faces(
    model: Path,
    data: Sequence[Path] | None,
    *,
    held_out: bool = True,
    warn: Callable[[str], None] = warnings.warn,
) -> list[PackedDataset]:
    """Open the folders of real faces: those given, or else those that the run was trained on.

    ``held_out``: whether those that they hold out are to be faces that the model never saw; ``warn`` is told where
    that cannot be known.

    Raises:
        UserError: none are given, and the model is not a run that names them; one is not a packed dataset; or the run
            was trained on what they hold out, or on what was there before they were prepared again.
    """
    if data:
        datasets = [PackedDataset.open(path) for path in data]
        if held_out:
            _refuse_seen(model, datasets, warn)
        return datasets
    if str(model).startswith("hf:"):
        raise UserError(f"{model} does not say what it was trained on: give the folders of real faces as well")
    if is_model(model) and not model.exists() and str(model) not in SHIPPED:
        raise UserError(f"there is no model at {model}: give the folder of a run, as facegan train --run writes it")
    paths, content_hash = _trained_on(model) if (model / RUN_FILE).is_file() else ([], "")
    if not paths:
        raise UserError(f"{model} is no run that says what it was trained on: give the folders of real faces as well")
    datasets = [PackedDataset.open(path) for path in paths]
    if held_out and joint_hash(datasets) != content_hash:
        raise UserError(
            f"{' and '.join(map(str, paths))} changed after {model} was trained on it, which may have seen what is "
            f"held out there now: name the folders of real faces that are meant"
        )
    return datasets


def _refuse_seen(model: Path, datasets: Sequence[PackedDataset], warn: Callable[[str], None]) -> None:
    """Refuse datasets that hold out what the run of a model was trained on; warn where that cannot be known."""
    paths, content_hash = _trained_on(model)
    if not paths or joint_hash(datasets) == content_hash:
        return
    trained = []
    for path in paths:
        with contextlib.suppress(UserError):
            trained.append(PackedDataset.open(path))
    if trained and joint_hash(trained) == content_hash:
        refuse_trained_on(datasets, trained)
        return
    what = "is not there any more" if len(trained) < len(paths) else "has changed since"
    warn(
        f"{' and '.join(map(str, paths))}, which {model} was trained on, {what}: it may have seen faces that are "
        f"held out here, and would look better than it is"
    )


def _trained_on(model: Path) -> tuple[list[Path], str]:
    """Return the folders of data of the run that a model is of, and their joint content hash; none if it is of none."""
    folder = next((place for place in (model, *model.parents[:2]) if (place / RUN_FILE).is_file()), None)
    known = RunFolder(folder).read() if folder is not None else {}
    recorded, config = known.get("data"), known.get("config")
    if not isinstance(recorded, list) or not isinstance(config, dict):
        return [], ""
    return [Path(str(path)) for path in recorded], str(config.get("data"))
