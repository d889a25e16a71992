"""A score's receipt: value, interval, and all that it depends on. Only receipts of one protocol can be compared.

Everything under ``protocol`` must be the same for two scores to mean the same: the feature space and its weights' hash,
the resize filter, how many faces, which real faces, labels or none.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from facegan.config_changes import differences, setting_text
from facegan.errors import UserError, brief, check_not_denied
from facegan.files import read_json, write_text
from facegan.metrics.intervals import Estimate

FORMAT_VERSION = 1
HIGHER_IS_BETTER = {"precision": True, "recall": True, "density": True, "coverage": True, "inception score": True,
                    "frechet": False, "kernel": False}  # fmt: skip


def four_digits(value: float) -> str:
    """Return a score as people read it: as many digits of 11 as of 11.38."""
    return f"{value:#.4g}".rstrip(".") if abs(value) < 1e4 else f"{value:,.0f}"


@dataclass(frozen=True)
class Score:
    """One score in one feature space."""

    name: str
    """frechet, kernel, precision, recall, density, coverage or inception score."""
    space: str
    estimate: Estimate
    floor: Estimate | None
    """The same between two halves of the real people."""
    extrapolated: float | None = None
    """At infinitely many faces, where that is known how."""


@dataclass(frozen=True)
class Receipt:
    """Scores of one model, with their protocol."""

    model: dict[str, Any]
    protocol: dict[str, Any]
    scores: list[Score]
    made: dict[str, Any]
    """When, with which versions, on which machine: of interest, and without influence on the value."""

    def to_dict(self) -> dict[str, Any]:
        return {"format_version": FORMAT_VERSION, **asdict(self)}

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        write_text(path, json.dumps(self.to_dict(), indent=1) + "\n")


def read_receipt(path: Path) -> Receipt:
    """Return the receipt in a JSON file.

    Raises:
        UserError: there is none, or it is damaged.
    """
    try:
        return receipt_of(read_json(path))
    except FileNotFoundError:
        raise UserError(f"there is no receipt at {path}: give the JSON file that facegan evaluate wrote") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        check_not_denied(error)
        raise UserError(f"{path} is no receipt of facegan evaluate ({brief(error)})") from None


def receipt_of(values: Mapping[str, Any]) -> Receipt:
    """Return the receipt that ``to_dict`` made these values of.

    Raises:
        ValueError, KeyError, TypeError: it did not.
    """
    if values["format_version"] != FORMAT_VERSION:
        raise ValueError(f"its format version is {values['format_version']!r:.40}")
    scores = [
        Score(
            str(row["name"]), str(row["space"]), _estimate(row["estimate"]),
            None if row["floor"] is None else _estimate(row["floor"]),
            None if row["extrapolated"] is None else float(row["extrapolated"]),
        )
        for row in values["scores"]
    ]  # fmt: skip
    if unknown := next((score.name for score in scores if score.name not in HIGHER_IS_BETTER), None):
        raise ValueError(f"its score {unknown!r:.40} is not known here")
    return Receipt(dict(values["model"]), dict(values["protocol"]), scores, dict(values["made"]))


def _estimate(values: Mapping[str, Any]) -> Estimate:
    found = Estimate(*(float(values[field]) for field in ("value", "standard_error", "low", "high")))
    if not all(map(math.isfinite, asdict(found).values())) or found.standard_error < 0:
        raise ValueError("a score is not finite, or its error is negative")
    return found


def _unlike(name: str, before: Any, after: Any) -> str:
    """Return in words how one field of two protocols differs: a space's whole description is too long to be read."""
    if isinstance(before, Mapping) or isinstance(after, Mapping):
        return f"{name}: only in the {'first' if after is None else 'second'}"
    return f"{name}: {setting_text(before)} and {setting_text(after)}"


@dataclass(frozen=True)
class Comparison:
    """How one score of A stands to B's."""

    name: str
    space: str
    one: Estimate
    other: Estimate
    verdict: str
    """"better", "worse" (A than B) or "not distinguishable"."""


def compare(one: Receipt, other: Receipt) -> list[Comparison]:
    """Compare the scores that two receipts have in common: they differ if 0 is outside the difference's interval.

    That interval reaches as far as the root of both reaches' squares (Zou and Donner 2008).

    Where labels came from is no difference to a model that takes none ("attributes" of ``model`` is False).

    Raises:
        UserError: the protocols differ; every field that does is named.
    """
    differing = [
        _unlike(name, before, after)
        for name, before, after in differences(one.protocol, other.protocol)
        if name != "labels" or all(receipt.model.get("attributes", True) for receipt in (one, other))
    ]  # fmt: skip
    if differing:
        raise UserError(f"the two scores are of unlike protocols and mean different things: {'; '.join(differing)}")
    found = {(score.name, score.space): score for score in other.scores}
    comparisons = []
    for score in one.scores:
        match = found.get((score.name, score.space))
        if match is None:
            continue
        mine, theirs = score.estimate, match.estimate
        difference = mine.value - theirs.value
        reach = math.hypot(mine.reach, theirs.reach)
        verdict = "not distinguishable"
        if abs(difference) > reach:
            verdict = "better" if (difference > 0) == HIGHER_IS_BETTER[score.name] else "worse"
        comparisons.append(Comparison(score.name, score.space, mine, theirs, verdict))
    if not comparisons:
        raise UserError("the two receipts have no score in common")
    return comparisons
