"""Reading small files that anybody may have written: ordinary ones only, of bounded size; JSON of bounded depth."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, NoReturn

LARGEST_JSON = 1 << 20
"""Bytes of a description (``run.json``, ``snapshot.json``, ``dataset.json``); ours have some thousand."""


def check_regular(path: Path) -> os.stat_result:
    """Return the status of an ordinary file.

    Raises:
        FileNotFoundError, NotADirectoryError: it is not there.
        ValueError: it is a symbolic link, a folder, a pipe or a device; the message says which.
    """
    status = path.lstat()
    if stat.S_ISREG(status.st_mode):
        return status
    kinds = {stat.S_ISLNK: "a symbolic link", stat.S_ISDIR: "a folder", stat.S_ISFIFO: "a pipe"}
    kind = next((name for is_kind, name in kinds.items() if is_kind(status.st_mode)), "a device")
    raise ValueError(f"it is {kind}, and not an ordinary file")


def read_bytes(path: Path, limit: int) -> bytes:
    """Return a file's content, of at most ``limit`` bytes.

    Raises:
        OSError, ValueError: as ``check_regular``, or it is larger.
    """
    size = check_regular(path).st_size
    if size > limit:
        raise ValueError(f"it has {size:,} bytes, where at most {limit:,} are expected")
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        return file.read(limit)


def parse_json(content: bytes) -> Any:
    """Return the value that JSON text in UTF-8 stands for.

    Raises:
        ValueError: it is none, has NaN or infinite numbers, or is nested too deeply.
    """
    try:
        return json.loads(content, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def read_json(path: Path, limit: int = LARGEST_JSON) -> Any:
    """Return the value in a JSON file.

    Raises:
        OSError, ValueError: as ``read_bytes`` and ``parse_json``.
    """
    return parse_json(read_bytes(path, limit))
