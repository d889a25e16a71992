"""How the quick score of real runs fell with the images they saw, and what that lets expect of another run.

``curves.json`` beside this file holds them (``benchmarks/plan_curves.py`` collects it from run folders). Of N images is
expected: the mean of the curves' log scores there, each interpolated over log N and averaged over a small stretch
around it, since a score goes up and down from snapshot to snapshot. The interval is for one new run. Its variance has
two parts: how much scores are off the trend of their curve, and how much runs that differ in their seed alone are apart
beyond that; a t quantile stands for how few scores and runs there are (degrees of freedom by Welch and Satterthwaite).
The score is the quick score of 2,000 faces, and lower is better.

Legend: N images seen, y log score.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).parent / "curves.json"
_T95 = (6.31, 2.92, 2.35, 2.13, 2.02, 1.94, 1.89, 1.86, 1.83, 1.81)
"""95% quantiles of Student's t for 1 to 10 degrees of freedom: the interval holds 90% of runs."""
_T95_MANY = 1.64
_REACH = 1.25
_FEWEST = 5
"""Scores of a curve from which on a trend is told from what is off it."""
_GRID = 1.1
"""Ratio of two neighbouring numbers of images at which curves are compared."""


@dataclass(frozen=True)
class Curve:
    """The scores of one run."""

    recipe: str
    resolution: int
    batch: int
    seed: int
    faces: int
    """Images that the run trained on."""
    points: tuple[tuple[int, float], ...]
    """(images seen, quick score), images rising and above 0."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings in which it differs from the recipe, by their dotted names."""
    facegan: str = ""
    name: str = ""

    def at(self, nimg: float) -> float | None:
        """Return the log score at so many images; None outside of what the run saw."""
        images, scores = np.array([point[0] for point in self.points]), np.array([point[1] for point in self.points])
        if not images[0] <= nimg <= images[-1]:
            return None
        return float(np.interp(math.log(nimg), np.log(images), np.log(scores)))

    @property
    def last(self) -> int:
        return self.points[-1][0]

    def around(self, nimg: float) -> float | None:
        """Return the mean log score from N / 1.25 to 1.25 N, as far as the run went; None outside of what it saw."""
        if self.at(nimg) is None:
            return None
        first = self.points[0][0]
        reach = min(_REACH, self.last / nimg, nimg / first)  # as far to both sides: a mean over a slope is its middle
        nearby = [self.at(min(max(nimg * factor, first), self.last)) for factor in np.geomspace(1 / reach, reach, 21)]
        return float(np.mean([y for y in nearby if y is not None]))

    def off_trend(self) -> tuple[float, float]:
        """Return the sum of squares of what log scores are off a parabola over log N, and its degrees of freedom.

        Half of them: neighbouring scores go up and down together. (0, 0) of fewer than five scores.
        """
        if len(self.points) < _FEWEST:
            return 0.0, 0.0
        x, y = (np.log([point[part] for point in self.points]) for part in (0, 1))
        off = y - np.polyval(np.polyfit(x - x.mean(), y, 2), x - x.mean())
        return float((off**2).sum() / 2), (len(off) - 3) / 2


@dataclass(frozen=True)
class Expected:
    """The quick score to expect of a run after so many images."""

    nimg: int
    score: float | None
    """None: nothing is known there."""
    low: float | None
    high: float | None
    """The interval that holds nine of ten such runs, if runs here are like the kept ones; None: it is not known."""
    curves: int
    """How many kept runs it rests on."""
    exact: bool
    """Whether those runs had the very settings that were asked about."""
    trust: str
    """How far to trust it, in words."""


@lru_cache
def kept_curves(file: Path = FILE) -> tuple[Curve, ...]:
    """Return the curves that come with facegan."""
    contents = json.loads(file.read_text(encoding="utf-8"))
    return tuple(
        Curve(
            recipe=entry["recipe"], resolution=entry["resolution"], batch=entry["batch"], seed=entry["seed"],
            faces=entry["faces"], settings=_frozen(entry["settings"]), facegan=entry["facegan"], name=entry["name"],
            points=tuple((int(nimg), float(score)) for nimg, score in entry["points"]),
        )
        for entry in contents["curves"]
    )  # fmt: skip


def _frozen(settings: Any) -> Any:
    """Return settings with tuples in place of JSON's lists, as configs have them."""
    if isinstance(settings, dict):
        return {name: _frozen(value) for name, value in settings.items()}
    return tuple(map(_frozen, settings)) if isinstance(settings, list) else settings


def expect(
    curves: Sequence[Curve],
    recipe: str,
    resolution: int,
    batch: int,
    settings: Mapping[str, Any],
    faces: int,
    nimg: int,
) -> Expected:
    """Return the score to expect of a recipe after ``nimg`` images, from the kept curves.

    ``settings``: in what the run differs from the recipe. ``faces``: images that it trains on.
    """
    same_size = [curve for curve in curves if curve.recipe == recipe and curve.resolution == resolution]
    if not same_size:
        sizes = sorted({curve.resolution for curve in curves if curve.recipe == recipe})
        seen = f" (only at {', '.join(map(str, sizes))} px)" if sizes else ""
        return Expected(nimg, None, None, None, 0, False, f"no run of it was kept{seen}: nothing is known")
    there = [curve for curve in same_size if curve.at(max(nimg, 1)) is not None]
    if not there:
        return Expected(nimg, None, None, None, 0, False, _outside(same_size, nimg))
    fewest = min(len(_differences(curve, batch, settings)) for curve in there)
    used = [curve for curve in there if len(_differences(curve, batch, settings)) == fewest]
    mean, half, how = _interval([curve.around(nimg) or 0.0 for curve in used], curves, recipe)
    told = [how, *_other_settings(used[0], batch, settings), *_other_data(used, faces)]
    low, high = (None, None) if math.isinf(half) else (math.exp(mean - half), math.exp(mean + half))
    return Expected(nimg, math.exp(mean), low, high, len(used), not fewest, "; ".join(told))


