"""What viewers answered in a blind test: read, counted, and tested.

Made faces that were called photographs have passed. ``unsure`` is an answer of its own: it neither passes nor fails a
face, stays in the whole that shares are taken of, and counts half where right answers are counted.

Whether viewers could tell is a randomisation test (Fisher 1935): were the answers blind, the made faces of a sheet
would be any of its subsets of that size. The distribution of what such subsets score is exact, over all subsets and
however many viewers have looked; with one viewer and one sheet it is Fisher's hypergeometric one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facegan.errors import UserError, brief
from facegan.evaluation.blind import ACCEPTED, Cell, Key
from facegan.files import read_bytes
from facegan.metrics.proportions import effective_count, wilson

SIGNIFICANT = 0.05
MADE, UNSURE, PHOTO = 0, 1, 2
"""Answers; a subset of faces scores their sum."""
_WORDS = {
    **dict.fromkeys(("photo", "photograph", "real", "r", "p", "1"), PHOTO),
    **dict.fromkeys(("made", "fake", "m", "f", "0"), MADE),
    **dict.fromkeys(("unsure", "u", "?"), UNSURE),
}
_LARGEST = 1 << 20

Answers = Mapping[int, int]
"""By number: MADE, UNSURE or PHOTO."""


@dataclass(frozen=True)
class Kind:
    """How the made faces, or the photographs, of a test were answered."""

    shown: int
    """Answers; of several viewers, all of theirs."""
    passed: int
    """Answers that said photograph."""
    unsure: int
    share: float
    """``passed`` of ``shown``, 0 to 1."""
    low: float
    """Wilson's 95% interval of the share."""
    high: float


@dataclass(frozen=True)
class Result:
    """What one viewer saw, or several together."""

    viewer: str
    made: Kind
    photographs: Kind
    accuracy: float
    """Mean of the shares of made faces and of photographs that were known, 0 to 1; unsure is half. Chance is 1/2,
    however many of each there are."""
    p_value: float
    """Of answers that do not depend on what the faces are; two-sided."""

    @property
    def sentence(self) -> str:
        """What follows from it."""
        if self.p_value >= SIGNIFICANT:
            return (
                f"no telling apart is seen (p = {self.p_value:.2g}); the intervals say how much of it so few answers "
                "may hide"
            )
        how = "can be told apart" if self.accuracy > 0.5 else "are told apart, but taken for each other"
        return f"made faces and photographs {how} (p = {self.p_value:.2g})"


def read_answers(path: Path, key: Key) -> dict[int, int]:
    """Return a viewer's answers; sheets that were not begun are left out.

    Raises:
        UserError: no file, another test's answers, or a line that is no answer, a number that is none or comes twice,
            a sheet not answered to its end, or nothing answered at all.
    """
    try:
        text = read_bytes(path, _LARGEST).decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"there are no answers at --score {path}: give the filled answers.csv") from None
    except (OSError, ValueError) as error:
        raise UserError(f"--score {path} cannot be read ({brief(error)}): give the filled answers.csv") from None
    answers: dict[int, int] = {}
    seen: dict[int, int] = {}
    for line, content in enumerate(text.splitlines(), 1):
        row = content.replace('"', "").strip().rstrip(",;").strip()
        if (named := re.match(r"#\s*test\s+([0-9a-f]{12})\b", row)) and named[1] != key.test:
            raise UserError(f"--score {path}, line {line}: answers to test {named[1]}, and the key is {key.test}'s")
        if not row or row.startswith("#") or re.fullmatch(r"number[\s,;]+answer", row, re.IGNORECASE):
            continue
        number, answer = _parse(row, f"--score {path}, line {line}", key)
        if number in seen:
            raise UserError(f"--score {path}, line {line}: number {number} was there before, in line {seen[number]}")
        seen[number] = line
        if answer is not None:
            answers[number] = answer
    for cells in key.sheets():
        missing = [cell.number for cell in cells if cell.number not in answers]
        if 0 < len(missing) < len(cells):
            where = f", line {seen[missing[0]]}" if missing[0] in seen else ""
            raise UserError(
                f"--score {path}{where}: number {missing[0]} has no answer, nor have {len(missing) - 1} more of sheet "
                f"{cells[0].sheet}: answer a sheet to its end, with unsure where nothing can be said"
            )
    if not answers:
        raise UserError(f"--score {path}: nothing is answered; write behind each number {ACCEPTED}")
    return answers


