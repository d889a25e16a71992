"""Writing a packed dataset, which is seen when it is whole."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from facegan.data.held_out import Rule, held_out_mask
from facegan.data.packed import FORMAT_VERSION, PackedDataset, array_layout, content_digest
from facegan.errors import UserError, reason
from facegan.files import NewFolder

_ROWS_AT_A_TIME = 1024


class PackedWriter:
    """Writes a packed dataset of at most ``capacity`` images; a context manager, which leaves nothing after a failure.

    Rows may be written in any order, also by other processes: at ``image_offset(row)`` of the file ``images_file``.

    Raises:
        UserError: ``out`` exists and is not an empty folder, or it cannot be written.
    """

    def __init__(self, out: Path, *, resolution: int, capacity: int) -> None:
        self._partial = NewFolder(out)
        self.folder = self._partial.folder
        self.images_file = self.folder / "images.npy"
        self.resolution = resolution
        self.capacity = capacity
        self._header_bytes = 0

    def __enter__(self) -> PackedWriter:
        self._partial.__enter__()
        try:
            with self.images_file.open("wb") as file:
                self._header_bytes = _write_header(file, array_layout(self.capacity, self.resolution)["images"])
                file.truncate(self.image_offset(self.capacity))
        except OSError as error:
            self._partial.__exit__(None, None, None)
            raise UserError(f"cannot write {self.images_file}: {reason(error)}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._partial.__exit__(kind, error, traceback)

    def image_offset(self, row: int) -> int:
        """Return the place of an image's first byte in ``images_file``."""
        return self._header_bytes + row * self.resolution * self.resolution * 3

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
        hold_out: Rule = "identities",
        description: Mapping[str, Any] | None = None,
    ) -> PackedDataset:
        """Put the dataset in its place and return it opened.

        ``rows`` (ascending) are the images to keep, all by default; labels and ``files`` are those of the kept
        ones, unknown where left out. ``description`` is added to ``dataset.json``.
        """
        rows = np.arange(self.capacity) if rows is None else np.asarray(rows)
        count = len(rows)
        if not count:
            raise ValueError("a packed dataset holds at least one image")
        layout = array_layout(count, self.resolution)
        labels = {}
        for name, array in (("attributes", attributes), ("identities", identities), ("partitions", partitions)):
            dtype, shape = layout[name]
            unknown = -1 if name == "partitions" else 0
            labels[name] = np.full(shape, unknown, dtype) if array is None else np.asarray(array, dtype)
            if labels[name].shape != shape:
                raise ValueError(f"{name} has shape {labels[name].shape}, expected {shape}")
        names = [f"{row:06d}" for row in range(count)] if files is None else [_one_line(name) for name in files]
        if len(names) != count:
            raise ValueError(f"{len(names)} file names for {count} images")

        self._keep_rows(rows, layout["images"])
        for name, array in labels.items():
            np.save(self.folder / f"{name}.npy", array, allow_pickle=False)
        text = "".join(f"{name}\n" for name in names)
        (self.folder / "names.txt").write_text(text, "utf-8", errors="surrogateescape", newline="\n")
        images = np.load(self.images_file, mmap_mode="r", allow_pickle=False)
        held_out = held_out_mask(hold_out, labels["identities"], labels["partitions"], names)
        document = {
            "format_version": FORMAT_VERSION,
            "resolution": self.resolution,
            "count": count,
            "labelled": bool(labels["attributes"].any()),
            "hold_out": hold_out,
            "content_hash": content_digest(images, list(labels.values()), hold_out, held_out),
            **(description or {}),
        }
        (self.folder / "dataset.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")
        self._partial.put_in_place()
        return PackedDataset.open(self._partial.out)

    def _keep_rows(self, rows: np.ndarray, layout: tuple[np.dtype, tuple[int, ...]]) -> None:
        """Move the kept rows to the front, cut the rest off, and say so in the file's header."""
        images = np.load(self.images_file, mmap_mode="r", allow_pickle=False)
        with self.images_file.open("r+b") as file:
            for start in range(0, len(rows), _ROWS_AT_A_TIME):
                part = rows[start : start + _ROWS_AT_A_TIME]
                if part[-1] != start + len(part) - 1:  # ascending, so rows move to the front only: none is lost
                    file.seek(self.image_offset(start))
                    file.write(images[part].data)
            file.seek(0)
            _write_header(file, layout)
            file.truncate(self.image_offset(len(rows)))


def _one_line(name: str) -> str:
    return name.replace("\n", "?").replace("\r", "?")


def _write_header(file: IO[bytes], layout: tuple[np.dtype, tuple[int, ...]]) -> int:
    """Write a ``.npy`` header and return its length, which NumPy keeps the same for any number of rows."""
    dtype, shape = layout
    np.lib.format.write_array_header_1_0(
        file, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    )
    return file.tell()