def _interval(values: Sequence[float], curves: Sequence[Curve], recipe: str) -> tuple[float, float, str]:
    """Return the mean of log scores, half the width of the interval for one more, and what that rests on."""
    own = [curve for curve in curves if curve.recipe == recipe]
    squares, along_freedom = _summed(own)
    if not along_freedom:
        squares, along_freedom = _summed(curves)
    along = squares / along_freedom if along_freedom else 0.0
    count = len(values)
    how = f"{count} kept runs" if count > 1 else "one kept run"
    spread, freedom = pooled_spread(own)
    if not freedom:
        spread, freedom = pooled_spread(curves)
        how += "; between runs it has the spread of other recipes" if freedom else "; without the spread between runs"
    between = max(0.0, spread**2 - along)
    total = along + between
    if total == 0:
        return sum(values) / count, math.inf, f"{how}; too few scores for an interval"
    shares = [part**2 / free for part, free in ((along, along_freedom), (between, freedom)) if free]
    effective = total**2 / sum(shares)
    return sum(values) / count, t95(effective) * math.sqrt(total * (1 + 1 / count)), how


def _summed(curves: Sequence[Curve]) -> tuple[float, float]:
    parts = [curve.off_trend() for curve in curves]
    return sum(squares for squares, _ in parts), sum(freedom for _, freedom in parts)


def t95(freedom: float) -> float:
    """Return the 95% quantile of Student's t; degrees of freedom are rounded down, to 1 at least."""
    whole = max(1, int(freedom))
    return _T95[whole - 1] if whole <= len(_T95) else _T95_MANY + (_T95[-1] - _T95_MANY) * len(_T95) / whole


def pooled_spread(curves: Sequence[Curve]) -> tuple[float, int]:
    """Return the standard deviation of log scores between runs of the same settings, and its degrees of freedom.

    Runs are compared at numbers of images that lie evenly on a log scale, as far as all of a group go; each group of k
    runs counts with k - 1 degrees of freedom, however many numbers it is compared at.
    """
    groups: dict[Any, list[Curve]] = {}
    for curve in curves:
        groups.setdefault((curve.recipe, curve.resolution, curve.batch, json.dumps(dict(curve.settings))), []).append(
            curve
        )
    total, freedom = 0.0, 0
    for group in groups.values():
        first, last = max(curve.points[0][0] for curve in group), min(curve.last for curve in group)
        if len(group) < 2 or first >= last:
            continue
        count = max(2, round(math.log(last / first) / math.log(_GRID)))
        at = np.geomspace(first, last, count).clip(first, last)
        variances = [float(np.var([y for curve in group if (y := curve.at(nimg)) is not None], ddof=1)) for nimg in at]
        total += float(np.mean(variances)) * (len(group) - 1)
        freedom += len(group) - 1
    return (math.sqrt(total / freedom), freedom) if freedom else (0.0, 0)


def _outside(used: Sequence[Curve], nimg: int) -> str:
    first, last = min(curve.points[0][0] for curve in used), max(curve.last for curve in used)
    if nimg < first:
        return f"nothing is known before {first:,} images"
    if nimg < last:
        before = max(curve.last for curve in used if curve.last < nimg)
        after = min(curve.points[0][0] for curve in used if curve.points[0][0] > nimg)
        return f"nothing is known between {before:,} and {after:,} images"
    longest = max(used, key=lambda curve: curve.last)
    return f"nothing is known beyond {last:,} images, where the score was {longest.points[-1][1]:.3g}"


def _differences(curve: Curve, batch: int, settings: Mapping[str, Any]) -> list[str]:
    """Return the settings of a kept run that are not those that were asked about."""
    names = [name for name in {**curve.settings, **settings} if curve.settings.get(name) != settings.get(name)]
    found = [f"{name}={curve.settings[name]}" if name in curve.settings else f"the usual {name}" for name in names]
    return found if curve.batch == batch else [f"batch {curve.batch}", *found]


def _other_settings(curve: Curve, batch: int, settings: Mapping[str, Any]) -> list[str]:
    found = _differences(curve, batch, settings)
    if not found:
        return []
    few = ", ".join(found[:4]) + (" ..." if len(found) > 4 else "")
    return [f"with other settings ({few}): a hint, no more"]


def _other_data(used: Sequence[Curve], faces: int) -> list[str]:
    least, most = min(curve.faces for curve in used), max(curve.faces for curve in used)
    if least / 2 <= faces <= most * 2:
        return []
    return [f"kept runs had {least:,} to {most:,} faces of CelebA, here are {faces:,}: what that changes is not known"]
