"""Image files in a folder or a zip: listed and read one by one, never extracted."""

from __future__ import annotations

import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

from facegan.errors import UserError, brief
from facegan.files import read_bytes

IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm",
     ".jp2", ".avif")
)  # fmt: skip
UNSUPPORTED_SUFFIXES = frozenset(
    (".heic", ".heif", ".jxl", ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".psd", ".svg", ".eps",
     ".tga", ".exr", ".hdr", ".ico")
)  # fmt: skip
"""Images too, but none that is read here."""
MAX_FILE_BYTES = 256 << 20
"""No photograph is larger: what is would only fill the memory."""
LARGEST_TEXT = 64 << 20
"""Bytes of an annotation file; CelebA's largest has 26 million."""
_LOCAL_HEADER_BYTES = 30
_ENCRYPTED = 0x1
_HIDDEN = re.compile(r"(^|/)(\.(?!\.?/)|__MACOSX/)")
_NOT_ZIP = {
    b"7z\xbc\xaf": "a 7z archive: unpack it and give the folder",
    b"Rar!": "a rar archive: unpack it and give the folder",
    b"\x1f\x8b": "a gzip or tar.gz archive: unpack it and give the folder",
}


class ImageFile(NamedTuple):
    """One image file. In a zip: where its bytes are; in a folder, ``offset`` is -1.

    ``name`` is relative to the folder that all images have in common, with ``/``; ``path`` leads there from the
    source.
    """

    name: str
    path: str
    offset: int = -1
    packed_bytes: int = 0
    unpacked_bytes: int = 0
    checksum: int = 0
    method: int = 0
    flags: int = 0


@dataclass
class Listing:
    """What is in a source: images sorted by name, and the paths of images in other formats and of other files."""

    source: Path
    images: list[ImageFile] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


class UnreadableError(Exception):
    """The bytes of one file cannot be had; the message is the reason."""


def find_source(path: Path) -> Listing:
    """Return the images of ``path``: a folder or zip of images, or a folder that holds such a zip.

    Raises:
        UserError: no image is in there, or several zips might be meant; or as ``list_images``.
    """
    if (path / "dataset.json").is_file():
        raise UserError(f"{path} is a packed dataset already: give it to `facegan train`, or prepare its source again")
    listing = list_images(path)
    if listing.images:
        return listing
    zips = sorted(other for other in listing.others if other.lower().endswith(".zip")) if path.is_dir() else []
    official = [name for name in zips if name.endswith("img_align_celeba.zip")]
    chosen = official or zips
    if len(chosen) > 1:
        raise UserError(f"{path} has no images but several zips ({', '.join(chosen[:3])}): give the zip that is meant")
    if chosen:
        listing = list_images(path / chosen[0])
    if not listing.images:
        others = listing.unsupported + listing.others
        suffixes = sorted({_suffix(other) for other in others})
        found = f"{len(others)} other files ({' '.join(suffixes[:8])})" if others else "nothing"
        raise UserError(f"{listing.source} holds no images: found {found}, expected files such as .jpg or .png")
    return listing


def list_images(source: Path) -> Listing:
    """Return every image file below folder ``source``, or in the zip ``source``, by name.

    Hidden files, ``__MACOSX`` and packed datasets in the folder are skipped.

    Raises:
        UserError: there is no such file or folder, or what is called a zip is not a whole one.
    """
    if source.is_dir():
        found = [ImageFile(path, path) for path in _walk(source)]
    elif source.is_file():
        found = [_zip_member(info) for info in _zip_directory(source) if info.filename and not info.is_dir()]
    else:
        what = "is neither a file nor a folder" if source.exists() else "does not exist"
        raise UserError(f"{source} {what}: give CelebA's zip or folder, or any folder or zip of images")
    listing = Listing(source)
    for file in found:
        if _HIDDEN.search(file.path):
            continue
        if _suffix(file.path) in IMAGE_SUFFIXES:
            listing.images.append(file)
        elif _suffix(file.path) in UNSUPPORTED_SUFFIXES:
            listing.unsupported.append(file.path)
        else:
            listing.others.append(file.path)
    cut = _common_folder([file.path for file in listing.images])
    listing.images = sorted(file._replace(name=file.path[cut:]) for file in listing.images)
    return listing


