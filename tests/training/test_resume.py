"""A run that was stopped ends in the same bytes as one that was not."""

import hashlib
import json
import shutil

import pytest

from facegan.errors import UserError
from facegan.training.loop import Schedule
from facegan.training.train import train
from tests.conftest import small_recipe, write_packed

BATCH = 8
VARIANTS = {
    "classic-tanh": {},
    "classic-dcgan": {"flip": True, "fakes": "inference"},
    "dcgan": {"flip": True, "ema_halflife": 100, "real_label": 0.9},
}


def digests(snapshot):
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in snapshot.glob("*.safetensors")}


def run(data, folder, recipe, images, **options):
    options = {"precision": "float32", "threads": 1, "forms": "direct"} | options
    schedule = Schedule(images=images, log_every=BATCH, sample_every=24, snapshot_every=24)
    return train([data], folder, recipe, batch=BATCH, schedule=schedule, **options)


@pytest.mark.parametrize(("name", "precision"), [
    ("classic-tanh", "float32"), ("classic-dcgan", "float32"), ("dcgan", "float32"), ("dcgan", "bfloat16"),
])  # fmt: skip
def test_stopped_and_resumed_is_byte_for_byte_the_same(tmp_path, packed16, name, precision):
    recipe = small_recipe(name, **VARIANTS[name])
    straight = run(packed16, tmp_path / "straight", recipe, 72, precision=precision)
    for images in (16, 40, 72):  # in the first epoch, across its end, and after it
        stopped = run(packed16, tmp_path / "stopped", recipe, images, precision=precision)
    assert straight.nimg == stopped.nimg == 72
    assert digests(straight.snapshot) == digests(stopped.snapshot)
    assert len(digests(straight.snapshot)) == (4 if recipe.ema_halflife else 3)
    lines = [[json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
             for name in ("straight", "stopped")]  # fmt: skip
    for line in lines[0] + lines[1]:
        del line["images_per_s"]
    assert lines[0] == lines[1]
    assert [line["nimg"] for line in lines[0]] == list(range(BATCH, 73, BATCH))
    grids = sorted(path.name for path in (tmp_path / "straight" / "samples").iterdir())
    assert grids == ["epoch0-0.png", "epoch0-3.png", "epoch0-6.png", "epoch1-2.png"]  # 50 images: 72 = 50 + 2 * 8 + 6


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
    numbers = [json.loads(line)["nimg"] for line in (tmp_path / "killed" / "log.jsonl").read_text().splitlines()]
    assert numbers == [8, 16, 24, 32, 40, 48]


def test_a_log_of_garbage_is_cut_away(tmp_path, packed16):
    run(packed16, tmp_path / "run", small_recipe("dcgan"), 8)
    with (tmp_path / "run" / "log.jsonl").open("ab") as log:
        log.write(b"\xff\x00\xfe garbage\n")
    run(packed16, tmp_path / "run", small_recipe("dcgan"), 16)
    lines = (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["nimg"] for line in lines] == [8, 16]


def test_a_start_that_failed_does_not_bind_the_next(tmp_path, packed16):
    with pytest.raises(UserError, match="width"):
        run(packed16, tmp_path / "run", small_recipe("dcgan", generator={"width": 0}), 8)
    assert run(packed16, tmp_path / "run", small_recipe("dcgan"), 8).nimg == 8


def test_other_settings_are_refused_and_named(tmp_path, packed16):
    run(packed16, tmp_path / "run", small_recipe("dcgan"), 8)
    with pytest.raises(UserError, match=r"flip: the run has True, asked for False"):
        run(packed16, tmp_path / "run", small_recipe("dcgan", flip=False), 16)
    with pytest.raises(UserError, match=r"precision: the run has float32"):
        run(packed16, tmp_path / "run", small_recipe("dcgan"), 16, precision="bfloat16")
    other = write_packed(tmp_path / "other", 20, 16, seed=9)
    with pytest.raises(UserError, match="data: the run has"):
        run(other, tmp_path / "run", small_recipe("dcgan"), 16)
    assert run(packed16, tmp_path / "run", small_recipe("dcgan"), 8).nimg == 8  # and nothing was spoilt


def test_a_strange_folder_is_not_written_into(tmp_path, packed16):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.txt").write_text("mine")
    with pytest.raises(UserError, match="is no run"):
        run(packed16, tmp_path / "photos", small_recipe("dcgan"), 8)
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["me.txt"]


def test_only_the_newest_snapshots_are_kept(tmp_path, packed16):
    run(packed16, tmp_path / "run", small_recipe("dcgan"), 144)
    names = sorted(path.name for path in (tmp_path / "run" / "snapshots").iterdir())
    assert names == ["nimg-000000096", "nimg-000000120", "nimg-000000144"]


def test_the_measured_forms_are_kept_and_resumed_to_the_byte(tmp_path, packed16):
    recipe = small_recipe("classic-dcgan")
    run(packed16, tmp_path / "first", recipe, 8, forms="auto", precision="auto")
    file = tmp_path / "first" / "run.json"
    contents = json.loads(file.read_text())
    choices = contents["choices"]
    assert choices["forms"] == "auto" and choices["images_per_s"] > 0
    assert set(contents["measured_seconds"]) == {"float32", "bfloat16"}
    for side in ("generator", "discriminator"):
        assert set(choices[side]) == set(contents["measured_seconds"]["float32"][side])
        choices[side] = dict.fromkeys(choices[side], "tiles-2")
    file.write_text(json.dumps(contents | {"choices": choices | {"precision": "float32"}}))
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    straight = run(packed16, tmp_path / "first", recipe, 40, forms="auto", precision="auto")
    for images in (16, 40):
        stopped = run(packed16, tmp_path / "second", recipe, images, forms="auto", precision="auto")
    assert digests(straight.snapshot) == digests(stopped.snapshot)
    with pytest.raises(UserError, match="forms: the run has auto, asked for plain"):
        run(packed16, tmp_path / "first", recipe, 48, forms="plain", precision="auto")
