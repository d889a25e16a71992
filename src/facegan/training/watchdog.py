"""Whether a run is well: pure functions over its log.

The history is the log's lines, oldest first, as ``log.jsonl`` has them: lines with losses (``D_loss`` ...), lines of
grids (``variety``, ``repeats``) and lines of snapshots (``quick_score``); ``nimg`` in each. A value that was not
finite is None. An alarm belongs to the line with which its condition began to hold.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

History = Sequence[Mapping[str, Any]]

MOST_REWINDS = 2
REWIND_LR_FACTOR = 0.5
"""What both learning rates are multiplied by at each rollback."""
POLICY = (
    f"on a value that is not finite: back to the last good snapshot at half the learning rate, at most "
    f"{MOST_REWINDS} times, then stop"
)

_WINDOW_LINES = 5
_WINDOW_IMAGES = 6_000
"""A condition on losses must hold for this many lines, over at least this many images."""
_WON = 0.999
"""P(D(real) > D(fake)) above which D has won."""
_VANISHED = 0.02
_FOOLED = 0.95
_RANKS_RIGHT = 0.6
"""P(D(real) > D(fake)) above which D is not fooled, whatever its logits' offset."""
_HIGH_LOSS, _JUMP_IMAGES = 2.0, 640
_ALIKE, _APART = 0.2, 0.4
"""Variety below which samples are alike, and above which they have come apart."""
_ALL_ONE = 0.5
_GRACE = 20_000
"""Images after which samples must vary even if they never did."""
_WORSE = 3.0


@dataclass(frozen=True)
class Alarm:
    """Something that is wrong, and why we say so."""

    kind: str
    nimg: int
    message: str
    evidence: dict[str, Any]
    since: int
    """Images seen when it was still well: where to rewind to, at the latest."""

    @property
    def is_collapse(self) -> bool:
        """Whether ``--on-collapse`` decides; else a value was not finite."""
        return self.kind != "not-finite"


def not_finite(history: History) -> Alarm | None:
    """A loss, gradient or weight is NaN or infinite."""
    line = history[-1]
    broken = sorted(name for name, value in line.items() if value is None)
    if not broken:
        return None
    before = [entry["nimg"] for entry in history[:-1] if None not in entry.values()]
    message = f"{', '.join(broken)} is not finite"
    return Alarm("not-finite", line["nimg"], message, {"values": broken}, before[-1] if before else 0)


def nothing_learned(history: History) -> Alarm | None:
    """float16 could take no step since the line before: every gradient was not finite, whatever the loss's scale."""
    line = history[-1]
    stuck = [side for side in "DG" if line.get(f"{side}_skipped") == 1]
    if not stuck:
        return None
    before = [entry["nimg"] for entry in history[:-1] if not any(entry.get(f"{side}_skipped") == 1 for side in "DG")]
    message = f"no gradient of {' and '.join(stuck)} was finite in float16, so that nothing is learned"
    return Alarm("not-finite", line["nimg"], message, {"skipped": stuck}, before[-1] if before else 0)


def discriminator_won(history: History) -> Alarm | None:
    """D tells every fake from every real image, and G learns nothing from it: its gradient vanished or variety falls.

    P(D(real) > D(fake)) above 0.999 in every line of the window, and G's gradient below 2% of its largest so far, or
    variety below 0.7 of its best.
    """
    window = _window(history)
    if not window or any(line.get("D_ranks", 0.0) <= _WON for line in window):
        return None
    norms = [line["G_gradient_norm"] for line in history if "G_gradient_norm" in line]
    recent = statistics.median(line["G_gradient_norm"] for line in window)
    varieties = [line["variety"] for line in history if line.get("variety") is not None and line["nimg"] > 0]
    falling = len(varieties) >= 2 and varieties[-1] < 0.7 * max(varieties)
    if recent >= _VANISHED * max(norms) and not falling:
        return None
    message = "the discriminator tells every fake and the generator learns nothing more"
    evidence = {"P(D(real) > D(fake))": window[-1]["D_ranks"], "G_gradient_norm": recent, "largest": max(norms)}
    evidence["variety"] = varieties[-1:]
    return Alarm("discriminator-won", window[-1]["nimg"], message, evidence, window[0]["nimg"])


def discriminator_fooled(history: History) -> Alarm | None:
    """D takes every fake for real, for a whole window: it does not learn, and G learns from nothing.

    Losses that know differences only leave the logits' zero to chance; there D must also rank fakes no lower than real.
    """
    window = _window(history)
    if not window or any(
        line["D_on_G"] <= _FOOLED or line["D_accuracy_fake"] >= 0.05 or line.get("D_ranks", 0) > _RANKS_RIGHT
        for line in window
    ):
        return None
    message = "the discriminator takes every fake for real, and teaches the generator nothing"
    evidence = {name: window[-1][name] for name in ("D_on_G", "D_accuracy_fake")}
    return Alarm("discriminator-fooled", window[-1]["nimg"], message, evidence, window[0]["nimg"])


