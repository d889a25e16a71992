"""Names of what many faces are written into; known before anything heavy is loaded."""

from __future__ import annotations

import re
from pathlib import Path

from facegan.errors import UserError

DESCRIPTION = ".made.json"
"""In a folder of faces: what made them."""
NUMBER = re.compile(r"%0([1-9])d")
"""Where the number of a shard goes in its name."""
FORMATS = ("png", "npy")
"""What a face may be in a shard."""


def check_pattern(pattern: Path) -> None:
    """Refuse a path of shards without a place for the number.

    Raises:
        UserError: there is none in the file's name, or several.
    """
    if len(NUMBER.findall(pattern.name)) != 1 or pattern.name.count("%") != 1:
        example = pattern.with_name(f"{pattern.stem.partition('%')[0].rstrip('-') or 'faces'}-%05d.tar")
        raise UserError(f"--out {pattern}: write once where the number of the shard goes, such as {example}")


def parse_share(text: str) -> tuple[int, int]:
    """Return (I, N) of ``--shard I/N``.

    Raises:
        UserError: it is not so written, or I is not from 1 to N.
    """
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise UserError(f"--shard {text}: write I/N, such as 1/4 for the first of four shares, to 4/4 for the last")
    return int(found[1]), int(found[2])
