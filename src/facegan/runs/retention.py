"""Which snapshots of a run are kept, and the quick scores that say which is best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from facegan.errors import UserError
from facegan.runs.folder import RunFolder, nimg_of
from facegan.runs.snapshot import read_info


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


def score_state(value: float, faces: int, network: str) -> dict[str, Any]:
    """Return what a snapshot's state says of its quick score. Within one run, scores of as many faces by the same
    attributes-net (``network``: sha256 of its weights) are comparable."""
    return {"quick_score": value, "quick_score_faces": faces, "quick_score_network": network}


def without_score(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a snapshot's state without its score, which is not the next one's (``score``: of version 0.1.0)."""
    return {name: value for name, value in state.items() if name != "score" and not name.startswith("quick_score")}


def scores(folder: RunFolder) -> dict[int, float]:
    """Return {nimg: quick score} of a run's snapshots: those that can be read and have one of the newest one's kind."""
    found, kinds = {}, {}
    for path in folder.list_snapshots():
        try:
            state = read_info(path).state
        except UserError:
            continue
        if isinstance(score := state.get("quick_score"), float):
            nimg = nimg_of(path)
            found[nimg] = score
            kinds[nimg] = state.get("quick_score_faces"), state.get("quick_score_network")
    return {nimg: score for nimg, score in found.items() if kinds[nimg] == kinds[max(kinds)]}
