"""A folder of faces: a killed command goes on with it, and another one's is left alone."""

import json

import numpy as np
import pytest
from PIL import Image

from facegan.bulk import png_folder
from facegan.bulk.job import Job
from facegan.bulk.png_folder import PngFolder, write
from facegan.cli.bulk import write_folder
from facegan.data.prepare import prepare
from facegan.evaluation.faces import faces_at
from facegan.files import locked
from tests.command import facegan, mistake


def content(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_stopped_folder_goes_on(style_run, tmp_path):
    command = ("sample", style_run, "--count", "150", "--seed", "3", "--score", "--out")
    assert facegan(*command, tmp_path / "whole").returncode == 0
    done = facegan(*command, tmp_path / "stopped")
    assert len(done.stdout.splitlines()) == 150
    for number in (5, 70, 149):
        (tmp_path / "stopped" / f"{number:06d}.png").unlink()
    (tmp_path / "stopped" / "000006.png").write_bytes(b"")  # after a power cut
    (tmp_path / "stopped" / ".000008.png.4711.partial").write_bytes(b"half")
    half = tmp_path / "stopped" / "000007.png"
    half.write_bytes(half.read_bytes()[:-20])
    done = facegan(*command, tmp_path / "stopped")
    assert "145 were there already, 5 made now" in done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        f"{number:06d}.png" for number in (5, 6, 7, 70, 149)
    ]
    assert content(tmp_path / "stopped") == content(tmp_path / "whole")


def test_a_folder_of_other_settings_is_refused(style_run, tmp_path):
    folder = tmp_path / "faces"
    assert facegan("sample", style_run, "--count", "3", "--out", folder).returncode == 0
    before = content(folder)
    told = mistake("sample", style_run, "--count", "3", "--seed", "1", "--out", folder)
    assert "other settings (seed 0, now 1)" in told and "--force" in told
    (folder / ".made.json").write_text("{}")
    assert ".made.json is damaged" in mistake("sample", style_run, "--count", "3", "--out", folder)
    (folder / ".made.json").unlink()
    assert "exists already" in mistake("sample", style_run, "--count", "3", "--out", folder)
    done = facegan("sample", style_run, "--count", "2", "--seed", "1", "--out", folder, "--force")
    assert done.returncode == 0 and "held 1 other files before" in done.stderr
    assert (folder / "000002.png").read_bytes() == before["000002.png"]
    assert (folder / "000001.png").read_bytes() != before["000001.png"]


def test_what_is_overwritten_is_never_taken_for_new(style_model, tmp_path):
    """A folder that was being overwritten when its command was killed holds no face of before."""
    write(PngFolder(Job(model=style_model, count=100), tmp_path / "faces"))
    new = PngFolder(Job(model=style_model, count=100, seed=1), tmp_path / "faces")

    def stop(name, face):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(new, force=True, seen=stop)
    assert write(new) == 99
    write(PngFolder(Job(model=style_model, count=100, seed=1), tmp_path / "again"))
    assert content(tmp_path / "faces") == content(tmp_path / "again")


def test_many_faces_lie_in_a_folder_for_each_thousand(style_model, tmp_path, monkeypatch, packed16):
    from facegan.data.packed import PackedDataset

    monkeypatch.setattr(png_folder, "MOST_IN_A_FOLDER", 60)
    folder = PngFolder(Job(model=style_model, count=70, first=999_960), tmp_path / "faces")
    told = []
    assert write(folder, tell=told.append) == 70 and not told
    names = sorted(name for name in content(tmp_path / "faces") if name.endswith(".png"))
    assert (names[0], names[-1]) == ("0999/0999960.png", "1000/1000029.png") and len(names) == 70
    assert json.loads((tmp_path / "faces" / ".made.json").read_text())["settings"]["first"] == 999_960
    faces = style_model.sample(70, first=999_960)
    found = faces_at(tmp_path / "faces", 1000, [PackedDataset.open(packed16)])
    np.testing.assert_array_equal(np.concatenate(list(found.batches)), faces)
    packed = prepare(tmp_path / "faces", tmp_path / "packed", resolution=16, workers=1).dataset
    np.testing.assert_array_equal(packed.images, faces)
    assert np.asarray(Image.open(tmp_path / "faces" / names[3])).tolist() == faces[3].tolist()


def test_one_command_writes_at_a_time(style_run, tmp_path):
    assert facegan("sample", style_run, "--count", "3", "--out", tmp_path / "faces").returncode == 0
    with locked(tmp_path / "faces" / ".facegan.lock"):
        assert "another facegan is writing" in mistake("sample", style_run, "--count", "3", "--out", tmp_path / "faces")


def test_an_interrupt_says_that_the_same_command_goes_on(style_model, tmp_path, monkeypatch):
    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("facegan.bulk.png_folder.write", interrupted)
    with pytest.raises(KeyboardInterrupt) as stop:
        write_folder(Job(model=style_model, count=4, seed=0), tmp_path / "out", force=False)
    assert stop.value.__notes__ == ["what is made stays, and the same command goes on"]
