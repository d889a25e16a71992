"""``facegan doctor``: faults that are planted are found, each with its cure, and what is well is not called a fault."""

import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections import namedtuple

import numpy as np
import pytest

from facegan.doctor.examination import without_home
from facegan.training.schedule import Schedule
from tests.command import facegan, mistake
from tests.conftest import small_recipe, train, write_packed

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("doctor")
    identities = np.repeat(np.arange(1, 41), 2).astype(np.int32)
    data = write_packed(folder / "data", 80, 16, identities=identities)
    schedule = Schedule(images=64, log_every=8, sample_every=32, snapshot_every=16, keep=9, score_count=4)
    train([data], folder / "run", small_recipe("dcgan"), batch=8, schedule=schedule, precision="float32", threads=1,
          conv="direct")  # fmt: skip
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """A healthy dataset and a healthy run of it, in the current folder."""
    for name in ("data", "run"):
        shutil.copytree(made / name, tmp_path / name)
    for name in ("OMP_NUM_THREADS", "WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def findings(*arguments, code=None):
    done = facegan("doctor", *arguments, "--json")
    assert done.stderr == ""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1]["event"] == "verdict"
    found = [line for line in lines if line["event"] == "finding"]
    faults = [line for line in found if line["level"] == "fault"]
    assert lines[-1]["faults"] == len(faults) and done.returncode == (1 if faults else 0)
    return found


def the_one(found, word, level):
    """Return the one finding of a level whose sentence has this word in it."""
    named = [line for line in found if word in line["sentence"] and line["level"] == level]
    assert len(named) == 1, [(line["level"], line["sentence"]) for line in found]
    return named[0]


def of_topic(found, topic):
    return [(line["level"], line["sentence"]) for line in found if line["topic"].startswith(topic)]


def test_healthy_data_and_runs_have_no_fault(here):
    found = findings("data", "run", "celeba64")
    for topic in ("run", "model"):
        assert {level for level, _ in of_topic(found, topic)} == {"ok"}, of_topic(found, topic)
    assert {level for level, _ in of_topic(found, "data")} == {"ok", "note"}
    assert "no attributes" in the_one(found, "no attributes", "note")["sentence"]
    assert {level for level, _ in of_topic(found, "launch")} == {"ok"}


def test_nothing_is_changed(here):
    def state():
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(here.rglob("*"))}

    (here / "run" / "snapshots" / ".nimg-000000080.partial").mkdir()
    before = state()
    findings("data", "run", ".")
    assert state() == before


def test_a_damaged_tensor(here):
    weights = here / "run" / "snapshots" / "nimg-000000064" / "ema.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 0x10
    weights.write_bytes(content)
    fault = the_one(findings("run"), "ema.safetensors is not the file that was written", "fault")
    assert "nimg-000000064" in fault["sentence"] and "facegan train --run run" in fault["cure"]


def test_no_snapshot_is_whole(here):
    for info in here.glob("run/snapshots/*/snapshot.json"):
        info.write_text("{")
    faults = [line for line in findings("run") if line["level"] == "fault"]
    assert len(faults) == 5 and all("backup" in fault["cure"] for fault in faults)


def test_data_cut_short(here):
    images = here / "data" / "images.npy"
    os.truncate(images, images.stat().st_size - 1000)
    fault = the_one(findings("data"), "images.npy is damaged", "fault")
    assert "prepare" in fault["cure"]


def test_a_hole_in_the_data(here):
    images = here / "data" / "images.npy"
    with images.open("r+b") as file:
        file.seek(images.stat().st_size - 3 * 16 * 16 * 3)
        file.write(bytes(3 * 16 * 16 * 3))
    fault = the_one(findings("data"), "changed since it was packed", "fault")
    assert "3 images of 77 to 79 are empty" in fault["sentence"] and "prepare" in fault["cure"]


def test_no_locks(here, monkeypatch):
    def refuse(*_args):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", refuse)
    warning = the_one(findings(), "knows no locks", "warning")
    assert "only one training" in warning["cure"]


def test_more_threads_than_cores(here, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "4096")
    assert "export OMP_NUM_THREADS=" in the_one(findings(), "more threads than", "warning")["cure"]
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert the_one(findings(), "no number of threads", "fault")["cure"] == "unset OMP_NUM_THREADS"


def test_a_cache_that_takes_no_files(here, monkeypatch):
    (here / "cache").write_text("a file, no folder")
    monkeypatch.setenv("FACEGAN_CACHE", str(here / "cache"))
    assert "FACEGAN_CACHE" in the_one(findings(), "cache folder", "fault")["cure"]


def test_a_disk_too_small_for_the_next_snapshot(here, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(10**12, 10**12 - 20_000, 20_000))
    fault = the_one(findings("run"), "the next one does not fit", "fault")
    assert "facegan runs clean" in fault["cure"]


@pytest.mark.parametrize(("variables", "word"), [
    ({"WORLD_SIZE": "2"}, "MASTER_ADDR"),
    ({"WORLD_SIZE": "2", "RANK": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "a", "MASTER_PORT": "29500"}, "RANK=2"),
    ({"WORLD_SIZE": "two", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "a", "MASTER_PORT": "1"}, "'two'"),
])  # fmt: skip
def test_variables_of_torchrun_that_do_not_go_together(here, monkeypatch, variables, word):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    fault = the_one(findings(), word, "fault")
    assert fault["cure"].startswith("unset ") and "WORLD_SIZE" in fault["cure"]


