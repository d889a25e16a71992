"""Zips as people have them: listed once, read member by member, never extracted."""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple

from facegan.data.folder import check_size
from facegan.errors import UserError, brief, reason

_LOCAL_HEADER_BYTES = 30
_ENCRYPTED = 0x1
_CHUNK = 1 << 20
_DAMAGED = (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, ValueError, EOFError, OSError, KeyError)
_NOT_ZIP = {
    b"7z\xbc\xaf": "a 7z archive: unpack it and give the folder",
    b"Rar!": "a rar archive: unpack it and give the folder",
    b"\x1f\x8b": "a gzip or tar.gz archive: unpack it and give the folder",
    b"\x89PNG": "a picture: give the folder that it lies in",
    b"\xff\xd8\xff": "a picture: give the folder that it lies in",
}


class ZipMember(NamedTuple):
    """Where the bytes of a file in a zip are."""

    offset: int
    packed_bytes: int
    unpacked_bytes: int
    checksum: int
    method: int
    flags: int


def read_directory(source: Path) -> list[tuple[str, ZipMember]]:
    """Return (path, place) of every file in a zip; the paths have ``/``, also where Windows wrote them.

    Raises:
        UserError: it cannot be read, or is not a whole zip.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            members = archive.infolist()
    except OSError as error:
        raise UserError(f"{source} cannot be read: {reason(error)}") from error
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        with source.open("rb") as file:
            start = file.read(2048)
        raise UserError(f"{source} {_why_no_zip(start, source.stat().st_size)}") from error
    return [
        (
            _path(info),
            ZipMember(
                info.header_offset, info.compress_size, info.file_size, info.CRC, info.compress_type, info.flag_bits
            ),
        )
        for info in members
        if info.filename and not _path(info).endswith("/")
    ]


def _path(info: zipfile.ZipInfo) -> str:
    return info.filename.replace("\\", "/")


def read_member(archive: BinaryIO, member: ZipMember) -> bytes:
    """Return the bytes of a member, at the place that the zip's directory said.

    ``zipfile`` would read the whole directory again in every process: seconds for 202,599 files.

    Raises:
        OSError, zlib.error: it cannot be read.
        ValueError: it is damaged, encrypted, or larger than any photograph.
    """
    check_size(max(member.unpacked_bytes, member.packed_bytes))
    if member.flags & _ENCRYPTED:
        raise ValueError("encrypted in the zip")
    if member.method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"zip compression method {member.method} is not supported: zip it again with deflate")
    archive.seek(member.offset)
    header = archive.read(_LOCAL_HEADER_BYTES)
    if header[:4] != b"PK\x03\x04" or len(header) < _LOCAL_HEADER_BYTES:
        raise ValueError("the zip is damaged at this file")
    skipped = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    archive.seek(member.offset + _LOCAL_HEADER_BYTES + skipped)
    data = archive.read(member.packed_bytes)
    if member.method == zipfile.ZIP_DEFLATED:
        # One byte more than promised is enough to notice a file that swells.
        data = zlib.decompressobj(-15).decompress(data, member.unpacked_bytes + 1)
    if len(data) != member.unpacked_bytes or zlib.crc32(data) != member.checksum:
        raise ValueError("damaged in the zip: its checksum is wrong")
    return data


def read_start(source: Path, paths: list[str], count: int) -> dict[str, bytes]:
    """Return {path: its first bytes} of members of a zip, none of what cannot be read."""
    found = dict.fromkeys(paths, b"")
    if not paths:
        return found
    with zipfile.ZipFile(source) as archive:
        for info in archive.infolist():
            if _path(info) in found:
                with suppress(*_DAMAGED), archive.open(info) as member:
                    found[_path(info)] = member.read(count)
    return found


def open_text_member(source: Path, path: str, *, kept: int, limit: int) -> bytes | Path:
    """Return an annotation file in a zip: its bytes, or, where it has more than ``kept``, a temporary file of them.

    Raises:
        UserError: it is damaged, or has more than ``limit`` bytes.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            info = next(info for info in archive.infolist() if _path(info) == path)
            with archive.open(info) as member:
                content = member.read(min(kept, limit) + 1)
                if len(content) <= min(kept, limit):
                    return content
                if (copy := _copied(content, member, limit)) is not None:
                    return copy
    except (*_DAMAGED, StopIteration) as error:
        raise UserError(f"{path} in {source} cannot be read ({brief(error)}): download it again") from error
    raise UserError(f"{path} in {source} has more than {limit:,} bytes: it is no annotation file of its images")


def _copied(start: bytes, rest: IO[bytes], limit: int) -> Path | None:
    """Return a temporary file with ``start`` and ``rest``, None if they are longer than ``limit``."""
    with tempfile.NamedTemporaryFile(prefix="facegan-table-", delete=False) as file:
        copy = Path(file.name)
        try:
            while start and file.tell() + len(start) <= limit:
                file.write(start)
                start = rest.read(_CHUNK)
        except BaseException:
            copy.unlink()
            raise
    if start:
        copy.unlink()
        return None
    return copy


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
