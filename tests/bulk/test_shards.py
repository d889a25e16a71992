"""Tar shards: the faces of the job, whoever made which of them, and however often they were stopped."""

import io
import json
import signal
import subprocess
import sys
import tarfile
import time

import numpy as np
import pytest
from PIL import Image

from facegan.bulk.job import Job
from facegan.bulk.shards import Shards, make
from facegan.errors import UserError
from facegan.files import locked
from tests.command import facegan, mistake


def shards_of(model, folder, *, size=50, form="png", **asked):
    return Shards(Job(model=model, **{"count": 120, "seed": 3, "first": 7} | asked), folder / "f-%03d.tar", size, form)


def made(shards, share=(1, 1), **options):
    return make(shards, shards.share(*share), **options)


def content(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture(scope="module")
def undisturbed(style_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    made(shards_of(style_model, folder))
    return content(folder)


def read(folder):
    """Return {member: content} in the order of the shards."""
    found = {}
    for file in sorted(folder.glob("*.tar")):
        with tarfile.open(file) as archive:
            for member in archive:
                assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
                found[member.name] = archive.extractfile(member).read()
    return found


@pytest.mark.parametrize("form", ["png", pytest.param("npy", marks=pytest.mark.long)])
def test_each_face_has_a_picture_and_what_is_known_of_it(shipped, tmp_path, form):
    asked = {"count": 66, "attributes": {"Smiling": 1.0, "Male": -1.0}, "truncation": 0.7}
    made(shards_of(shipped, tmp_path, size=30, form=form, scores=True, **asked))
    members = read(tmp_path)
    assert list(members) == [f"{key:06d}.{suffix}" for key in range(7, 73) for suffix in (form, "json")]
    faces, scores = zip(*shipped.batches(seed=3, first=7, scores=True, **asked), strict=True)
    told = [json.loads(members[f"{key:06d}.json"]) for key in range(7, 73)]
    assert [face["number"] for face in told] == list(range(7, 73)) and {face["seed"] for face in told} == {3}
    np.testing.assert_allclose([face["score"] for face in told], np.concatenate(scores), atol=1e-6)
    said = shipped.labels(3, range(7, 73), asked["attributes"])
    assert [len(face["attributes"]) for face in told] == np.count_nonzero(said, axis=1).tolist()
    assert {(face["attributes"]["Smiling"], face["attributes"]["Male"]) for face in told} == {(2, -2)}
    for place, face in enumerate(np.concatenate(faces)):
        data = members[f"{7 + place:06d}.{form}"]
        if form == "npy":
            np.testing.assert_array_equal(np.load(io.BytesIO(data)), face)
            assert "made by a neural network" in told[place]["provenance"]["statement"]
        else:
            picture = Image.open(io.BytesIO(data))
            np.testing.assert_array_equal(np.asarray(picture), face)
            assert picture.text["Description"] == told[place]["provenance"]["statement"]
            assert picture.text["Description"].endswith(f"number {7 + place}, truncation 0.7, Male=-1, Smiling=1")


def test_shares_make_what_one_process_makes(style_model, tmp_path, undisturbed):
    shards = shards_of(style_model, tmp_path)
    assert made(shards, (2, 2)).missing == [0, 2] and not (tmp_path / "f-manifest.json").exists()
    last = made(shards, (1, 2))
    assert (last.made, last.kept, last.missing) == (2, 0, [])
    assert content(tmp_path) == undisturbed
    listed = json.loads(undisturbed["f-manifest.json"])["shards"]
    assert [(shard["file"], shard["first"], shard["count"]) for shard in listed] == [
        ("f-000.tar", 7, 50), ("f-001.tar", 57, 50), ("f-002.tar", 107, 20)
    ]  # fmt: skip
    assert made(shards, (5, 9)).made == 0, "there are more shares than shards"


def test_the_faces_are_those_of_a_folder(style_model, style_run, tmp_path, undisturbed):
    done = facegan("sample", style_run, "--count", 120, "--seed", 3, "--first", 7, "--out", tmp_path / "faces/")
    assert done.returncode == 0, done.stderr
    made(shards_of(style_model, tmp_path))
    for name, picture in read(tmp_path).items():
        if name.endswith(".png"):
            assert (tmp_path / "faces" / name).read_bytes() == picture


def test_a_stopped_job_goes_on_and_ends_in_the_same_bytes(style_model, tmp_path, undisturbed):
    shards, reported = shards_of(style_model, tmp_path), []

    def stop(done, whole):
        if done > 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(shards, progress=stop)
    assert sorted(content(tmp_path)) == [".f-001.tar.lock", "f-000.tar", "f-000.tar.json"]
    (tmp_path / ".f-001.tar.4711.partial").write_bytes(b"half")  # of a process that was killed
    last = made(shards, progress=lambda *done: reported.append(done))
    assert (last.made, last.kept, reported[-1]) == (2, 1, (70, 70))
    assert content(tmp_path) == undisturbed


def test_a_killed_command_goes_on(style_run, tmp_path):
    def command(folder):
        return ("sample", style_run, "--count", "4000", "--shard-size", "200", "--out", tmp_path / folder / "%02d.tar")

    process = subprocess.Popen([sys.executable, "-m", "facegan", *map(str, command("killed"))])
    until = time.monotonic() + 60
    while not (tmp_path / "killed" / "00.tar").exists() and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    for folder in ("killed", "undisturbed"):
        done = facegan(*command(folder))
        assert done.returncode == 0, done.stderr
    assert content(tmp_path / "killed") == content(tmp_path / "undisturbed")


def test_a_damaged_shard_is_told_and_made_again(style_model, tmp_path, undisturbed):
    shards, told = shards_of(style_model, tmp_path), []
    made(shards)
    damaged = bytearray(undisturbed["f-001.tar"])
    damaged[3000] ^= 1
    (tmp_path / "f-001.tar").write_bytes(damaged)
    (tmp_path / "f-002.tar").unlink()
    last = made(shards, tell=told.append)
    assert (last.made, last.kept) == (2, 1) and "f-001.tar is damaged" in told[0]
    assert content(tmp_path) == undisturbed


def test_nothing_else_is_overwritten_unasked(style_model, tmp_path, undisturbed):
    (tmp_path / "f-001.tar").write_bytes(b"mine")
    with pytest.raises(UserError, match=r"f-001\.tar is there without f-001\.tar\.json"):
        made(shards_of(style_model, tmp_path))
    assert content(tmp_path) == {"f-001.tar": b"mine"}
    made(shards_of(style_model, tmp_path, seed=4), force=True)
    with pytest.raises(UserError, match=r"other settings \(seed 4, now 3\)"):
        made(shards_of(style_model, tmp_path))
    with pytest.raises(UserError, match=r"shard_size 50, now 70"):
        made(shards_of(style_model, tmp_path, size=70, seed=4))
    made(shards_of(style_model, tmp_path), force=True)
    assert content(tmp_path) == undisturbed
    (tmp_path / "f-003.tar").write_bytes(b"mine")
    with pytest.raises(UserError, match="1 shards beyond the 3"):
        made(shards_of(style_model, tmp_path))
    (tmp_path / "f-003.tar").unlink()
    (tmp_path / "f-000.tar.json").write_bytes(b"{")
    with pytest.raises(UserError, match=r"f-000\.tar\.json is damaged"):
        made(shards_of(style_model, tmp_path))


def test_two_processes_never_make_one_shard_at_once(style_model, tmp_path, undisturbed):
    shards, told = shards_of(style_model, tmp_path), []
    with locked(tmp_path / ".f-001.tar.lock"):
        last = made(shards, tell=told.append)
    assert (last.made, last.missing) == (2, [1]) and "f-001.tar is being made by another process" in " ".join(told)
    assert made(shards).kept == 2 and content(tmp_path) == undisturbed


@pytest.mark.parametrize(("arguments", "words"), [
    (["--out", "faces.tar"], "such as faces-%05d.tar"),
    (["--out", "%02d-%02d.tar"], "write once"),
    (["--out", "%d.tar"], "where the number"),
    (["--out", "f-%05d.tar", "--shard", "0/2"], "--shard 0/2: write I/N"),
    (["--out", "f-%05d.tar", "--shard", "3/2"], "--shard 3/2"),
    (["--out", "f-%05d.tar", "--shard", "half"], "--shard half"),
    (["--out", "f-%05d.tar", "--shard-size", "0"], "--shard-size 0"),
    (["--out", "f-%05d.tar", "--format", "webp"], "choose png or npy"),
    (["--out", "f-%01d.tar", "--shard-size", "2"], "has room for 10 shards, and these are 32: write %02d"),
    (["--out", "f/", "--shard", "1/2"], "--shard is for shards"),
    (["--out", "f.png", "--format", "npy"], "--format is for shards"),
])  # fmt: skip
def test_wrong_words_are_named(style_run, tmp_path, arguments, words):
    assert words in mistake("sample", style_run, *arguments, cwd=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_manifests_place_stays(style_model, tmp_path):
    shards = Shards(Job(model=style_model, count=4, seed=0), tmp_path / "%05d.tar", 50, "png")
    (tmp_path / "manifest.json").write_text('{"mine": 1}')
    with pytest.raises(
        UserError, match=r"manifest\.json is damaged, or something else .*, where the shards are to be listed"
    ):
        made(shards)
    assert (tmp_path / "manifest.json").read_text() == '{"mine": 1}'
    assert made(shards, force=True).made == 1 and json.loads((tmp_path / "manifest.json").read_text())["count"] == 4
