"""Writes that fail: training goes on, tries again, and never loses the last good snapshot."""

import errno
import json
import os
from pathlib import Path

import pytest

from facegan.runs.folder import RunFolder
from facegan.runs.snapshot import SnapshotDamagedError, SnapshotWriteError, read_info, read_tensors
from facegan.training import snapshot_writer
from facegan.training.schedule import Schedule
from tests.conftest import small_recipe, train
from tests.training.test_resume import digests, loss_lines


class Events:
    def __init__(self):
        self.seen = []

    def event(self, kind, **fields):
        self.seen.append((kind, fields))

    def progress(self, *_):
        pass

    def of(self, kind):
        return [fields for name, fields in self.seen if name == kind]


def run(data, folder, images=96, listener=None):
    schedule = Schedule(images=images, log_every=8, sample_every=48, snapshot_every=24, score_count=0)
    return train([data], folder, small_recipe("dcgan"), batch=8, schedule=schedule, precision="float32", threads=1,
                 conv="direct", listener=listener)  # fmt: skip


def fail(monkeypatch, at):
    """Let the writing of snapshots of these numbers of images fail as a full disk does."""
    write = snapshot_writer.write_snapshot

    def failing(path, *, nimg, **contents):
        if nimg in at:
            raise SnapshotWriteError(f"the snapshot {path} cannot be written (No space left on device)")
        write(path, nimg=nimg, **contents)

    monkeypatch.setattr(snapshot_writer, "write_snapshot", failing)


def test_a_failed_write_is_tried_again_and_training_goes_on(tmp_path, packed16, monkeypatch):
    straight = run(packed16, tmp_path / "straight")
    fail(monkeypatch, {24, 32})
    events = Events()
    result = run(packed16, tmp_path / "run", listener=events)
    assert digests(result.snapshot) == digests(straight.snapshot)
    assert events.of("warning")[0]["nimg"] == 24
    assert "No space left" in events.of("warning")[0]["message"]
    first, second, *_, last = (event["nimg"] for event in events.of("snapshot"))
    assert first == 0 and 32 < second < 48 and last == 96  # tried again before the next is due


def test_the_last_snapshot_failing_is_an_error_that_names_the_newest(tmp_path, packed16, monkeypatch):
    fail(monkeypatch, {96})
    with pytest.raises(SnapshotWriteError, match=r"the newest one is .*nimg-000000072"):
        run(packed16, tmp_path / "run")
    monkeypatch.undo()
    assert run(packed16, tmp_path / "run").nimg == 96


def test_without_a_first_snapshot_no_run_begins(tmp_path, packed16, monkeypatch):
    fail(monkeypatch, {0})
    with pytest.raises(SnapshotWriteError, match="No space left"):
        run(packed16, tmp_path / "run")
    monkeypatch.undo()
    assert run(packed16, tmp_path / "run", 8).nimg == 8


def test_a_log_that_cannot_be_written_waits_and_holds_the_snapshots_back(tmp_path, packed16, monkeypatch):
    fsync, full = os.fsync, {"log": False}

    def no_space(descriptor):
        if full["log"] and Path(f"/proc/self/fd/{descriptor}").readlink().name == "log.jsonl":
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    class Filling(Events):
        def event(self, kind, **fields):
            super().event(kind, **fields)
            if kind == "log":
                full["log"] = 16 <= fields["nimg"] < 56

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    monkeypatch.setattr("facegan.training.log.os.fsync", no_space)
    events = Filling()
    result = run(packed16, tmp_path / "run", listener=events)
    assert result.nimg == 96
    assert loss_lines(tmp_path / "run") == list(range(8, 97, 8))  # none is lost, none is there twice
    assert [event["nimg"] for event in events.of("snapshot")] == [0, 56, 72, 96]
    assert {warning["nimg"] for warning in events.of("warning")} >= {24, 48}


def test_a_start_without_room_says_what_is_needed(tmp_path, packed16, monkeypatch):
    monkeypatch.setattr("facegan.training.setup.free_bytes", lambda path: 1000)
    with pytest.raises(Exception, match=r"a snapshot needs [0-9.]+ MB, and 0.0 MB are free"):
        run(packed16, tmp_path / "run")


def test_the_room_that_is_announced_is_the_room_that_is_taken(tmp_path, packed16):
    events = Events()
    result = run(packed16, tmp_path / "run", listener=events)
    start = events.of("start")[0]
    files = sum(file.stat().st_size for file in result.snapshot.glob("*.safetensors"))
    assert start["snapshot_bytes"] == pytest.approx(files, rel=0.35)  # small networks: headers weigh
    assert start["needed_bytes"] == 5 * start["snapshot_bytes"]
    assert start["free_bytes"] > 0


def test_room_is_announced_for_what_is_still_to_be_kept(tmp_path, packed16):
    def announced(images):
        events = Events()
        schedule = Schedule(images=images, snapshot_every=8, keep=1, keep_every=16, score_count=0)
        train([packed16], tmp_path / "run", small_recipe("dcgan"), schedule=schedule, batch=8, listener=events)
        start = events.of("start")[0]
        return start["needed_bytes"] / start["snapshot_bytes"]

    assert announced(32) == 3 + 2
    assert announced(48) == 1


def test_every_snapshot_on_the_way_is_whole(tmp_path, packed16):
    class Reading(Events):
        def event(self, kind, **fields):
            super().event(kind, **fields)
            for path in RunFolder(tmp_path / "run").list_snapshots():
                info = read_info(path)
                for file in info.sha256:
                    read_tensors(info, file.removesuffix(".safetensors"))

    events = Reading()
    run(packed16, tmp_path / "run", listener=events)
    assert len(events.of("snapshot")) == 5
    state = json.loads((tmp_path / "run" / "status.json").read_text())
    assert state["images"] == 96


def test_a_damaged_newest_snapshot_is_set_aside_and_the_end_is_the_same(tmp_path, packed16):
    straight = run(packed16, tmp_path / "straight")
    run(packed16, tmp_path / "hurt", images=72)
    snapshots = tmp_path / "hurt" / "snapshots"
    file = snapshots / "nimg-000000072" / "optimizers.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    (snapshots / "nimg-000000048" / "snapshot.json").unlink()
    events = Events()
    ended = run(packed16, tmp_path / "hurt", listener=events)
    assert events.of("start")[0]["nimg"] == 24
    warnings = [event["message"] for event in events.of("warning")]
    assert len(warnings) == 2 and "sha256 differs" in warnings[0] and "goes on from nimg-000000024" in warnings[0]
    assert digests(ended.snapshot) == digests(straight.snapshot)
    assert sorted(path.name for path in snapshots.glob("damaged-*")) == [
        "damaged-1-nimg-000000048", "damaged-1-nimg-000000072"
    ]  # fmt: skip


def test_a_run_of_damaged_snapshots_only_is_left_as_it_is(tmp_path, packed16):
    run(packed16, tmp_path / "run", images=24)
    snapshots = sorted((tmp_path / "run" / "snapshots").iterdir())
    for path in snapshots:
        (path / "generator.safetensors").write_bytes(b"")
    with pytest.raises(SnapshotDamagedError, match=r"generator\.safetensors"):
        run(packed16, tmp_path / "run")
    assert sorted((tmp_path / "run" / "snapshots").iterdir()) == snapshots
