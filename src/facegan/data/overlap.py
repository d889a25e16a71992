"""The same pictures in two datasets: they count double, or would be held out and trained on at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from facegan.errors import UserError
from facegan.files import cache_folder, replaced

if TYPE_CHECKING:
    from facegan.data.packed import PackedDataset

_CACHE_VERSION = 1
_ROWS_AT_A_TIME = 1024
_MOST_CANDIDATES = 100
"""Pictures of one line of pixels that are looked at, such as those of one colour."""
_MOST_APART = 6.0
"""Mean difference of thumbnails, of 255, below which two pictures of one name are the same one, saved again."""
_THUMBNAIL = 8
_MOST_SHARED = 0.5
"""Share of the smaller dataset's pictures from which on another holds it as good as whole."""


@dataclass(frozen=True)
class Overlap:
    """What several datasets that are used together have in common."""

    left_out: list[np.ndarray]
    """bool [N] of each dataset: another one holds the picture out, so that nothing trains on it here either."""
    sentences: list[str]
    """What deserves a warning, for each two that share pictures."""


def overlap_of(datasets: Sequence[PackedDataset]) -> Overlap:
    """Return which pictures datasets share: whoever holds one out, it is trained on in none.

    Pictures are the same if all their pixels are, or if they have one name and look alike.

    Raises:
        UserError: two of them share most of their pictures.
    """
    left_out = [np.zeros(len(dataset), bool) for dataset in datasets]
    sentences = []
    for (first, a), (second, b) in combinations(enumerate(datasets), 2):
        row_S2 = shared_rows(a, b)
        if not len(row_S2):
            continue
        shared = f"{a.path} and {b.path} share {len(row_S2):,} pictures, such as {a.files[row_S2[0, 0]]}"
        if len(row_S2) > _MOST_SHARED * min(len(a), len(b)):
            raise UserError(f"{shared}: they would count double; give one of the two")
        one_S, other_S = a.held_out()[row_S2[:, 0]], b.held_out()[row_S2[:, 1]]
        left_out[first][row_S2[other_S & ~one_S, 0]] = True
        left_out[second][row_S2[one_S & ~other_S, 1]] = True
        unlike = int(np.count_nonzero(one_S != other_S))
        told = f"{unlike:,} that only one of them holds out are trained on in neither" if unlike else ""
        double = f"{len(row_S2) - unlike:,} count double" if len(row_S2) > unlike else ""
        sentences.append(f"{shared}: {', and '.join(filter(None, (double, told)))}")
    return Overlap(left_out, sentences)


def refuse_trained_on(datasets: Sequence[PackedDataset], trained: Sequence[PackedDataset]) -> None:
    """Refuse ``datasets`` that hold out pictures of ``trained``, on which a model was trained.

    Raises:
        UserError: a picture that one of them holds out is not held out in the other.
    """
    unused = _not_trained_on(trained)
    for a in datasets:
        for b, unused_N in zip(trained, unused, strict=True):
            if a.content_hash == b.content_hash:
                continue
            row_S2 = shared_rows(a, b)
            trained_S = a.held_out()[row_S2[:, 0]] & ~unused_N[row_S2[:, 1]]
            if trained_S.any():
                raise UserError(
                    f"{int(trained_S.sum()):,} of the pictures that {a.path} holds out, such as "
                    f"{a.files[row_S2[trained_S.argmax(), 0]]}, are in {b.path}, on which the model was trained: give "
                    f"that dataset, or one whose held-out pictures the model has never seen"
                )


def _not_trained_on(trained: Sequence[PackedDataset]) -> list[np.ndarray]:
    """Return bool [N] of each dataset of a training: it holds the picture out, or another of them does."""
    unused = [dataset.held_out().copy() for dataset in trained]
    for (first, a), (second, b) in combinations(enumerate(trained), 2):
        row_S2 = shared_rows(a, b)
        either_S = a.held_out()[row_S2[:, 0]] | b.held_out()[row_S2[:, 1]]
        unused[first][row_S2[either_S, 0]] = True
        unused[second][row_S2[either_S, 1]] = True
    return unused


def shared_rows(one: PackedDataset, other: PackedDataset) -> np.ndarray:
    """Return int64 [S, 2]: the rows of each picture that both datasets hold.

    Found once and kept in the cache: of a million faces it takes minutes.
    """
    digest = hashlib.sha256(json.dumps([_CACHE_VERSION, one.content_hash, other.content_hash]).encode())
    for dataset in (one, other):
        digest.update("\n".join(dataset.files).encode("utf-8", "surrogateescape"))
    file = cache_folder() / "shared" / f"{digest.hexdigest()[:32]}.npy"
    with suppress(OSError, ValueError, EOFError):
        known_S2 = np.load(file, allow_pickle=False)
        if known_S2.dtype == np.int64 and known_S2.ndim == 2 and known_S2.shape[1] == 2:
            return known_S2
    row_S2 = _found_rows(one, other)
    with suppress(OSError), replaced(file) as partial, partial.open("wb") as content:
        np.save(content, row_S2, allow_pickle=False)
    return row_S2


def _found_rows(one: PackedDataset, other: PackedDataset) -> np.ndarray:
    """Look for the same pictures: a line of pixels of each is read, and those whole that share it or their name."""
    mine_N, theirs_M = _line_hashes(one.images), _line_hashes(other.images)
    rows_of: dict[int, list[int]] = {}
    for row in np.flatnonzero(np.isin(mine_N, theirs_M)).tolist():
        rows_of.setdefault(int(mine_N[row]), []).append(row)
    pairs = set[tuple[int, int]]()
    for row in np.flatnonzero(np.isin(theirs_M, mine_N)).tolist():
        candidates = rows_of[int(theirs_M[row])][:_MOST_CANDIDATES]
        pairs.update((mine, row) for mine in candidates if np.array_equal(one.images[mine], other.images[row]))
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


def _line_hashes(image_NHWC: np.ndarray) -> np.ndarray:
    """Return uint64 [N]: a hash of the middle line of each image."""
    middle = image_NHWC.shape[1] // 2
    hash_N = np.empty(len(image_NHWC), np.uint64)
    for start in range(0, len(image_NHWC), _ROWS_AT_A_TIME):
        line_BWC = np.ascontiguousarray(image_NHWC[start : start + _ROWS_AT_A_TIME, middle])
        digests = b"".join(hashlib.blake2b(line, digest_size=8).digest() for line in line_BWC)
        hash_N[start : start + len(line_BWC)] = np.frombuffer(digests, np.uint64)
    return hash_N


def _thumbnails(image_NHWC: np.ndarray) -> np.ndarray:
    """Return float [N, T, T, 3]: means of squares of the images."""
    side = image_NHWC.shape[1]
    edges = np.linspace(0, side, min(side, _THUMBNAIL) + 1).astype(np.int64)[:-1]
    size = np.diff(np.append(edges, side)).astype(np.float64)
    total_NTTC = np.add.reduceat(np.add.reduceat(image_NHWC, edges, axis=1, dtype=np.float64), edges, axis=2)
    return total_NTTC / (size[:, None, None] * size[:, None])
