"""``facegan runs``: what it shows and what it would delete."""

import json
import shutil

import pytest

from facegan.errors import UserError
from facegan.runs.folder import RunFolder
from facegan.runs.overview import find_runs, overview, reclaim, reclaimable
from facegan.training.schedule import Schedule
from tests.command import facegan
from tests.conftest import small_recipe, train


@pytest.fixture(scope="module")
def made(tmp_path_factory, packed16):
    folder = tmp_path_factory.mktemp("runs")
    schedule = Schedule(images=64, log_every=8, sample_every=32, snapshot_every=16, keep=9, score_count=4)
    for name in ("one", "inner/two"):
        train([packed16], folder / name, small_recipe("dcgan"), batch=8, schedule=schedule, precision="float32",
              threads=1, conv="direct")  # fmt: skip
    return folder


@pytest.fixture
def runs(made, tmp_path):
    shutil.copytree(made, tmp_path / "runs")
    return tmp_path / "runs"


def command(*arguments, answer=""):
    return facegan("runs", *arguments, answer=answer)


def test_runs_are_found_and_described(runs):
    assert [run.path.name for run in find_runs(runs)] == ["two", "one"]
    with RunFolder(runs / "one").locked():
        one = overview(RunFolder(runs / "one"))
    assert (one.recipe, one.resolution, one.nimg, one.target, one.health) == ("dcgan", 16, 64, 64, "well")
    assert one.training and not overview(RunFolder(runs / "inner" / "two")).training
    assert one.images_per_s > 0 and one.quick_score > 0 and one.bytes > 100_000
    assert (runs / "one" / "snapshots" / one.best).is_dir()
    with pytest.raises(UserError, match="is no folder"):
        find_runs(runs / "nowhere")


def test_the_command_shows_a_table_or_json(runs):
    (runs / "one" / "incidents.jsonl").write_text('{"kind": "variety", "nimg": 48, "action": "warn"}\n')
    (runs / "inner" / "two" / "run.json").write_text("{")
    done = command(runs)
    assert done.returncode == 0 and "variety at 48: warn" in done.stdout and "64 of 64" in done.stdout
    assert "damaged" in done.stdout
    lines = [json.loads(line) for line in command(runs, "--json").stdout.splitlines()]
    assert {line.get("recipe") for line in lines} == {"dcgan", None}
    assert command(runs / "nowhere").returncode == 2
    assert command(runs, "--yes").returncode == 2
    assert len(command(runs, runs / "one", "--json").stdout.splitlines()) == 2, "named twice, listed once"


def test_clean_asks_and_keeps_the_newest_and_the_best(runs):
    folder = RunFolder(runs / "one")
    best = overview(folder).best
    (folder.snapshots / ".nimg-000000080.partial").mkdir()
    shutil.copytree(folder.snapshot(64), folder.snapshots / "set-aside-1-nimg-000000080")
    before = sorted(path.name for path in folder.snapshots.iterdir())
    refused = command("clean", runs / "one", answer="n\n")
    assert refused.returncode == 0 and "nothing deleted" in refused.stdout
    unanswered = command("clean", runs / "one", answer="")
    assert unanswered.returncode == 1 and "--yes" in unanswered.stdout
    assert sorted(path.name for path in folder.snapshots.iterdir()) == before
    done = command("clean", runs / "one", answer="y\n")
    assert done.returncode == 0 and "MB freed" in done.stdout
    assert sorted(path.name for path in folder.snapshots.iterdir()) == sorted({best, "nimg-000000064"})
    assert "nothing to delete" in command("clean", runs / "one").stdout


def test_a_whole_snapshot_stays_beside_a_damaged_one(runs):
    folder = RunFolder(runs / "one")
    for path in folder.list_snapshots():
        if path != folder.snapshot(48):
            (path / "generator.safetensors").write_bytes(b"cut off")
    assert folder.snapshot(48) not in {item.path for item in reclaimable(folder)}
    assert {item.path for item in reclaimable(folder)} >= {folder.snapshot(0), folder.snapshot(16)}


def test_a_run_that_is_being_trained_is_left_alone(runs):
    folder = RunFolder(runs / "one")
    items = reclaimable(folder)
    assert items
    with folder.locked():
        assert reclaimable(folder) == []
        assert reclaim(RunFolder(runs / "one"), items) == 0
    assert all(item.path.exists() for item in items)
