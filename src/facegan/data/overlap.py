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
_MOST_APART = 6.0
"""Mean difference of thumbnails, of 255, below which two pictures of one name are the same one, saved again."""
_THUMBNAIL = 8
_MOST_SHARED = 0.5
"""Share of the smaller dataset's pictures from which on another holds it as good as whole."""


def refuse_shared_pictures(datasets: Sequence[PackedDataset]) -> None:
    """Refuse datasets that share pictures which only one of them holds out, or most of their pictures.

    Pictures are the same if all their pixels are, or if they have one name and look alike. Reads a line of pixels of
    each, and those whole that share it or their name.

    Raises:
        UserError: two datasets are such.
    """
    for a, b in combinations(datasets, 2):
        row_S2 = shared_rows(a, b)
        held_out_S2 = np.stack([a.held_out()[row_S2[:, 0]], b.held_out()[row_S2[:, 1]]], axis=1)
        unlike_S = held_out_S2[:, 0] != held_out_S2[:, 1]
        if unlike_S.any():
            first = unlike_S.argmax()
            raise UserError(
                f"{a.path} and {b.path} share {len(row_S2):,} pictures, and {int(unlike_S.sum()):,} of them are held "
                f"out in one and trained on in the other, such as {a.files[row_S2[first, 0]]} (held out in "
                f"{(a if held_out_S2[first, 0] else b).path}): scores and audits would be false. Give one of the two, "
                f"or prepare both with one --hold-out"
            )
        if len(row_S2) > _MOST_SHARED * min(len(a), len(b)):
            raise UserError(
                f"{a.path} and {b.path} share {len(row_S2):,} pictures, such as {a.files[row_S2[0, 0]]}: they would "
                f"count double; give one of the two"
            )


def refuse_trained_on(datasets: Sequence[PackedDataset], trained: Sequence[PackedDataset]) -> None:
    """Refuse ``datasets`` that hold out pictures of ``trained``, on which a model was trained.

    Raises:
        UserError: a picture that one of them holds out is not held out in the other.
    """
    for a in datasets:
        for b in trained:
            if a.path.resolve() == b.path.resolve():
                continue
            row_S2 = shared_rows(a, b)
            trained_S = a.held_out()[row_S2[:, 0]] & ~b.held_out()[row_S2[:, 1]]
            if trained_S.any():
                raise UserError(
                    f"{int(trained_S.sum()):,} of the pictures that {a.path} holds out, such as "
                    f"{a.files[row_S2[trained_S.argmax(), 0]]}, are in {b.path}, on which the model was trained: give "
                    f"that dataset, or one whose held-out pictures the model has never seen"
                )


def shared_rows(one: PackedDataset, other: PackedDataset) -> np.ndarray:
    """Return int64 [S, 2]: the rows of each picture that both datasets hold."""
    row_of = {line: row for row, line in enumerate(_middle_lines(one.images))}
    lines = enumerate(_middle_lines(other.images))
    pairs = {
        (row_of[line], row)
        for row, line in lines
        if line in row_of and np.array_equal(one.images[row_of[line]], other.images[row])
    }
    row_of_name = {name: row for row, name in enumerate(one.files)}
    named = np.array(
        [(row_of_name[name], row) for row, name in enumerate(other.files) if name in row_of_name], np.int64
    )
    for part_P2 in np.split(named.reshape(-1, 2), range(_ROWS_AT_A_TIME, len(named), _ROWS_AT_A_TIME)):
        apart_P = np.abs(_thumbnails(one.images[part_P2[:, 0]]) - _thumbnails(other.images[part_P2[:, 1]])).mean(
            (1, 2, 3)
        )
        pairs.update(map(tuple, part_P2[apart_P < _MOST_APART].tolist()))
    return np.array(sorted(pairs), np.int64).reshape(-1, 2)


def _middle_lines(image_NHWC: np.ndarray) -> list[bytes]:
    middle = image_NHWC.shape[1] // 2
    lines: list[bytes] = []
    for start in range(0, len(image_NHWC), _ROWS_AT_A_TIME):
        lines += [line.tobytes() for line in image_NHWC[start : start + _ROWS_AT_A_TIME, middle]]
    return lines


def _thumbnails(image_NHWC: np.ndarray) -> np.ndarray:
    """Return float [N, T, T, 3]: means of squares of the images."""
    side = image_NHWC.shape[1]
    edges = np.linspace(0, side, min(side, _THUMBNAIL) + 1).astype(np.int64)[:-1]
    size = np.diff(np.append(edges, side)).astype(np.float64)
    total_NTTC = np.add.reduceat(np.add.reduceat(image_NHWC, edges, axis=1, dtype=np.float64), edges, axis=2)
    return total_NTTC / (size[:, None, None] * size[:, None])
