"""The same pictures in two datasets: they would count double, or be held out and trained on at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from facegan.errors import UserError

if TYPE_CHECKING:
    from facegan.data.packed import PackedDataset

_ROWS_AT_A_TIME = 1024
_MOST_SHARED = 0.5
"""Share of the smaller dataset's pictures from which on another holds it as good as whole."""


def refuse_shared_pictures(datasets: Sequence[PackedDataset]) -> None:
    """Refuse datasets that share pictures which only one of them holds out, or most of their pictures.

    Pictures are the same if all their pixels are. Reads a line of pixels of each, and those whole that share it.

    Raises:
        UserError: two datasets are such.
    """
    lines = [_middle_lines(dataset.images) for dataset in datasets]
    held_out = [dataset.held_out() for dataset in datasets]
    for one, other in combinations(range(len(datasets)), 2):
        row_S2 = _shared_rows(datasets[one].images, lines[one], datasets[other].images, lines[other])
        if not len(row_S2):
            continue
        a, b = datasets[one], datasets[other]
        unlike_S = held_out[one][row_S2[:, 0]] != held_out[other][row_S2[:, 1]]
        if unlike_S.any():
            first = row_S2[unlike_S.argmax()]
            where = (a, b) if held_out[one][first[0]] else (b, a)
            raise UserError(
                f"{a.path} and {b.path} share {len(row_S2):,} pictures, and {int(unlike_S.sum()):,} of them are held "
                f"out in one and trained on in the other, such as {a.files[first[0]]} (held out in {where[0].path}): "
                f"scores and audits would be false. Give one of the two, or prepare both with one --hold-out"
            )
        if len(row_S2) > _MOST_SHARED * min(len(a), len(b)):
            raise UserError(
                f"{a.path} and {b.path} share {len(row_S2):,} pictures, such as {a.files[row_S2[0, 0]]}: they would "
                f"count double; give one of the two"
            )


def _middle_lines(image_NHWC: np.ndarray) -> list[bytes]:
    middle = image_NHWC.shape[1] // 2
    lines: list[bytes] = []
    for start in range(0, len(image_NHWC), _ROWS_AT_A_TIME):
        lines += [line.tobytes() for line in image_NHWC[start : start + _ROWS_AT_A_TIME, middle]]
    return lines


def _shared_rows(
    one_NHWC: np.ndarray, lines: Sequence[bytes], other_NHWC: np.ndarray, other_lines: Sequence[bytes]
) -> np.ndarray:
    """Return int64 [S, 2]: the rows of each picture that both arrays hold."""
    row_of = {line: row for row, line in enumerate(lines)}
    pairs = [(row_of[line], row) for row, line in enumerate(other_lines) if line in row_of]
    same = [pair for pair in pairs if np.array_equal(one_NHWC[pair[0]], other_NHWC[pair[1]])]
    return np.array(same, np.int64).reshape(-1, 2)
