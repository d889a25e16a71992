"""A run that was stopped ends in the same bytes as one that was not."""

import hashlib
import json
import shutil
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facegan.errors import UserError
from facegan.training.schedule import Schedule
from tests.conftest import small_recipe, train, write_packed

BATCH = 8
VARIANTS = {
    "classic-tanh": {},
    "classic-dcgan": {"flip": True, "fakes": "inference"},
    "dcgan": {"flip": True, "ema_halflife": 100, "real_label": 0.9},
    "style-s": {"ema_halflife": 100, "penalty_every": 2, "ada_target": -1.0, "ada_images": 40},
}


def digests(snapshot):
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in snapshot.glob("*.safetensors")}


def run(data, folder, recipe, images, score_count=0, **options):
    options = {"precision": "float32", "threads": 1, "conv": "direct"} | options
    schedule = Schedule(images=images, log_every=BATCH, sample_every=24, snapshot_every=24, score_count=score_count)
    return train([data], folder, recipe, batch=BATCH, schedule=schedule, **options)


def lines_of(run_folder):
    return [json.loads(line) for line in (run_folder / "log.jsonl").read_text().splitlines()]


def without_rates(run_folder):
    return [{name: value for name, value in line.items() if name != "images_per_s"} for line in lines_of(run_folder)]


def loss_lines(run_folder):
    return [line["nimg"] for line in lines_of(run_folder) if "D_loss" in line]


@pytest.fixture(scope="module")
def packed_few(tmp_path_factory):
    """So few images that two epochs are soon over."""
    return write_packed(tmp_path_factory.mktemp("few") / "data", 18, 16)


@pytest.mark.parametrize(("name", "precision"), [
    ("classic-tanh", "float32"), pytest.param("classic-dcgan", "float32", marks=pytest.mark.long),
    ("dcgan", "float32"), ("dcgan", "bfloat16"),
    ("style-s", "float32"), ("style-s", "bfloat16"),
])  # fmt: skip
def test_stopped_and_resumed_is_byte_for_byte_the_same(tmp_path, packed_few, name, precision):
    recipe = small_recipe(name, **VARIANTS[name])
    straight = run(packed_few, tmp_path / "straight", recipe, 48, 4, precision=precision)
    for images in (16, 32, 48):  # in the first epoch, across its end, and after it
        stopped = run(packed_few, tmp_path / "stopped", recipe, images, 4, precision=precision)
    assert straight.nimg == stopped.nimg == 48
    assert digests(straight.snapshot) == digests(stopped.snapshot)
    assert len(digests(straight.snapshot)) == (4 if recipe.ema_halflife else 3)
    lines = [without_rates(tmp_path / name) for name in ("straight", "stopped")]
    assert lines[0] == lines[1]
    if recipe.augment == "ada":  # it has been at work
        assert max(line.get("augment_p", 0) for line in lines[0]) > 0.4
    assert [line["nimg"] for line in lines[0] if "D_loss" in line] == list(range(BATCH, 49, BATCH))
    assert [line["nimg"] for line in lines[0] if "variety" in line] == [0, 24, 48]
    assert [line["nimg"] for line in lines[0] if "quick_score" in line] == [0, 24, 48]
    grids = sorted(path.name for path in (tmp_path / "straight" / "samples").iterdir())
    assert grids == ["epoch0-0.png", "epoch1-0.png", "epoch2-1.png"]  # 18 images: 48 = 2 * 18 + 8 + 4


@pytest.fixture(scope="module")
def straight_run(tmp_path_factory, packed16):
    return run(packed16, tmp_path_factory.mktemp("straight") / "run", small_recipe("dcgan", **VARIANTS["dcgan"]), 120)


@settings(max_examples=8, deadline=None)
@given(stops=st.lists(st.integers(0, 119), max_size=4))
def test_stopped_anywhere_it_ends_the_same(tmp_path_factory, packed16, straight_run, stops):
    folder = tmp_path_factory.mktemp("stopped") / "run"
    for images in [*sorted(stops), 120]:
        stopped = run(packed16, folder, small_recipe("dcgan", **VARIANTS["dcgan"]), images)
    assert digests(stopped.snapshot) == digests(straight_run.snapshot)
    assert without_rates(folder) == without_rates(straight_run.run)


