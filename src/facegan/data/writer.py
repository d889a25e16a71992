"""Writing a packed dataset: into a folder beside, which gets its name when everything is on the disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from facegan.data.packed import FORMAT_VERSION, PackedDataset, array_layout, content_digest, sync_to_disk
from facegan.errors import UserError

try:
    import fcntl
except ImportError:  # Windows: two writers of one dataset at the same time go unnoticed
    fcntl = None  # type: ignore[assignment]

_ROWS_AT_A_TIME = 1024


class PackedWriter:
    """Writes a packed dataset of at most ``capacity`` images; a context manager, which cleans up after a failure.

    Everything goes to ``<out>.partial`` until ``finish`` renames it; the remains of a killed writer are removed.
    Other processes may write rows themselves, at ``image_offset(row)`` of the file ``images_file``.

    Raises:
        UserError: ``out`` exists and is not an empty folder, or another writer is at work on it, or it cannot be
            created.
    """

    def __init__(self, out: Path, *, resolution: int, capacity: int) -> None:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UserError(f"{out} exists already and nothing is overwritten: give another name, or remove it first")
        self.out = out
        self.resolution = resolution
        self.capacity = capacity
        self.folder = out.with_name(out.name + ".partial")
        self.images_file = self.folder / "images.npy"
        self._row_bytes = resolution * resolution * 3
        self._lock: IO[str] | None = None

    def __enter__(self) -> PackedWriter:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            for left_over in self.folder.iterdir():
                if left_over.name != "lock":
                    shutil.rmtree(left_over) if left_over.is_dir() else left_over.unlink()
            with self.images_file.open("wb") as file:
                self._header_bytes = _write_header(file, array_layout(self.capacity, self.resolution)["images"])
                file.truncate(self.image_offset(self.capacity))
        except OSError as error:
            self._remove()
            raise UserError(f"cannot write {self.folder}: {error.strerror or error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._remove()  # after a successful finish nothing is left to remove

    def image_offset(self, row: int) -> int:
        """Return the place of an image's first byte in ``images_file``."""
        return self._header_bytes + row * self._row_bytes

    def write(self, row: int, image_NHWC: np.ndarray) -> None:
        """Write uint8 [N, R, R, 3] into rows ``row`` to row + N - 1."""
        with self.images_file.open("r+b") as file:
            file.seek(self.image_offset(row))
            file.write(np.ascontiguousarray(image_NHWC, np.uint8).data)

    def finish(
        self,
        *,
        rows: np.ndarray | None = None,
        attributes: np.ndarray | None = None,
        identities: np.ndarray | None = None,
        partitions: np.ndarray | None = None,
        files: Sequence[str] | None = None,
        description: Mapping[str, Any] | None = None,
    ) -> PackedDataset:
        """Put the dataset in its place and return it opened.

        ``rows`` (ascending) are the images to keep, all by default; labels and ``files`` are those of the kept
        ones, unknown where left out. ``description`` is added to ``dataset.json``.
        """
        rows = np.arange(self.capacity) if rows is None else np.asarray(rows)
        count = len(rows)
        if not count:
            raise UserError(f"{self.out} would hold no image: every image was set aside")
        layout = array_layout(count, self.resolution)
        given = {"attributes": attributes, "identities": identities, "partitions": partitions}
        labels = {}
        for name, array in given.items():
            dtype, shape = layout[name]
            unknown = -1 if name == "partitions" else 0
            labels[name] = np.full(shape, unknown, dtype) if array is None else np.asarray(array, dtype)
            if labels[name].shape != shape:
                raise ValueError(f"{name} has shape {labels[name].shape}, expected {shape}")
        names = [f"{number:06d}" for number in range(count)] if files is None else list(files)
        if len(names) != count:
            raise ValueError(f"{len(names)} file names for {count} images")

        self._keep_rows(rows, layout["images"])
        for name, array in labels.items():
            np.save(self.folder / f"{name}.npy", array, allow_pickle=False)
        text = "".join(name.replace("\n", "?") + "\n" for name in names)
        (self.folder / "names.txt").write_text(text, "utf-8", errors="surrogateescape")
        images = np.load(self.images_file, mmap_mode="r", allow_pickle=False)
        document = {
            "format_version": FORMAT_VERSION,
            "resolution": self.resolution,
            "count": count,
            "labelled": bool(labels["attributes"].any()),
            "content_hash": content_digest(images, list(labels.values())),
            **(description or {}),
        }
        (self.folder / "dataset.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")
        self._put_in_place()
        return PackedDataset.open(self.out)

    def _keep_rows(self, rows: np.ndarray, layout: tuple[np.dtype, tuple[int, ...]]) -> None:
        """Move the kept rows to the front, cut the rest off, and say so in the file's header."""
        count = len(rows)
        images = np.load(self.images_file, mmap_mode="r", allow_pickle=False)
        with self.images_file.open("r+b") as file:
            for start in range(0, count, _ROWS_AT_A_TIME):
                part = rows[start : start + _ROWS_AT_A_TIME]
                if part[-1] != start + len(part) - 1:  # ascending, so rows move to the front only: none is lost
                    file.seek(self.image_offset(start))
                    file.write(images[part])
            file.seek(0)
            _write_header(file, layout)
            file.truncate(self.image_offset(count))

    def _put_in_place(self) -> None:
        for file in self.folder.iterdir():
            sync_to_disk(file)
        sync_to_disk(self.folder)
        if fcntl is None:
            self._release_lock()  # Windows cannot rename a folder with an open file in it
        try:
            if self.out.exists():
                self.out.rmdir()
            self.folder.rename(self.out)
        except OSError as error:
            raise UserError(f"{self.out} was made by somebody else in the meantime; nothing was overwritten") from error
        (self.out / "lock").unlink()
        self._release_lock()
        sync_to_disk(self.out.parent)

    def _take_lock(self) -> None:
        self._lock = (self.folder / "lock").open("w")
        if fcntl is None:
            return
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._release_lock()
            raise UserError(f"another facegan is writing {self.out} now: wait for it, or give another name") from error

    def _release_lock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _remove(self) -> None:
        if self._lock is not None:  # without it, the folder is another writer's, or in its place already
            self._release_lock()
            shutil.rmtree(self.folder, ignore_errors=True)


def _write_header(file: IO[bytes], layout: tuple[np.dtype, tuple[int, ...]]) -> int:
    """Write a ``.npy`` header and return its length, which NumPy keeps the same for any number of rows."""
    dtype, shape = layout
    np.lib.format.write_array_header_1_0(
        file, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    )
    return file.tell()