def loss_jumped(history: History) -> Alarm | None:
    """D's loss over the last 640 images is far above what guessing would cost, and not as it was before.

    A D that always answered 1/2 would have 0.69, or 1.39 where real and fake each have a mean of their own. Above 2
    and three times the lines before; or above 4, where there are fewer than three to compare with.
    """
    lines = [line for line in history if line.get("D_loss") is not None]
    recent: list[Mapping[str, Any]] = []
    while lines and (not recent or recent[0]["nimg"] - recent[-1]["nimg"] < _JUMP_IMAGES):
        recent.append(lines.pop())
    if not recent or recent[0]["nimg"] < _JUMP_IMAGES:
        return None
    before = [line["D_loss"] for line in lines[-_WINDOW_LINES:]]
    now = statistics.fmean(line["D_loss"] for line in recent[:-1] or recent)
    least = max(_HIGH_LOSS, 3 * statistics.median(before)) if len(before) >= 3 else 2 * _HIGH_LOSS
    if now <= least:
        return None
    message = f"D's loss was {now:.2f} over {_JUMP_IMAGES} images: it does far worse than by guessing"
    return Alarm("loss", recent[0]["nimg"], message, {"D_loss": now, "before": before}, recent[-1]["nimg"])


def little_variety(history: History) -> Alarm | None:
    """Samples of different latents are nearly alike in two grids running: below 0.2 of the data's own distance.

    They must have been apart before (0.4, the untrained generator not counted), or had 20,000 images to come apart.
    """
    return _alike(
        history, "variety", lambda value: value < _ALIKE, lambda value: value > _APART,
        "samples of different latents are nearly alike",
    )  # fmt: skip


def one_face(history: History) -> Alarm | None:
    """Half of the samples are near copies of one of them, in two grids running; conditions as for variety."""
    return _alike(
        history, "repeats", lambda value: value > _ALL_ONE, lambda value: value < 0.2,
        "half of the samples repeat one face",
    )  # fmt: skip


def _alike(
    history: History, name: str, bad: Callable[[float], bool], good: Callable[[float], bool], message: str
) -> Alarm | None:
    grids = [line for line in history if line.get(name) is not None]
    if len(grids) < 2 or not all(bad(line[name]) for line in grids[-2:]):
        return None
    trained = [line for line in grids[:-2] if line["nimg"] > 0]
    came_apart = any(good(line[name]) for line in trained)
    if not came_apart and grids[-2]["nimg"] < _GRACE:
        return None
    well = [line["nimg"] for line in trained if not bad(line[name])]
    evidence = {name: [line[name] for line in grids[-4:]], "at": [line["nimg"] for line in grids[-4:]]}
    return Alarm(name, grids[-1]["nimg"], message, evidence, well[-1] if well else 0)


def score_rose(history: History) -> Alarm | None:
    """The quick score has been above three times its best for three snapshots (the untrained one not counted).

    Scores of other counts of faces than the newest one's are others, as are those of version 0.1.0 (``score``).
    """
    name, faces = "quick_score", "quick_score_faces"
    scored = [line for line in history if line.get(name) is not None and line["nimg"] > 0]
    scored = [line for line in scored if line.get(faces) == scored[-1].get(faces)]
    if len(scored) < 4:
        return None
    best = min(scored[:-3], key=lambda line: line[name])
    if any(line[name] <= _WORSE * best[name] for line in scored[-3:]):
        return None
    evidence = {name: [line[name] for line in scored[-3:]], "best": best[name], "best at": best["nimg"]}
    message = f"the quick score is {scored[-1][name] / best[name]:.1f} times its best"
    return Alarm("score", scored[-1]["nimg"], message, evidence, best["nimg"])


def data_alike(history: History) -> Alarm | None:
    """The data itself is one image, again and again: nothing can be learned from it but to repeat it."""
    grids = [line for line in history if "data_distance" in line]
    if not grids or grids[-1]["data_distance"] >= 1e-3:
        return None
    nimg = grids[-1]["nimg"]
    return Alarm("data", nimg, "the images of the data are all alike", {"distance": grids[-1]["data_distance"]}, 0)


DETECTORS: Mapping[str, Callable[[History], Alarm | None]] = {
    "data": data_alike,
    "discriminator-won": discriminator_won,
    "discriminator-fooled": discriminator_fooled,
    "loss": loss_jumped,
    "variety": little_variety,
    "repeats": one_face,
    "score": score_rose,
}
"""By the kind of their alarm: everything but values that are not finite, which leave nothing else to say."""


def alarms(history: History) -> list[Alarm]:
    """Return the alarms whose condition began to hold with the last line of the history."""
    if not history:
        return []
    if (broken := not_finite(history) or nothing_learned(history)) is not None:
        return [broken]
    found = [alarm for detector in DETECTORS.values() if (alarm := detector(history)) is not None]
    if found and found[0].kind == "data":  # whatever else is alike follows from it
        found = found[:1]
    return [alarm for alarm in found if DETECTORS[alarm.kind](history[:-1]) is None]


def _window(history: History) -> History:
    """Return the last lines with losses, enough to judge by, or none."""
    lines: list[Mapping[str, Any]] = []
    for line in reversed(history):
        if line.get("D_loss") is not None and line.get("G_loss") is not None:  # D alone has no opponent
            lines.append(line)
            if len(lines) > _WINDOW_LINES and lines[0]["nimg"] - line["nimg"] >= _WINDOW_IMAGES:
                return lines[::-1]
    return []
