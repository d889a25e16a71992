"""Tar files whose bytes depend on nothing but what is in them."""

from __future__ import annotations

import hashlib
import tarfile
from typing import BinaryIO

_BLOCK = tarfile.BLOCKSIZE


class HashedTar:
    """Writes members into a file one after the other and hashes all of it on the way; memory is that of one member.

    No time, no owner and one order: the same members give the same bytes anywhere.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._digest = file, hashlib.sha256()
        self.size = 0
        """Bytes written so far."""

    def add(self, name: str, content: bytes) -> None:
        """Write a member; ``name`` has at most 100 bytes."""
        member = tarfile.TarInfo(name)
        member.size = len(content)
        self._write(member.tobuf(tarfile.USTAR_FORMAT))
        self._write(content)
        self._write(bytes(-len(content) % _BLOCK))

    def finish(self) -> str:
        """Write the end of the archive; return the sha256 of the whole file in hex."""
        self._write(bytes(2 * _BLOCK))
        return self._digest.hexdigest()

    def _write(self, content: bytes) -> None:
        self._file.write(content)
        self._digest.update(content)
        self.size += len(content)
