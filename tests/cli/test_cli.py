"""The command line as a person uses it: exit codes and what is printed."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.command import facegan, facegan_process, mistake

SMALL = ["--set", "generator.width=8", "--set", "discriminator.width=8", "--precision", "float32", "--threads", "1"]
SMALL += ["--forms", "direct", "--score-faces", "0"]


@pytest.fixture(scope="module")
def run(tmp_path_factory, packed16):
    path = tmp_path_factory.mktemp("cli") / "run"
    done = facegan(
        "train", packed16, "--recipe", "dcgan", "--run", path, "--images", "32", "--batch", "8", *SMALL, "--json"
    )
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events if event["event"] in ("start", "stop")] == ["start", "stop"]
    assert events[-1]["nimg"] == 32
    return path


def test_a_process_of_its_own_ends_with_the_same_sentence_and_code(tmp_path):
    command = ("sample", tmp_path / "missing", "--out", tmp_path / "a.png")
    done = facegan_process(*command)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (2, "", mistake(*command))


def test_a_html_page_named_zip(tmp_path):
    (tmp_path / "img_align_celeba.zip").write_text("<!DOCTYPE html><html><title>Google Drive - Quota exceeded</title>")
    sentence = mistake("prepare", tmp_path / "img_align_celeba.zip", tmp_path / "out")
    assert "HTML" in sentence and "download" in sentence
    assert not (tmp_path / "out").exists()


def test_an_empty_folder(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty" in mistake("prepare", tmp_path / "empty", tmp_path / "out")


def test_an_empty_argument_is_not_the_current_folder(tmp_path):
    assert "one of the arguments is empty" in mistake("prepare", "", tmp_path / "out")


def test_a_missing_path(tmp_path):
    assert "missing" in mistake("prepare", tmp_path / "missing", tmp_path / "out")
    assert "missing" in mistake("train", tmp_path / "missing", "--recipe", "dcgan", "--run", tmp_path / "run")
    assert "missing" in mistake("sample", tmp_path / "missing", "--out", tmp_path / "a.png")


def test_a_place_that_cannot_be_written(run, packed16):
    assert "/proc/faces" in mistake("sample", run, "--count", "1", "--out", "/proc/faces/")
    assert "/proc/run" in mistake("train", packed16, "--recipe", "dcgan", "--run", "/proc/run")


def test_random_bytes_as_a_model(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(np.random.default_rng(0).bytes(5000))
    assert "is a file" in mistake("sample", tmp_path / "model.safetensors", "--out", tmp_path / "a.png")


def test_random_bytes_in_a_snapshot(tmp_path, run):
    import shutil

    broken = tmp_path / "run"
    shutil.copytree(run, broken)
    ema = sorted(broken.glob("snapshots/*/ema.safetensors"))[-1]
    ema.write_bytes(np.random.default_rng(0).bytes(5000))
    assert "ema.safetensors is damaged" in mistake("sample", broken, "--out", tmp_path / "a.png")


def test_an_unknown_recipe(packed16, tmp_path):
    sentence = mistake("train", packed16, "--recipe", "dcgann", "--run", tmp_path / "run")
    assert "did you mean dcgan" in sentence
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_no_run(tmp_path):
    (tmp_path / "photos").mkdir()
    assert "is no run" in mistake("sample", tmp_path / "photos", "--out", tmp_path / "a.png")


@pytest.mark.parametrize(("arguments", "word"), [
    (["--images", "many"], "--images"),
    (["--images", "-5"], "--images"),
    (["--batch", "1"], "--batch"),
    (["--seed", "-1"], "--seed"),
    (["--minutes", "0"], "--minutes"),
    (["--precision", "int8"], "--precision"),
    (["--accelerator", "tpu"], "--accelerator"),
    (["--images", "1e16"], "at most 1,000,000,000,000,000"),
    (["--images", "1e30"], "to 1,000,000,000,000,000"),
    (["--set", "ema_halflife=1e30"], "too large"),
    (["--minutes", "inf"], "--minutes inf"),
    (["--keep", "0"], "--keep"),
    (["--score-faces", "1"], "--score-faces"),
    (["--devices", "1" + "0" * 30], "--devices"),
    (["--devices", "1000"], "cores"),
    (["--set", "width=3"], "did you mean"),
    (["--set", "network=classic-tanh"], "choose another --recipe"),
    (["--set", "generator.width=-4"], "width"),
    (["--set", "generator.width=100000"], "width"),
])  # fmt: skip
def test_wrong_values_are_named(packed16, tmp_path, arguments, word):
    assert word in mistake("train", packed16, "--recipe", "dcgan", "--run", tmp_path / "run", *arguments)


def test_keras_files_that_are_none(tmp_path):
    (tmp_path / "junk.h5").write_bytes(b"junk")
    told = mistake("import-keras", tmp_path / "junk.h5", "--recipe", "classic-tanh", "--out", tmp_path / "out")
    assert "junk.h5" in told and "no HDF5 file" in told and "Warning" not in told
    arguments = ("--recipe", "classic-tanh", "--out", tmp_path / "out", "--resolution", 10**10)
    assert "resolution" in mistake("import-keras", tmp_path / "junk.h5", *arguments)
    assert "is no file" in mistake(
        "import-keras", tmp_path / "a.h5", "--recipe", "classic-tanh", "--out", tmp_path / "b"
    )


def test_data_that_is_no_packed_dataset(tmp_path):
    (tmp_path / "photos").mkdir()
    assert "prepare" in mistake("train", tmp_path / "photos", "--recipe", "dcgan", "--run", tmp_path / "run")


def test_sample_grid_folder_and_array_agree(run, tmp_path):
    for out in ("grid.png", "faces/", "faces.npy"):
        done = facegan("sample", run, "--count", "5", "--seed", "3", "--out", tmp_path / out)
        assert done.returncode == 0, done.stderr
    array = np.load(tmp_path / "faces.npy")
    assert array.shape == (5, 16, 16, 3)
    files = sorted((tmp_path / "faces").glob("*.png"))
    assert [file.name for file in files] == [f"{number:06d}.png" for number in range(5)]
    np.testing.assert_array_equal(np.stack([np.asarray(Image.open(file)) for file in files]), array)
    picture = np.asarray(Image.open(tmp_path / "grid.png"))
    np.testing.assert_array_equal(picture[2:18, 2:18], array[0])
    np.testing.assert_array_equal(picture[20:36, 20:36], array[4])


def test_sample_says_what_made_the_faces(run, tmp_path):
    asked = ("--count", "3", "--seed", "3", "--first", "10", "--truncation", "0.5")
    for out in ("grid.png", "faces/", "faces.npy"):
        assert facegan("sample", run, *asked, "--out", tmp_path / out).returncode == 0
    (snapshot,) = list((run / "snapshots").glob("nimg-000000032"))
    weights = json.loads((snapshot / "snapshot.json").read_text())["sha256"]["ema.safetensors"]
    for number, file in enumerate(sorted((tmp_path / "faces").glob("*.png")), 10):
        text = Image.open(file).text
        told = f"dcgan, 32 images seen, weights {weights[:16]}, seed 3, number {number}, truncation 0.5"
        assert text["Description"].endswith(told) and "Title" not in text
    text = Image.open(tmp_path / "grid.png").text
    assert text["Title"] == "facegan sheet" and "numbers 10 to 12" in text["Description"]
    about = json.loads((tmp_path / "faces.npy.json").read_text())
    assert about["weights_sha256"] == weights and about["labels"] == "" and about["attributes"] == {}
    assert [about[name] for name in ("model", "nimg", "seed", "first", "count", "truncation")] == [
        "dcgan", 32, 3, 10, 3, 0.5
    ]  # fmt: skip
    assert "made by a neural network" in about["statement"] and "trainedAlg" in about["digital_source_type"]
    (tmp_path / "faces.npy").unlink()
    assert "faces.npy.json exists already" in mistake("sample", run, "--out", tmp_path / "faces.npy")
    grid = max((run / "samples").glob("*.png"))
    assert Image.open(grid).text["Title"] == "facegan sheet" and "model dcgan" in Image.open(grid).text["Description"]
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    assert grid.read_bytes() in [event.encoded_image_string for event in events.Images("samples")]


def test_made_faces_are_known_when_they_come_back(run, tmp_path):
    for out in ("photos/faces/", "photos/grid.png"):
        assert facegan("sample", run, "--count", "3", "--out", tmp_path / out).returncode == 0
    assert facegan("film", run, "--out", tmp_path / "photos" / "film.webp").returncode == 0
    done = facegan("prepare", tmp_path / "photos", tmp_path / "packed", "--resolution", "16", "--preview", "--json")
    assert done.returncode == 0, done.stderr
    event = json.loads(done.stdout.splitlines()[-1])
    assert event["count"] == 3 and event["set_aside"] == 2
    assert "3 of 3 images say that a neural network made them: what learns" in event["warnings"][0]
    assert json.loads((tmp_path / "packed" / "dataset.json").read_text())["made_by_network"] == 3
    text = Image.open(tmp_path / "packed" / "preview.png").text
    assert text["Description"].startswith("made by") and text["Title"] == "facegan sheet"


def test_sample_prints_scores(run, tmp_path):
    done = facegan("sample", run, "--count", "3", "--score", "--out", tmp_path / "faces")
    assert [0 < float(line.split()[1]) < 1 for line in done.stdout.splitlines()] == [True] * 3


def test_sample_does_not_overwrite_unasked(run, tmp_path):
    (tmp_path / "mine.png").write_bytes(b"mine")
    assert "--force" in mistake("sample", run, "--out", tmp_path / "mine.png")
    assert (tmp_path / "mine.png").read_bytes() == b"mine"
    assert facegan("sample", run, "--count", "1", "--out", tmp_path / "mine.png", "--force").returncode == 0
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "000002.png").write_bytes(b"mine")
    done = facegan("sample", run, "--count", "2", "--out", folder, "--force")
    assert done.returncode == 0 and "1 other files before; they are still there" in done.stderr
    assert (folder / "000002.png").read_bytes() == b"mine" and len(list(folder.glob("*.png"))) == 3


@pytest.mark.parametrize(("arguments", "word"), [
    (["--count", "0"], "--count"),
    (["--count", "1M"], "one picture"),
    (["--out", "faces.jpg"], ".png"),
    (["--attr", "Smiling"], "NAME=VALUE"),
    (["--attr", "Smiling=1"], "attributes"),
    (["--truncation", "2"], "truncation"),
    (["--seed", "-3"], "seed"),
])  # fmt: skip
def test_sample_names_wrong_values(run, tmp_path, arguments, word):
    assert word in mistake("sample", run, *arguments, cwd=tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_finishes_the_step_and_leaves_a_snapshot(tmp_path, packed16, number, code):
    command = [sys.executable, "-m", "facegan", "train", str(packed16), "--recipe", "dcgan"]
    command += ["--run", str(tmp_path / "run"), "--batch", "8", "--log-every", "8", *SMALL]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "run" / "log.jsonl"
    deadline = time.monotonic() + 60
    while not (log.exists() and "D_loss" in log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert "stopping, once a snapshot is written; a second Ctrl-C ends it at once" in said
    assert "the same command goes on from there" in errors
    assert "Traceback" not in errors
    nimg = json.loads(log.read_text().splitlines()[-1])["nimg"]
    assert (tmp_path / "run" / "snapshots" / f"nimg-{nimg:09d}" / "generator.safetensors").is_file()
    again = facegan(*command[3:], "--images", str(nimg + 8))
    assert again.returncode == 0, again.stderr
    assert f"goes on at {nimg:,} images" in again.stdout


def test_film_shows_the_stages(run, tmp_path):
    for name in ("stages.png", "film.webp", "film.gif"):
        assert facegan("film", run, "--out", tmp_path / name, "--faces", "4").returncode == 0
        content = (tmp_path / name).read_bytes()
        for mark in (b"trainedAlgorithmicMedia", b"facegan sheet", b"model dcgan, seed 0"):
            assert mark in content, name
    picture = np.asarray(Image.open(tmp_path / "stages.png"))
    assert picture.shape == (2 * 18 + 2, 4 * 18 + 2, 3)  # the grids of the start and of the end
    assert not np.array_equal(picture[2:18], picture[20:36])
    assert ".png" in mistake("film", run, "--out", tmp_path / "film.avi")
    assert "--force" in mistake("film", run, "--out", tmp_path / "stages.png")
    assert "is no run" in mistake("film", tmp_path, "--out", tmp_path / "none.png")


def test_help_names_every_command_and_needs_no_torch():
    script = (
        "import sys; from facegan.cli import app; app(['--help'], standalone_mode=False); "
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for command in ("prepare", "train", "sample", "blind", "summary", "film", "demo", "synth-dataset"):
        assert command in done.stdout
        shown = facegan(command, "--help")
        assert shown.returncode == 0
        assert f"facegan {command}" in shown.stdout  # a runnable example


def test_summary_prints_the_known_numbers():
    done = facegan("summary", "classic-dcgan", "--resolution", "96")
    assert "Total: 6,169,475" in done.stdout
    assert "Total: 4,396,673" in done.stdout
    assert "trainable: 6,168,579   non-trainable: 896" in done.stdout


def test_summary_knows_what_can_be_set():
    lines = facegan("summary", "style", "--settings").stdout.splitlines()
    assert "generator.width=24" in lines and "attributes=true" in lines
    assert not [line for line in lines if line.startswith(("name=", "network="))]


def test_a_summary_of_any_size_needs_no_memory():
    assert "Total: 34," in facegan("summary", "classic-tanh", "--resolution", "2048").stdout


@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="pipes as POSIX has them")
def test_a_reader_that_leaves_ends_nothing(tmp_path, packed16):
    command = [sys.executable, "-m", "facegan", "train", str(packed16), "--recipe", "dcgan", "--run"]
    command += [str(tmp_path / "run"), "--images", "32", "--batch", "8", "--log-every", "8", *SMALL]
    for more in ([], ["--json", "--seed", "1"]):
        command[command.index("--run") + 1] = str(tmp_path / f"run{len(more)}")
        process = subprocess.Popen([*command, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=60) == 0, process.stderr.read()
        assert (tmp_path / f"run{len(more)}" / "snapshots" / "nimg-000000032").is_dir()
        process.stderr.close()


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_an_interrupt_outside_training_says_so(tmp_path):
    command = [sys.executable, "-m", "facegan", "synth-dataset", str(tmp_path / "made"), "--count", "100k"]
    # A shell's background jobs ignore SIGINT, and so do their children unless told otherwise.
    heed = (lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) if os.name == "posix" else None
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed)
    deadline = time.monotonic() + 60
    while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "facegan: interrupted" in errors and "Traceback" not in errors


def test_a_style_run_labels_faces_and_makes_what_it_is_asked_for(tmp_path, packed16):
    small = [
        f"--set={side}.{name}" for side in ("generator", "discriminator") for name in ("width=4", "max_channels=8")
    ]
    command = ["train", packed16, "--recipe", "style-s", "--run", tmp_path / "run", "--images", "32", "--json", *small]
    done = facegan(*command, "--precision", "float32", "--threads", "1", "--forms", "direct", "--score-faces", "16")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"event": "labels", "faces": 50} in events and {"event": "reference", "faces": 50} in events
    (shown,) = facegan("runs", tmp_path, "--json").stdout.splitlines()
    assert json.loads(shown)["quick_score"] > 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["config"]["batch"] == 16
    faces = []
    for number, attributes in enumerate(([], ["--attr", "Smiling=1"], ["--attr", "smiling=1", "--truncation", "0.5"])):
        out = tmp_path / f"{number}.npy"
        assert facegan("sample", tmp_path / "run", "--count", "4", *attributes, "--out", out).returncode == 0
        faces.append(np.load(out))
    assert not np.array_equal(faces[0], faces[1]) and not np.array_equal(faces[1], faces[2])
    silent = tmp_path / "silent.npy"
    done = facegan("sample", tmp_path / "run", "--count", "4", "--labels", "none", "--out", silent)
    assert done.returncode == 0 and not np.array_equal(np.load(silent), faces[0])
    assert "choose prior or none" in mistake(
        "sample", tmp_path / "run", "--labels", "some", "--out", tmp_path / "a.png"
    )


def test_settings_that_cannot_work_together(tmp_path, packed16):
    told = mistake("train", packed16, "--recipe", "dcgan", "--run", tmp_path / "run", "--set", "r1=1")
    assert "batch normalisation" in told and "leave it out" in told
    told = mistake("train", packed16, "--recipe", "style-s", "--run", tmp_path / "run", "--batch", "6")
    assert "choose a multiple" in told
    assert not (tmp_path / "run").exists()


def test_a_gpu_that_is_not_there_is_a_mistake(tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert "choose auto, cpu, cuda" in mistake("sample", "--out", tmp_path / "faces.png", "--device", "gpu")
    assert "no CUDA device is usable here" in mistake("sample", "--out", tmp_path / "faces.png", "--device", "cuda")


def test_a_run_goes_on_without_its_settings_and_is_averaged_anew(tmp_path, packed16):
    averages = ["--set", "ema_halflife=4", "--set", "extra_ema_halflives=16"]
    begin = ["train", packed16, "--recipe", "dcgan", "--run", tmp_path / "run", "--images", "160", "--batch", "8"]
    assert facegan(*begin, *SMALL, *averages, "--snapshot-every", "40", "--keep", "9", "--json").returncode == 0
    done = facegan("train", "--run", tmp_path / "run", "--images", "176", "--score-faces", "0", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["nimg"] == 176
    done = facegan("train", "--run", tmp_path / "run", "--set", "flip=false")
    assert done.returncode == 2 and "--fork" in done.stderr and "recipe.flip" in done.stderr
    assert "is no run yet" in mistake("train", "--run", tmp_path / "new")
    assert "--run is the run to fork" in mistake("train", "--run", tmp_path / "new", "--fork", tmp_path / "run")
    done = facegan("average", tmp_path / "run", "--halflife", "8", "--out", tmp_path / "eight")
    assert done.returncode == 0, done.stderr
    assert facegan("sample", tmp_path / "eight", "--count", "4", "--out", tmp_path / "four.png").returncode == 0
    assert "exists" in mistake("average", tmp_path / "run", "--halflife", "8", "--out", tmp_path / "eight")
    assert "whole number" in mistake("average", tmp_path / "run", "--halflife", "long", "--out", tmp_path / "other")
