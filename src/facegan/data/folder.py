"""The files below a folder: what is skipped, and what cannot be listed, is told."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from facegan.errors import brief
from facegan.files import read_json

MAX_FILE_BYTES = 256 << 20
"""No photograph is larger: what is would only fill the memory."""
MASKS = "mask-anno"
"""In the name of CelebAMask-HQ's folder of masks."""


class Walk:
    """Iterating yields the paths of all files below ``root``, relative to it, with ``/``; links are followed once.

    ``skipped`` and ``unlisted`` fill on the way: (folder, reason) of what is no source of photographs, and of what
    the system would not list.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.skipped: list[tuple[str, str]] = []
        self.unlisted: list[tuple[str, str]] = []

    def __iter__(self) -> Iterator[str]:
        seen: set[tuple[int, int]] = set()
        for folder, subfolders, files in os.walk(self.root, followlinks=True, onerror=self._note_error):
            prefix = Path(folder).relative_to(self.root).as_posix()
            try:
                status = Path(folder).stat()
            except OSError as error:
                self._note_error(error)
                subfolders.clear()
                continue
            if (status.st_dev, status.st_ino) in seen:
                subfolders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            reason = no_source(Path(folder), files) if prefix != "." else None
            if reason:
                self.skipped.append((prefix, reason))
                subfolders.clear()
                continue
            subfolders[:] = [name for name in subfolders if not name.endswith(".partial")]
            for file in files:
                yield file if prefix == "." else f"{prefix}/{file}"

    def _note_error(self, error: OSError) -> None:
        folder = Path(os.fsdecode(error.filename)) if error.filename else self.root
        path = folder.relative_to(self.root).as_posix() if folder.is_relative_to(self.root) else str(folder)
        self.unlisted.append((path, brief(error)))


def no_source(folder: Path, files: list[str]) -> str | None:
    """Return why the images in a folder are no photographs to learn from; None if they may be.

    ``files`` are the names of the files in it.
    """
    if "dataset.json" in files and is_packed(folder):
        return "a packed dataset"
    if "run.json" in files and _has(folder / "run.json", "config"):
        return "a run, with grids of made faces"
    if MASKS in folder.name:
        return "masks, and no faces"
    return None


def is_packed(folder: Path) -> bool:
    """Return whether a folder is a packed dataset; StyleGAN's folders have a dataset.json too."""
    return (folder / "dataset.json").is_file() and _has(folder / "dataset.json", "format_version")


def _has(file: Path, key: str) -> bool:
    with suppress(OSError, ValueError):
        description = read_json(file)
        return isinstance(description, dict) and key in description
    return False


def read_file(path: Path) -> bytes:
    """Return a file's bytes.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no ordinary file (reading a pipe would wait for ever), or larger than any photograph.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("not a regular file")
    check_size(status.st_size)
    return path.read_bytes()


def check_size(size: int) -> None:
    """Refuse a file of more than ``MAX_FILE_BYTES`` bytes with a ``ValueError``."""
    if size > MAX_FILE_BYTES:
        raise ValueError(f"{size:,} bytes: more than {MAX_FILE_BYTES:,}, no photograph is that large")


def start_of_file(path: Path, count: int) -> bytes:
    """Return the first bytes of an ordinary file, none of what is none or cannot be read."""
    with suppress(OSError):
        if stat.S_ISREG(path.stat().st_mode):
            with path.open("rb") as file:
                return file.read(count)
    return b""