def test_a_run_of_0_1_0_gets_a_label_prior_when_it_goes_on(tmp_path, packed16):
    """And learns what it would have learnt without one."""
    recipe = small_recipe("style-s", attributes=True, ema_halflife=100)
    labels = {"labeller": lambda image_NHWC: image_NHWC[:, :8, :5, 0].reshape(-1, 40) / 32.0 - 4}
    straight = run(packed16, tmp_path / "straight", recipe, 48, **labels)
    old = run(packed16, tmp_path / "old", recipe, 24, **labels)
    (tmp_path / "old" / "label-prior.safetensors").unlink()
    (old.snapshot / "label_prior.safetensors").unlink()
    description = json.loads((old.snapshot / "snapshot.json").read_text())
    del description["sha256"]["label_prior.safetensors"]
    (old.snapshot / "snapshot.json").write_text(json.dumps(description))
    stopped = run(packed16, tmp_path / "old", recipe, 48, **labels)
    assert "label_prior.safetensors" in digests(straight.snapshot)
    assert digests(straight.snapshot) == digests(stopped.snapshot)


def test_a_killed_run_goes_on_from_its_last_snapshot(tmp_path, packed16):
    recipe = small_recipe("dcgan")
    straight = run(packed16, tmp_path / "straight", recipe, 48)
    run(packed16, tmp_path / "killed", recipe, 24)
    # What a kill leaves behind: a line from beyond the snapshot, a line cut short, half a snapshot.
    with (tmp_path / "killed" / "log.jsonl").open("a") as log:
        log.write('{"nimg": 32, "D_loss": 1.0}\n{"nimg": 4')
    half = tmp_path / "killed" / "snapshots" / ".nimg-000000032.partial"
    half.mkdir()
    (half / "generator.safetensors").write_bytes(b"half")
    resumed = run(packed16, tmp_path / "killed", recipe, 48)
    assert digests(straight.snapshot) == digests(resumed.snapshot)
    assert not half.exists()
    assert loss_lines(tmp_path / "killed") == [8, 16, 24, 32, 40, 48]


def test_a_log_of_garbage_is_cut_away(tmp_path, packed16):
    run(packed16, tmp_path / "run", small_recipe("dcgan"), 8)
    with (tmp_path / "run" / "log.jsonl").open("ab") as log:
        log.write(b"\xff\x00\xfe garbage\n")
    run(packed16, tmp_path / "run", small_recipe("dcgan"), 16)
    assert loss_lines(tmp_path / "run") == [8, 16]


def test_a_start_that_failed_does_not_bind_the_next(tmp_path, packed16):
    with pytest.raises(UserError, match="width"):
        run(packed16, tmp_path / "run", small_recipe("dcgan", generator={"width": 0}), 8)
    assert run(packed16, tmp_path / "run", small_recipe("dcgan"), 8).nimg == 8


def test_other_settings_are_refused_and_named(tmp_path, packed16):
    run(packed16, tmp_path / "run", small_recipe("dcgan"), 8)
    with pytest.raises(UserError, match=r"recipe.flip +True +False"):
        run(packed16, tmp_path / "run", small_recipe("dcgan", flip=False), 16)
    with pytest.raises(UserError, match=r"precision +float32 +bfloat16"):
        run(packed16, tmp_path / "run", small_recipe("dcgan"), 16, precision="bfloat16")
    other = write_packed(tmp_path / "other", 20, 16, seed=9)
    with pytest.raises(UserError, match=r"data +[0-9a-f]{12}\.\.\. +[0-9a-f]{12}\.\.\."):
        run(other, tmp_path / "run", small_recipe("dcgan"), 16)
    assert run(packed16, tmp_path / "run", small_recipe("dcgan"), 8).nimg == 8  # and nothing was spoilt


def test_a_strange_folder_is_not_written_into(tmp_path, packed16):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.txt").write_text("mine")
    with pytest.raises(UserError, match="is no run"):
        run(packed16, tmp_path / "photos", small_recipe("dcgan"), 8)
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["me.txt"]


def test_the_newest_snapshots_and_the_best_are_kept(tmp_path, packed16):
    run(packed16, tmp_path / "run", small_recipe("dcgan"), 144, 4)
    scores = {line["nimg"]: line["quick_score"] for line in lines_of(tmp_path / "run") if "quick_score" in line}
    best = min(scores, key=lambda nimg: (scores[nimg], -nimg))
    names = sorted(path.name for path in (tmp_path / "run" / "snapshots").iterdir())
    assert names == sorted({f"nimg-{nimg:09d}" for nimg in (96, 120, 144, best)})