class Reader:
    """Reads files of one source; a context manager. Opened at the first read, so that each process has its own."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self._is_folder = source.is_dir()
        self._zip: BinaryIO | None = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._zip is not None:
            self._zip.close()

    def read(self, file: ImageFile) -> bytes:
        """Return the file's bytes.

        Raises:
            UnreadableError: it is damaged, encrypted, too large, or not to be opened; the message says which.
        """
        try:
            return self._read_file(file) if self._is_folder else self._read_member(file)
        except (OSError, zlib.error) as error:
            raise UnreadableError(str(getattr(error, "strerror", None) or error)) from error

    def _read_file(self, file: ImageFile) -> bytes:
        path = self.source / file.path
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for ever
            raise UnreadableError("not a regular file")
        _check_size(status.st_size)
        return path.read_bytes()

    def _read_member(self, file: ImageFile) -> bytes:
        """Read a member where the zip's directory said it is.

        ``zipfile`` would read the whole directory again in every process: seconds for 202,599 files.
        """
        _check_size(max(file.unpacked_bytes, file.packed_bytes))
        if file.flags & _ENCRYPTED:
            raise UnreadableError("encrypted in the zip")
        if file.method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnreadableError(f"zip compression method {file.method} is not supported: zip it again with deflate")
        if self._zip is None:
            self._zip = self.source.open("rb")
        self._zip.seek(file.offset)
        header = self._zip.read(_LOCAL_HEADER_BYTES)
        if header[:4] != b"PK\x03\x04" or len(header) < _LOCAL_HEADER_BYTES:
            raise UnreadableError("the zip is damaged at this file")
        skipped = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        self._zip.seek(file.offset + _LOCAL_HEADER_BYTES + skipped)
        data = self._zip.read(file.packed_bytes)
        if file.method == zipfile.ZIP_DEFLATED:
            # One byte more than promised is enough to notice a file that swells.
            data = zlib.decompressobj(-15).decompress(data, file.unpacked_bytes + 1)
        if len(data) != file.unpacked_bytes or zlib.crc32(data) != file.checksum:
            raise UnreadableError("damaged in the zip: its checksum is wrong")
        return data


def read_text_member(source: Path, path: str) -> bytes:
    """Return the bytes of a file of a source that is no image (an annotation file in a zip).

    Raises:
        UserError: it is damaged, or larger than any annotation file.
    """
    try:
        if source.is_dir():
            return read_bytes((source / path).resolve(), LARGEST_TEXT)
        with zipfile.ZipFile(source) as archive, archive.open(path) as member:
            content = member.read(LARGEST_TEXT + 1)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, ValueError, EOFError, OSError) as error:
        raise UserError(f"{path} in {source} cannot be read ({brief(error)}): download it again") from error
    if len(content) > LARGEST_TEXT:
        raise UserError(f"{path} in {source} has more than {LARGEST_TEXT:,} bytes: it is no annotation file of CelebA")
    return content


def _suffix(path: str) -> str:
    stem, _, suffix = path.rsplit("/", 1)[-1].rpartition(".")
    return f".{suffix.lower()}" if stem else ""


def _common_folder(paths: list[str]) -> int:
    """Return the length of the folder, with its ``/``, that all paths begin with."""
    folders = [path.split("/")[:-1] for path in paths] or [[]]
    length = 0
    for one, other in zip(min(folders), max(folders), strict=False):
        if one != other:
            break
        length += len(one) + 1
    return length


def _walk(root: Path) -> Iterator[str]:
    """Yield the paths of all files below ``root``, relative to it, following links but never in a circle."""
    seen: set[tuple[int, int]] = set()
    for folder, subfolders, files in os.walk(root, followlinks=True):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen or (folder != str(root) and "dataset.json" in files):
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders[:] = [name for name in subfolders if not name.endswith(".partial")]
        prefix = Path(folder).relative_to(root).as_posix()
        for file in files:
            yield file if prefix == "." else f"{prefix}/{file}"


def _zip_directory(source: Path) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(source) as archive:
            return archive.infolist()
    except OSError as error:
        raise UserError(f"{source} cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        with source.open("rb") as file:
            start = file.read(2048)
        raise UserError(f"{source} {_why_no_zip(start, source.stat().st_size)}") from error


def _why_no_zip(start: bytes, size: int) -> str:
    if not size:
        return "is empty: download it again"
    if b"<html" in start.lower() or start.lstrip().lower().startswith(b"<!doctype"):
        return (
            "is not a zip but an HTML page, which is what Google Drive sends when a file's download quota is used up: "
            "open it in a browser to see, and download the zip again"
        )
    for magic, what in _NOT_ZIP.items():
        if start.startswith(magic):
            return f"is not a zip but {what}"
    if start.startswith(b"PK"):
        return (
            f"is only part of a zip: its directory, which stands at the end, is missing after {size:,} bytes "
            f"(CelebA's img_align_celeba.zip has 1,443,490,838); download it again"
        )
    return f"is neither a folder nor a zip (it begins with {start[:8]!r}): give a folder or a zip of images"


def _zip_member(info: zipfile.ZipInfo) -> ImageFile:
    return ImageFile(
        info.filename,
        info.filename,
        info.header_offset,
        info.compress_size,
        info.file_size,
        info.CRC,
        info.compress_type,
        info.flag_bits,
    )


def _check_size(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise UnreadableError(f"{size:,} bytes: more than {MAX_FILE_BYTES:,}, no photograph is that large")
