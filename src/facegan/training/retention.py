"""Which snapshots of a run are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def kept(nimgs: Sequence[int], scores: Mapping[int, float], *, newest: int, every: int = 0) -> set[int]:
    """Return which of the snapshots at these numbers of images stay.

    The ``newest`` ones; the first of each ``every`` images (0: none); and the one with the best (lowest) score.
    """
    ordered = sorted(nimgs)
    staying = set(ordered[-newest:])
    if every:
        first_of: dict[int, int] = {}
        for nimg in ordered:
            first_of.setdefault(nimg // every, nimg)
        staying |= set(first_of.values())
    if (best := best_of(nimgs, scores)) is not None:
        staying.add(best)
    return staying


def best_of(nimgs: Sequence[int], scores: Mapping[int, float]) -> int | None:
    """Return the snapshot with the lowest score, the latest of equals; the newest if none has a score; None of none."""
    scored = [nimg for nimg in nimgs if nimg in scores]
    return min(scored, key=lambda nimg: (scores[nimg], -nimg), default=max(nimgs, default=None))