def _parse(row: str, where: str, key: Key) -> tuple[int, int | None]:
    parts = [part for part in re.split(r"[\s,;:]+", row) if part]
    if not re.fullmatch(r"[0-9]{1,6}", parts[0] if parts else "") or len(parts) > 2:
        raise UserError(f"{where}: {row!r:.60} is no answer: write a number, a comma and {ACCEPTED}")
    number = int(parts[0])
    if number not in key.cells:
        raise UserError(f"{where}: there is no face {number}: the test has 1 to {len(key.cells)}")
    if len(parts) == 1:
        return number, None
    answer = _WORDS.get(parts[1].lower())
    if answer is None:
        raise UserError(f"{where}: {parts[1]!r:.40} is no answer to number {number}: write {ACCEPTED}")
    return number, answer


def result(viewer: str, answers: Sequence[Answers], key: Key) -> Result:
    """Return what one viewer's answers say, or those of several together.

    Each sheet is answered whole or not at all, as ``read_answers`` sees to. Intervals of several viewers' shares count
    for no more than the faces allow: many eyes on one face are not many faces.
    """
    kinds, known = [], []
    for made in (True, False):
        given = [
            (number, value) for part in answers for number, value in part.items() if key.cells[number].made is made
        ]
        kinds.append(_kind(given))
        mean = float(np.mean([value for _, value in given])) / PHOTO
        known.append(1 - mean if made else mean)
    return Result(viewer, kinds[0], kinds[1], sum(known) / 2, p_value(answers, key.sheets()))


def _kind(given: Sequence[tuple[int, int]]) -> Kind:
    number_N, value_N = np.array(given).T
    passed_N = value_N == PHOTO
    share, whole = float(passed_N.mean()), float(len(value_N))
    if (faces := len(np.unique(number_N))) < len(number_N):
        whole = min(effective_count(passed_N, number_N), float(faces))
    low, high = wilson(share * whole, whole)
    return Kind(len(value_N), int(passed_N.sum()), int((value_N == UNSURE).sum()), share, low, high)


def p_value(answers: Sequence[Answers], sheets: Sequence[Sequence[Cell]]) -> float:
    """Return how probable it is that as many other faces of each sheet, drawn blindly, score as far from their
    expectation as the made ones do."""
    observed, expected = 0, 0.0
    chances_T = np.ones(1)
    for cells in sheets:
        looking = [part for part in answers if cells[0].number in part]
        score_F = np.array([sum(part[cell.number] for part in looking) for cell in cells], np.int64)
        made = sum(cell.made for cell in cells)
        observed += int(sum(score for score, cell in zip(score_F, cells, strict=True) if cell.made))
        expected += made * float(score_F.mean())
        chances_T = np.convolve(chances_T, subset_scores(score_F, made))
    far_T = abs(np.arange(len(chances_T)) - expected) >= abs(observed - expected) - 1e-9
    return min(1.0, float(chances_T[far_T].sum()))


def subset_scores(score_F: np.ndarray, size: int) -> np.ndarray:
    """Return float64 [T + 1]: the probability of each sum of ``size`` of the scores (int64 [F], not negative), all
    subsets being equally probable.

    One score after the other is taken with the probability that a subset, so far drawn blindly, has of taking it.
    """
    largest = int(np.sort(score_F)[::-1][:size].sum())
    chance_KT = np.zeros((size + 1, largest + 1))  # of K taken so far with sum T
    chance_KT[0, 0] = 1.0
    taken_K1 = np.arange(size + 1)[:, None]
    for seen, score in enumerate(score_F):
        taking_KT = chance_KT * np.clip((size - taken_K1) / (len(score_F) - seen), 0, 1)
        chance_KT -= taking_KT
        chance_KT[1:, score:] += taking_KT[:-1, : largest + 1 - score]
    return chance_KT[size]
