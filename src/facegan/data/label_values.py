"""What the cells of label tables mean: -1/1, 0/1, true/false and yes/no, each column judged as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

TRUE, FALSE, EMPTY, OTHER = 2, -2, 100, 101
"""Codes of cells that are no number: words for yes and no, nothing, and what means nothing here."""
_WORDS = {
    "true": TRUE, "yes": TRUE, "t": TRUE, "y": TRUE, "false": FALSE, "no": FALSE, "f": FALSE, "n": FALSE,
    "": EMPTY, "nan": EMPTY, "na": EMPTY, "n/a": EMPTY, "null": EMPTY, "none": EMPTY, "?": EMPTY,
}  # fmt: skip
_MOST_CELLS_KEPT = 10_000
MOST_STRANGE = 0.1
"""Share of a column's cells that may mean nothing here; with more of them, the column is in another code."""
PARTITIONS = {
    "0": 0, "train": 0, "training": 0, "1": 1, "valid": 1, "val": 1, "validation": 1, "dev": 1, "2": 2, "test": 2,
    "testing": 2,
}  # fmt: skip
"""{how a table or a file name calls a partition: its number in CelebA}"""


class CellCodes(dict[str, int]):
    """{cell: its code}: 1, -1 and 0 for numbers, or ``TRUE``, ``FALSE``, ``EMPTY``, ``OTHER``."""

    def __missing__(self, cell: str) -> int:
        code = _code(cell)
        if len(self) < _MOST_CELLS_KEPT:
            self[cell] = code
        return code


def _code(cell: str) -> int:
    word = cell.strip().casefold()
    if word in _WORDS:
        return _WORDS[word]
    try:
        number = float(word) if len(word) < 20 else 2.0
    except ValueError:
        return OTHER
    return int(number) if number in (-1, 0, 1) else OTHER


class DecodedLabels(NamedTuple):
    """``values`` int8 [N, C]: -1/+1, 0 unknown; the columns in which 0 means absent, and those that hold no labels."""

    values: np.ndarray
    zero_is_absent: list[int]
    unusable: list[int]


def decode_labels(codes: np.ndarray) -> DecodedLabels:
    """Return what a table's codes (int8 [N, C]) mean.

    0 is absent in a column of 0 and 1, and unknown in a table where a column has both -1 and 0. In a column of
    nothing but 0 it is absent unless -1 stands in another. A column holds no labels where more than a tenth of its
    cells (and more than two) mean nothing, or where those do and none means absent: 1 and 2 may mean either.
    """
    has_minus, has_zero = (codes == -1).any(axis=0), (codes == 0).any(axis=0)
    nothing_else = ~_has_any(codes, (1, -1, TRUE, FALSE))
    zero_is_unknown = bool((has_minus & has_zero).any())
    absent = has_zero & ~has_minus & ~(nothing_else & has_minus.any()) & (not zero_is_unknown)
    values = np.zeros(codes.shape, np.int8)
    values[(codes == 1) | (codes == TRUE)] = 1
    values[(codes == -1) | (codes == FALSE) | ((codes == 0) & absent)] = -1
    said = np.count_nonzero(codes != EMPTY, axis=0)
    strange = np.count_nonzero(codes == OTHER, axis=0)
    one_sided = ~_has_any(codes, (-1, 0, FALSE))
    unusable = (strange > 2) & ((strange > MOST_STRANGE * said) | one_sided)
    values[:, unusable] = 0
    return DecodedLabels(values, _places(absent & ~unusable), _places(unusable))


def _has_any(codes: np.ndarray, wanted: Sequence[int]) -> np.ndarray:
    """Return bool [C]: which columns hold any of the wanted codes."""
    return np.any([(codes == code).any(axis=0) for code in wanted], axis=0)


def _places(mask: np.ndarray) -> list[int]:
    return np.flatnonzero(mask).tolist()


def number_of(cell: str, allowed: range, words: dict[str, int] | None = None) -> int:
    """Return a cell's whole number, -1 if it is none of ``allowed``; ``words`` leads from words to numbers."""
    word = cell.strip().casefold()
    if words and word in words:
        return words[word]
    word = word.removesuffix(".0")
    value = int(word) if word.isascii() and word.isdecimal() and len(word) < 11 else -1
    return value if value in allowed else -1


def listed(names: Sequence[str], most: int = 3) -> str:
    """Return the first names and how many more there are: ``Bald, Bangs and 3 more``."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
