"""Times, and how far a training comes in them: answers that can be worked out by hand."""

import pytest

from facegan.durations import duration_text, seconds_of
from facegan.errors import UserError
from facegan.planning.forecast import Costs


@pytest.mark.parametrize(("text", "seconds"), [
    ("90s", 90), ("45m", 2700), ("2h", 7200), ("1d", 86400), ("1.5h", 5400), ("1h30m", 5400), (" 10 M ", 600),
])  # fmt: skip
def test_times_are_read(text, seconds):
    assert seconds_of(text, "--budget") == seconds


@pytest.mark.parametrize("text", ["", "10", "h", "-3m", "2 weeks", "0s", "1e9d", "400d", "1h 2", "nan s"])
def test_no_times(text):
    with pytest.raises(UserError, match="--budget"):
        seconds_of(text, "--budget")


def test_times_in_words():
    assert [duration_text(value) for value in (45, 600, 7500, 100 * 3600)] == [
        "45 s",
        "10 min",
        "2 h 05 min",
        "4 d 04 h",
    ]


def test_only_steps():
    costs = Costs(images_per_s=50, start=30)
    assert costs.images_within(600) == pytest.approx(30_000, abs=1)
    assert costs.whole(30_000) == 630


def test_grids_and_scores_take_time_from_the_steps():
    costs = Costs(images_per_s=100, start=5, reference=7, grid=2, score=10, write=1)
    assert costs.before == 22 and costs.after == 13
    # 40,000 images: 400 s of steps, 8 grids, 2 snapshots with their score
    assert costs.training(40_000) == 400 + 16 + 20
    assert costs.images_within(436) == pytest.approx(40_000, abs=1)
    assert costs.images_within(435) == pytest.approx(39_999, abs=1)  # what is due at 40,000 comes after them


def test_a_longer_time_never_gives_fewer_images():
    costs = Costs(images_per_s=73, start=5, grid=3, score=60)
    images = [costs.images_within(seconds) for seconds in range(10, 2000, 37)]
    assert images == sorted(images)
    assert all(costs.training(count) <= seconds + 1 for count, seconds in zip(images, range(10, 2000, 37), strict=True))
