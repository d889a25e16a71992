"""Option types that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from facegan.config_changes import parse_count
from facegan.errors import UserError

MOST = 10**15
LABELS_HELP = "Attributes that are not asked for: drawn as in training (prior), or unknown, as in facegan 0.1.0 (none)."
Device = Annotated[str, typer.Option(help="auto (a GPU if there is one), cpu, cuda, or one of several GPUs: cuda:1.")]
"""Where a command computes that does not train."""


def count_option(text: str, flag: str, *, least: int = 1) -> int:
    """Return the number that a flag gives as ``64``, ``100k`` or ``2M``.

    Raises:
        UserError: it is no whole number, below ``least`` or above 10^15.
    """
    try:
        number = parse_count(text)
    except (ValueError, OverflowError):
        raise UserError(f"{flag} {text}: give a whole number such as 5000, 100k or 2M") from None
    if number < least:
        raise UserError(f"{flag} {text}: give at least {least}")
    if number > MOST:
        raise UserError(f"{flag} {text}: give at most {MOST:,}")
    return number


def labels_option(text: str) -> str:
    """Return where attributes come from that are not asked for.

    Raises:
        UserError: it is neither prior nor none.
    """
    if text not in ("prior", "none"):
        raise UserError(f"--labels {text}: choose prior or none")
    return text
