"""``facegan plan``: what it prints of what was measured, and what it refuses."""

import json
import shlex

import pytest

from facegan.planning import plan as planning
from facegan.planning.measure import Measured
from facegan.training.schedule import USUAL_IMAGES, Schedule
from tests.command import facegan, mistake
from tests.conftest import small_recipe, train, write_packed


@pytest.fixture
def measured(monkeypatch):
    """Trials that take no time: 100 images/s, but not of classic-dcgan."""
    asked = []

    def measure(subject, *, tuned, stepping, limit):
        asked.append((subject.recipe, tuned, subject.batch))
        if subject.recipe == "classic-dcgan":
            return Measured(cut_off="its first step", seconds=limit)
        return Measured(images_per_s=100.0, rough=not tuned, steps=9, start=10.0, make=0.001, look=0.002, threads=2,
                        memory=5 * 10**8, snapshot_bytes=10**6)  # fmt: skip

    monkeypatch.setattr(planning, "measure", measure)
    return asked


def plans(*arguments):
    done = facegan("plan", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return {line["recipe"]: line for line in map(json.loads, done.stdout.splitlines())}


def test_one_recipe_is_measured_as_it_will_run(packed16, measured):
    one = plans(packed16, "--recipe", "dcgan", "--budget", "10m", "--batch", "32")["dcgan"]
    assert measured == [("dcgan", True, 32)]
    # 600 s at 100 images/s, less 3 snapshots of 2,000 faces (6 s) and 11 grids of 64
    assert one["images"] == pytest.approx(600 * 100 - 2 * 600 - 11 * 6.4, abs=100) and one["images"] % 32 == 0
    assert one["disk"] == 5 * 10**6 and one["seconds_before"] == pytest.approx(10 + 50 * 0.002 + 6)
    words = shlex.split(one["command"])
    assert words[:3] == ["facegan", "train", str(packed16)]
    assert words[words.index("--minutes") + 1] == "10" and words[words.index("--batch") + 1] == "32"
    assert "nothing is known" in one["expected"]["trust"] and one["expected"]["score"] is None  # at 16 px


def test_every_recipe_fits_or_says_why_not(packed16, measured):
    found = plans(packed16)
    assert set(found) == {"style-s", "style", "style-m", "dcgan", "classic-tanh", "classic-dcgan"}
    assert "not measured" in found["classic-dcgan"]["reason"] and "its first step" in found["classic-dcgan"]["reason"]
    assert all(not tuned for _, tuned, _ in measured)
    assert any("rough" in note for note in found["style-s"]["notes"])
    assert any("50 faces have no attributes" in note for note in found["style-s"]["notes"])


def test_a_size_that_a_recipe_has_not(tmp_path, measured):
    found = plans(write_packed(tmp_path / "packed", 30, 20))
    assert "20" in found["dcgan"]["reason"] and found["dcgan"]["costs"] is None
    assert found["classic-tanh"]["reason"] == ""
    assert "20" in mistake("plan", tmp_path / "packed", "--recipe", "dcgan")


def test_a_run_that_is_there_is_named(packed16, tmp_path, measured):
    train([packed16], tmp_path / "run", small_recipe("dcgan"), schedule=Schedule(images=0, score_count=0), batch=8)
    new = plans(packed16, "--recipe", "dcgan", "--run", tmp_path / "new")["dcgan"]
    there = plans(packed16, "--recipe", "dcgan", "--run", tmp_path / "run")["dcgan"]
    assert not any("is a run already" in note for note in new["notes"])
    assert any("run is a run already" in note for note in there["notes"])


def test_a_long_budget_is_limited_by_its_time_alone(packed16, measured):
    plan = plans(packed16, "--recipe", "dcgan", "--budget", "1d")["dcgan"]
    words = shlex.split(plan["command"])
    assert plan["images"] > USUAL_IMAGES and words[words.index("--minutes") + 1] == "1440" and "--images" not in words


def test_the_page_for_people(packed16, measured):
    done = facegan("plan", packed16, "--budget", "10m", "--run", "my runs/one", "--recipe", "dcgan")
    assert done.returncode == 0 and "100 images/s" in done.stdout and "500 MB of memory" in done.stdout
    assert "'my runs/one'" in done.stdout and "10 min" in done.stdout
    assert "measuring dcgan" in done.stderr and "lower is better" not in done.stdout  # no score is known at 16 px


def test_a_score_is_explained(tmp_path, measured):
    done = facegan("plan", write_packed(tmp_path / "packed", 30, 64), "--budget", "5m", "--recipe", "style-s")
    assert done.returncode == 0 and "quality  quick score" in done.stdout and "lower is better" in done.stdout


def test_nothing_measured_is_exit_code_1(packed16, measured):
    done = facegan("plan", packed16, "--recipe", "classic-dcgan")
    assert done.returncode == 1 and "not measured" in done.stdout and "lower is better" not in done.stdout


def test_few_steps_of_a_tuned_trial_ask_for_more_time(packed16, monkeypatch):
    def measure(subject, *, tuned, stepping, limit):
        return Measured(images_per_s=9.0, tuned=tuned, rough=True, steps=round(stepping), start=1.0, threads=1)

    monkeypatch.setattr(planning, "measure", measure)
    for time, steps in (("60s", 15), ("4m", 60)):
        notes = plans(packed16, "--recipe", "style", "--measure", time)["style"]["notes"]
        assert f"the rate is rough, since only {steps} steps went by: a longer --measure sees more" in notes


@pytest.mark.parametrize(("arguments", "word"), [
    (["--budget", "10"], "--budget"),
    (["--measure", "soon"], "--measure"),
    (["--recipe", "dcgann"], "did you mean dcgan"),
    (["--batch", "1"], "--batch"),
    (["--accelerator", "tpu"], "--accelerator"),
    (["--recipe", "dcgan", "--set", "width=3"], "did you mean"),
])  # fmt: skip
def test_wrong_values_are_named(packed16, measured, arguments, word):
    assert word in mistake("plan", packed16, *arguments)


def test_data_that_is_none(tmp_path):
    assert "nowhere" in mistake("plan", tmp_path / "nowhere")
    assert "--budget 5x" in mistake("plan", tmp_path / "nowhere", "--budget", "5x")
