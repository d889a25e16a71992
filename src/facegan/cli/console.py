"""What commands print, and where: tables, and streams that survive when their reader has gone."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


class Outlet(io.RawIOBase):
    """Standard output or error that ends no work: what a full disk, or a reader that left, does not take is dropped."""

    def __init__(self, raw: Any, owner: object) -> None:
        """``owner``: the stream that would close ``raw`` once nothing refers to it."""
        self.raw, self._owner = raw, owner
        self.failure: OSError | None = None
        """Why something was dropped."""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self.raw.fileno())

    def isatty(self) -> bool:
        return bool(self.raw.isatty())

    def write(self, data: Any) -> int | None:
        if self.failure is None:
            try:
                return self.raw.write(data)
            except OSError as error:
                self.failure = error
        return len(data)


def settle_streams() -> None:
    """Let anything be printed anywhere: what a terminal or a file cannot show is escaped; where nothing is open, or
    can be written any more, nothing is shown."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:  # else the next file that is opened would get what is printed
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w" if number else "r", encoding="utf-8"))  # noqa: PTH123, SIM115
    sys.stdout, sys.stderr = _settled(sys.stdout), _settled(sys.stderr)


def _settled(stream: Any) -> Any:
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # under PYTHONUNBUFFERED there is no buffer between
    if not isinstance(stream, io.TextIOWrapper) or not isinstance(raw, io.RawIOBase) or isinstance(raw, Outlet):
        return stream
    stream.flush()
    at_once = stream.line_buffering or stream.write_through
    outlet = io.BufferedWriter(Outlet(raw, stream))
    return io.TextIOWrapper(outlet, stream.encoding, errors="backslashreplace", line_buffering=at_once)


def lost_output() -> OSError | None:
    """Write out what was printed; return why some is lost, unless a reader such as ``head`` left: that is no error."""
    sys.stdout.flush()
    failure = getattr(getattr(getattr(sys.stdout, "buffer", None), "raw", None), "failure", None)
    return None if isinstance(failure, BrokenPipeError) else failure


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, left: Collection[str]) -> None:
    """Print rows of text under their headings; columns not in ``left`` are aligned to the right.

    Only a terminal cuts or folds wide rows. Cells may hold text from files: it is never markup, and cannot control the
    terminal.
    """
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold", justify="left" if heading in left else "right")
    for row in rows:
        table.add_row(*(Text("".join(letter if letter.isprintable() else "?" for letter in cell)) for cell in row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=400)
    console.print(table, highlight=False)