def test_a_window_of_the_log_goes_on_after_a_stop(tmp_path, packed16):
    recipe = small_recipe("dcgan")
    every = {"log_every": 24, "sample_every": 48, "snapshot_every": 48, "score_count": 0}
    schedules = [Schedule(images=images, **every) for images in (48, 8, 40)]
    for folder, schedule in zip(("straight", "stopped", "stopped"), schedules, strict=True):
        train([packed16], tmp_path / folder, recipe, batch=BATCH, schedule=schedule, precision="float32", threads=1)
    assert [(line["nimg"], "unfinished" in line) for line in lines_of(tmp_path / "stopped") if "D_loss" in line] == [
        (24, False), (40, True)
    ]  # fmt: skip
    train([packed16], tmp_path / "stopped", recipe, batch=BATCH, schedule=schedules[0], precision="float32", threads=1)
    assert without_rates(tmp_path / "stopped") == without_rates(tmp_path / "straight")


def test_the_measured_forms_are_kept_and_resumed_to_the_byte(tmp_path, packed16):
    recipe = small_recipe("dcgan", generator={"width": 16}, discriminator={"width": 16})
    run(packed16, tmp_path / "first", recipe, 8, conv="auto", precision="auto")
    file = tmp_path / "first" / "run.json"
    contents = json.loads(file.read_text())
    choices = contents["choices"]
    assert choices["forms"] == "auto" and choices["images_per_s"] > 0
    assert "float32" in contents["measured_seconds"]
    for side in ("generator", "discriminator"):
        assert set(choices[side]) == set(contents["measured_seconds"]["float32"][side])
        choices[side] = dict.fromkeys(choices[side], "tiles-2")
    file.write_text(json.dumps(contents | {"choices": choices | {"precision": "float32"}}))
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    straight = run(packed16, tmp_path / "first", recipe, 40, conv="auto", precision="auto")
    for images in (16, 40):
        stopped = run(packed16, tmp_path / "second", recipe, images, conv="auto", precision="auto")
    assert digests(straight.snapshot) == digests(stopped.snapshot)
    with pytest.raises(UserError, match=r"forms +auto +plain"):
        run(packed16, tmp_path / "first", recipe, 48, conv="plain", precision="auto")


def test_a_finished_run_that_is_asked_again_keeps_its_last_lines(tmp_path, packed16):
    recipe = small_recipe("dcgan")
    schedule = Schedule(images=40, log_every=24, sample_every=24, snapshot_every=24, score_count=0)
    options = {"batch": BATCH, "schedule": schedule, "precision": "float32", "threads": 1, "conv": "direct"}
    train([packed16], tmp_path / "run", recipe, **options)
    before = (tmp_path / "run" / "log.jsonl").read_bytes()
    assert b'"unfinished": true' in before
    train([packed16], tmp_path / "run", recipe, **options)
    assert (tmp_path / "run" / "log.jsonl").read_bytes() == before
    train([packed16], tmp_path / "run", recipe, **options | {"schedule": replace(schedule, images=48)})
    assert [line["nimg"] for line in lines_of(tmp_path / "run") if "D_loss" in line] == [24, 48]
    assert not any("unfinished" in line for line in lines_of(tmp_path / "run"))


def test_the_first_of_every_interval_is_kept(tmp_path, packed16):
    schedule = Schedule(
        images=144, log_every=48, sample_every=144, snapshot_every=24, keep=1, keep_every=48, score_count=0
    )
    options = {"batch": BATCH, "precision": "float32", "threads": 1, "conv": "direct", "schedule": schedule}
    train([packed16], tmp_path / "run", small_recipe("dcgan"), **options)
    names = sorted(path.name for path in (tmp_path / "run" / "snapshots").iterdir())
    assert names == [f"nimg-{nimg:09d}" for nimg in (0, 48, 96, 144)]


def test_a_start_that_was_killed_before_its_first_snapshot_leaves_no_line(tmp_path, packed16):
    schedule = Schedule(images=8, log_every=8, sample_every=8, snapshot_every=8, score_count=0)
    options = {"batch": 8, "precision": "float32", "threads": 1, "conv": "direct", "schedule": schedule}
    train([packed16], tmp_path / "run", small_recipe("dcgan"), **options)
    expected = lines_of(tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "snapshots")
    train([packed16], tmp_path / "run", small_recipe("dcgan"), **options)
    again = lines_of(tmp_path / "run")
    assert [line["nimg"] for line in again] == [line["nimg"] for line in expected]


def test_data_at_another_place_is_noted(tmp_path, packed16):
    shutil.copytree(packed16, tmp_path / "here")
    options = {"batch": 8, "precision": "float32", "threads": 1, "conv": "direct"}
    for place, images in (("here", 8), ("there", 16), (None, 24)):
        schedule = Schedule(images=images, score_count=0)
        data = [] if place is None else [tmp_path / place]
        assert train(data, tmp_path / "run", small_recipe("dcgan"), schedule=schedule, **options).nimg == images
        if place == "here":
            (tmp_path / "here").rename(tmp_path / "there")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["data"] == [str(tmp_path / "there")]
