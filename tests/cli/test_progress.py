"""What a person sees of a training: how long it will be, and a bar of what is left."""

import io
import json
import re

import pytest
from rich.console import Console

from facegan.cli.progress import JsonListener, TerminalListener
from facegan.training.schedule import Schedule
from tests.conftest import small_recipe, train


def drawn(*steps):
    """Return (completed, total) of the bar after steps (images, images to reach, rate, seconds left)."""
    with TerminalListener(Console(file=io.StringIO(), force_terminal=True)) as listener:
        for nimg, *rest in steps:
            listener.progress(nimg, *rest)
        (task,) = listener._bar.tasks
        return task.completed, task.total


def test_the_bar_of_a_run_is_of_the_whole_run():
    assert drawn((100, 400, 2.0, 150.0), (200, 400, 2.0, 100.0)) == (200, 400)


def test_the_bar_of_a_call_with_a_time_is_of_that_call():
    assert drawn((1000, None, 2.0, 100.0), (1100, None, 2.0, 50.0)) == (100, 200)


@pytest.mark.parametrize(
    ("schedule", "ended", "line"),
    [
        (Schedule(images=16, score_count=0), "images", r"^  until 16 images( \(about .*\))?$"),
        (Schedule(minutes=0.001, score_count=0), "minutes", r"^  for 0\.001 minutes( \(about .* images\))?$"),
        (
            Schedule(images=16, minutes=90, score_count=0), "images",
            r"^  until 16 images.* or for 90 minutes.*, whichever is first$",
        ),
    ],
)  # fmt: skip
def test_a_training_says_how_long_it_will_be_and_what_ended_it(tmp_path, packed16, schedule, ended, line):
    told = io.StringIO()
    options = {"precision": "float32", "threads": 1, "conv": "direct", "batch": 8, "schedule": schedule}
    with TerminalListener(Console(file=told)) as listener:
        result = train([packed16], tmp_path / "run", small_recipe("dcgan"), listener=listener, **options)
    assert result.ended == ended
    assert re.search(line, told.getvalue(), re.MULTILINE)


def test_the_rate_says_how_long_that_is():
    told = io.StringIO()
    with TerminalListener(Console(file=told)) as listener:
        fields = dict.fromkeys(("images", "minutes"))
        fields |= {
            "run": "runs/a", "recipe": "dcgan", "resolution": 64, "nimg": 100, "faces": 9, "held_out": 0, "threads": 1,
            "processes": 1, "device": "cpu", "precision": "float32", "origin": "", "generator": {}, "discriminator": {},
            "forms": "auto", "images_per_s": 10.0, "snapshot_bytes": 1, "needed_bytes": 1, "free_bytes": 9,
            "on_collapse": "warn",
        }  # fmt: skip
        listener.event("start", **(fields | {"images": 72_100}))
        listener.event("start", **(fields | {"minutes": 30}))
    assert "  until 72,100 images (about 2 h 00 min)" in told.getvalue()
    assert "  for 30 minutes (about 18,000 images)" in told.getvalue()


def test_what_is_not_finite_is_null_in_json(capsys):
    JsonListener().event("log", D_loss=float("nan"), G_loss=float("-inf"), nimg=8)
    line = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert line == {"event": "log", "D_loss": None, "G_loss": None, "nimg": 8}