def test_a_killed_run_and_its_stale_status(here):
    status = here / "run" / "status.json"
    status.write_text(json.dumps({"images": 10_000, "minutes": None, "pid": 2**22 + 1}))
    assert "it was stopped" in the_one(findings("run"), "of 10,000", "note")["sentence"]
    with (here / "run" / "log.jsonl").open("a") as log:
        log.write('{"nimg": 80, "D_loss": 0.5}\n')
    warning = the_one(findings("run"), "it was killed", "warning")
    assert warning["cure"] == "facegan train --run run --images 10000" and "at 64" in warning["sentence"]


def test_how_a_run_with_a_time_ended(here):
    status = here / "run" / "status.json"
    status.write_text(json.dumps({"images": None, "minutes": 5, "pid": 2**22 + 1, "ended": "minutes"}))
    assert "its time was up" in the_one(findings("run"), "64 images", "ok")["sentence"]
    status.write_text(json.dumps({"images": None, "minutes": 5, "pid": 2**22 + 1}))
    with (here / "run" / "log.jsonl").open("a") as log:
        log.write('{"nimg": 80, "D_loss": 0.5}\n')
    warning = the_one(findings("run"), "it was killed", "warning")
    assert warning["cure"] == "facegan train --run run" and "at 64" in warning["sentence"]


def test_a_run_whose_data_is_gone_or_another(here):
    contents = json.loads((here / "run" / "run.json").read_text())
    (here / "run" / "run.json").write_text(json.dumps(contents | {"data": [str(here / "nowhere")]}))
    assert "facegan train DATA" in the_one(findings("run"), "is not there", "warning")["cure"]
    other = write_packed(here / "other", 20, 16, seed=5)
    (here / "run" / "run.json").write_text(json.dumps(contents | {"data": [str(other)]}))
    assert "--init" in the_one(findings("run"), "another content hash", "fault")["cure"]


def test_a_score_that_the_log_forgot_is_in_its_snapshot(here):
    folder = here / "run"
    newest = sorted(folder.glob("snapshots/nimg-*/snapshot.json"))[-2:]
    for file, score in zip(newest, (56.0, 65.0), strict=True):
        info = json.loads(file.read_text())
        info["state"] |= {"quick_score": score, "quick_score_faces": 2000, "quick_score_network": "a"}
        file.write_text(json.dumps(info))
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    nimg = [json.loads(file.read_text())["nimg"] for file in newest]
    lines.append({"nimg": nimg[1], "quick_score": 65.0, "quick_score_faces": 2000})
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    said = the_one(findings("run"), "quick score", "ok")["sentence"]
    assert said == f"quick score 65.00 at {nimg[1]:,}; best 56.00 at {nimg[0]:,}, not falling just now"


def test_alarms_and_what_was_set_aside(here):
    (here / "run" / "incidents.jsonl").write_text('{"kind": "variety", "nimg": 99, "action": "warn"}\n')
    (here / "run" / "snapshots" / "set-aside-1-nimg-000000080").mkdir()
    found = findings("run")
    assert "docs/runs.md" in the_one(found, "variety (then: warn)", "warning")["cure"]
    assert the_one(found, "set-aside-1", "note")["cure"] == "facegan runs clean run"


def test_a_process_that_was_lost_and_a_run_that_went_on(here):
    lost = {"kind": "lost process", "nimg": 0, "message": "process 1 of 2 was lost", "action": "stop"}
    (here / "run" / "incidents.jsonl").write_text(json.dumps(lost) + "\n")
    log = here / "run" / "log.jsonl"
    log.write_text(log.read_text() + 'garbage\n{"nimg": 99, "D_loss": 1.0}\n')
    found = findings("run")
    assert "lines of log.jsonl are damaged" in the_one(found, "log.jsonl", "note")["sentence"]
    log.write_text('{"nimg": 99, "D_loss": 1.0}\n')
    assert "has gone on since" in the_one(findings("run"), "process 1 of 2 was lost", "note")["sentence"]


def test_a_temporary_folder_that_is_not_there(here, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(here / "missing"))
    assert "mkdir -p" in the_one(findings(), "TMPDIR", "warning")["cure"]


def test_one_dataset_twice_over(here):
    shutil.copytree(here / "data", here / "copy")
    assert of_topic(findings("data", "copy"), "data together")[0][0] == "fault"


def test_a_folder_of_runs_and_one_of_pictures(here):
    shutil.copytree(here / "run", here / "runs" / "a")
    shutil.copytree(here / "run", here / "runs" / "b")
    assert {line["topic"] for line in findings("runs")} >= {"run runs/a", "run runs/b"}
    (here / "photos").mkdir()
    assert of_topic(findings("photos"), "source")[0][0] == "fault"


def test_the_page_is_for_people_and_hides_the_home_folder(here, monkeypatch):
    page = facegan("doctor", "run").stdout
    assert "software\n" in page and "run run\n" in page and "-> " in facegan("doctor", "data").stdout
    assert " ok " not in facegan("doctor", "run", "--short").stdout
    monkeypatch.setenv("HOME", str(here))
    found = facegan("doctor", here / "run", "--json").stdout
    assert str(here) not in found and "~/run" in found
    monkeypatch.setenv("HOME", "/home/j\u00f6rg")
    for path, hidden in (("/home/j\u00f6rg/run", "~/run"), ("/home/j\u00f6rgen/run", None)):
        assert without_home(json.dumps({"path": path})) == json.dumps({"path": hidden or path})


def test_a_path_that_is_not_there():
    assert "nowhere" in mistake("doctor", "nowhere")
