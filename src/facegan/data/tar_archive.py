"""Plain tar files of images, such as WebDataset's shards: listed once, read member by member, never extracted."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import BinaryIO, NamedTuple

from facegan.data.folder import check_size
from facegan.errors import UserError, brief, check_not_denied

_DAMAGED = (tarfile.TarError, ValueError, EOFError, OverflowError, OSError)


class TarMember(NamedTuple):
    """Where the bytes of a file in a tar are; ``file``: the tar, relative to the source's folder."""

    file: str
    offset: int
    size: int


def read_directory(folder: Path, file: str) -> list[tuple[str, TarMember]]:
    """Return (path, place) of every ordinary file in a tar: ``faces-00000.tar/000123.png``.

    Raises:
        UserError: it cannot be read, or is not a whole tar.
    """
    path, found = folder / file, list[tuple[str, TarMember]]()
    try:
        with tarfile.open(path, "r:") as archive:
            while (member := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # else it keeps them all, a kilobyte each
                if member.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
                    place = TarMember(file, member.offset_data, member.size)
                    found.append((f"{file}/{member.name.removeprefix('./')}", place))
            end = archive.offset
        with path.open("rb") as content:
            content.seek(end)
            is_whole = content.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
    except _DAMAGED as error:
        check_not_denied(error)
        raise UserError(
            f"{path} is no plain tar ({brief(error)}): if it is compressed, such as a tar.gz, unpack it and give the "
            "folder; if not, make or download it again"
        ) from None
    if not is_whole:
        raise UserError(
            f"{path} is damaged, or cut short after {len(found):,} files: its end is missing; make or download it again"
        )
    return found


def read_member(archive: BinaryIO, member: TarMember) -> bytes:
    """Return the bytes of a member.

    Raises:
        OSError: it cannot be read.
        ValueError: it is cut short, or larger than any photograph.
    """
    check_size(member.size)
    archive.seek(member.offset)
    data = archive.read(member.size)
    if len(data) != member.size:
        raise ValueError("cut short in the tar")
    return data
