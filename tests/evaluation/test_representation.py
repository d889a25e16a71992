"""The audit of who is left out: shares, intervals and corrections with known answers."""

import numpy as np
import pytest

from facegan.attributes import ATTRIBUTE_NAMES
from facegan.evaluation.representation import attribute_shares
from facegan.metrics.proportions import effective_count, holm, wilson


def seen(number, count, shares):
    return np.random.default_rng(number).random((count, len(ATTRIBUTE_NAMES))) < shares


def test_wilson_and_holm_are_those_of_the_textbooks():
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=2e-4)  # Newcombe 1998
    assert wilson(0, 20)[0] == 0.0 and wilson(20, 20)[1] == 1.0
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_only_who_is_missing_is_named():
    shares = np.full(40, 0.3)
    fewer = shares.copy()
    fewer[[ATTRIBUTE_NAMES.index("Eyeglasses"), ATTRIBUTE_NAMES.index("Male")]] = 0.1, 0.5
    rows = attribute_shares(seen(0, 4000, fewer), seen(1, 3000, shares), np.zeros(3000, int))
    verdicts = {row.name: row.verdict for row in rows if row.verdict}
    assert verdicts["Eyeglasses"] == "too seldom" and verdicts["Male"] == "too often"
    assert all("Eyeglasses" in name or "Male" in name for name in verdicts)
    glasses = next(row for row in rows if row.name == "Eyeglasses")
    assert glasses.low < -0.2 < glasses.high < 0


def test_intervals_hold_what_they_promise_and_equals_raise_no_alarm():
    shares = np.full(40, 0.2)
    held, alarms = [], 0
    for number in range(40):
        rows = attribute_shares(seen(2 * number, 800, shares), seen(2 * number + 1, 900, shares), np.zeros(900, int))
        held += [row.low <= 0 <= row.high for row in rows[:40]]
        alarms += any(row.verdict for row in rows)
    assert 0.93 <= np.mean(held) <= 0.975
    assert alarms <= 6


def test_ten_pictures_of_a_person_are_not_ten_people():
    person = np.repeat(np.arange(1, 301), 10)
    there = np.random.default_rng(0).random(300)[person - 1] < 0.3
    assert effective_count(there, person) == pytest.approx(300, rel=0.01)
    assert effective_count(there, np.arange(1, 3001)) == pytest.approx(3000, rel=0.01)
    assert effective_count(np.zeros(3000, bool), person) == 300
    assert effective_count(np.arange(3000) % 10 < 3, person) == 3000  # all shares are equal
