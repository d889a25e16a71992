"""What commands print: tables, and a console that survives when its reader leaves."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Collection, Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text


def discard_output() -> None:
    """Send standard output nowhere: its reader, such as ``head``, has left, and that is no error."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class OutputConsole(Console):
    """Rich's console, except that it does not end the process when its reader leaves."""

    def on_broken_pipe(self) -> None:
        discard_output()


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
    console = OutputConsole()
    if not console.is_terminal:
        console = OutputConsole(width=400)
    console.print(table, highlight=False)
