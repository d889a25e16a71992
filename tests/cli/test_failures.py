"""What the system denies, and what people mean who come from other programs: one sentence, and exit code 2."""

import errno
import fcntl
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from facegan import api, hints
from facegan.cli import failures
from facegan.files import locked
from tests.command import facegan, mistake


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("lr=1e-4", "generator_optimizer.learning_rate"),
        ("generator_optimizer.lr=1e-4", "learning_rate"),
        ("batch=8", "--batch"),
        ("beta1=0.5", "generator_optimizer.beta1"),
        ("ngf=32", "generator.width"),
        ("image_size=64", "facegan prepare"),
        ("generator.widht=8", "generator.width"),
    ],
)
def test_settings_by_the_names_of_other_programs(packed16, tmp_path, setting, says):
    assert says in mistake("train", packed16, "--recipe", "dcgan", "--run", tmp_path / "r", "--set", setting)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(("word", "says"), [("trian", "train"), ("generate", "sample"), ("fid", "evaluate")])
def test_commands_by_the_names_of_other_programs(word, says):
    assert says in mistake(word)


def test_what_is_taken_for_something_else(packed16, tmp_path):
    run = tmp_path / "run"
    small = ("--recipe", "dcgan", "--set", "generator.width=8", "--set", "discriminator.width=8")
    trained = facegan("train", packed16, "--run", run, *small, "--images", "0", "--batch", "4", "--score-faces", "0")
    assert trained.returncode == 0, trained.stderr
    told = mistake("train", run, "--recipe", "dcgan", "--run", tmp_path / "other")
    assert "is a run, where a packed dataset is expected" in told
    assert "it is a packed dataset" in mistake("film", packed16, "--out", tmp_path / "film.png")
    told = facegan("train", packed16, "--recipe", "style-s", "--run", tmp_path / "other", "--init", "celeba64")
    assert told.returncode == 2 and "it was trained with --recipe style at 64 px" in told.stderr


def no_memory(*_args, **_options):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def allocator(*_args, **_options):
    raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")


@pytest.mark.parametrize("failure", [no_memory, allocator])
def test_not_enough_memory_names_the_flag_and_what_may_fit(monkeypatch, tmp_path, failure):
    monkeypatch.setattr(api.Model, "batches", failure)
    told = mistake("sample", "celeba64", "--count", "40", "--out", tmp_path / "a.png")
    assert "not enough memory for facegan sample" in told and "--count 20" in told


def test_an_error_that_is_none_of_the_systems_is_not_hidden(monkeypatch, tmp_path):
    def broken(*_args, **_options):
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(api.Model, "batches", broken)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        facegan("sample", "celeba64", "--out", tmp_path / "a.png")


def test_a_full_disk_is_told_with_its_place(monkeypatch, tmp_path):
    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "a.png"))

    monkeypatch.setattr(api.Model, "batches", full)
    assert "No space left" in mistake("sample", "celeba64", "--out", tmp_path / "a.png")


def test_what_no_terminal_can_show_is_escaped(tmp_path):
    source = tmp_path / "\u4eba\u8138"
    source.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(pixels).save(source / "\u4eba.png")
    command = [sys.executable, "-m", "facegan", "prepare", str(source), str(tmp_path / "out"), "--resolution", "16"]
    environment = os.environ | {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    done = subprocess.run([*command, "--workers", "1"], capture_output=True, env=environment, check=False)
    assert done.returncode == 0 and b"Traceback" not in done.stderr
    again = subprocess.run([*command, "--workers", "1"], capture_output=True, env=environment, check=False)
    assert again.returncode == 2 and again.stderr.startswith(b"facegan: ")


def test_interrupted_and_terminated():
    assert failures.stopped(KeyboardInterrupt()) == ("interrupted", 130)
    early = KeyboardInterrupt()
    early.add_note("before the first step")
    assert failures.stopped(early) == ("interrupted, before the first step", 130)
    with pytest.raises(failures.Terminated) as stop, failures.heeding_signals():
        signal.raise_signal(signal.SIGTERM)
    assert failures.stopped(stop.value) == ("stopped by SIGTERM", 143)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_link_that_leads_nowhere_is_a_taken_name(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "nowhere.png")
    assert "exists already" in mistake("sample", "celeba64", "--out", tmp_path / "a.png")


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOTSUP])
def test_a_file_system_without_locks_stops_no_work(tmp_path, monkeypatch, number):
    def refuse(*_args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked(tmp_path / "b.lock") as held:
        assert not held


def test_hints_give_up_where_nothing_is_near():
    assert hints.nearest("xqzzw", ["generator.width", "loss"]) is None
