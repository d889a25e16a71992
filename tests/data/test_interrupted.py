"""A prepare that is killed in the middle: nothing looks whole, nobody is left behind, the next one works."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from facegan.data.packed import PackedDataset
from facegan.errors import UserError

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
IMAGES = 1500
PREPARE = [sys.executable, "-m", "facegan", "prepare"]


def hear_ctrl_c() -> None:
    """Undo what a shell does to its background jobs: they ignore SIGINT, and so would the process under test."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture(scope="module")
def slow_source(tmp_path_factory):
    """Links to a few large images: seconds of work, in order that there is a middle to be killed in."""
    root = tmp_path_factory.mktemp("slow")
    source = root / "source"
    source.mkdir()
    Image.effect_noise((1000, 800), 60).convert("RGB").save(root / "large.jpg", quality=80)
    for number in range(IMAGES):
        (source / f"{number:04d}.jpg").symlink_to(root / "large.jpg")
    return source


def alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def children_of(parent):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rsplit(")", 1)[1].split()[1]) == parent:
                found.append(int(stat.parent.name))
        except OSError:
            continue
    return found


def wait_until(condition, seconds=90.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


@contextmanager
def started(source, out):
    """Start a prepare; give it and its processes when the first images are packed; end it in any case."""
    command = [*PREPARE, str(source), str(out), "--resolution", "32", "--workers", "2"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=hear_ctrl_c
    )
    images = out.with_name(out.name + ".partial") / "images.npy"
    try:
        wait_until(lambda: images.exists() and images.stat().st_blocks * 512 > 8192)
        yield process, children_of(process.pid)
    finally:
        process.kill()
        process.communicate()


def test_killed_in_the_middle(slow_source, tmp_path):
    out = tmp_path / "out"
    with started(slow_source, out) as (process, children):
        assert process.poll() is None and len(children) >= 2
    assert process.returncode == -signal.SIGKILL
    assert not out.exists() and out.with_name("out.partial").exists()
    for path in (out, out.with_name("out.partial")):
        with pytest.raises(UserError):
            PackedDataset.open(path)
    wait_until(lambda: not any(alive(child) for child in children))
    command = [*PREPARE, str(slow_source), str(out), "--limit", "3", "--workers", "1"]
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert len(PackedDataset.open(out)) == 1, "one image and two copies of it"
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_interrupted_by_ctrl_c(slow_source, tmp_path):
    with started(slow_source, tmp_path / "out") as (process, children):
        assert process.poll() is None
        for target in (process.pid, *children):  # Ctrl-C reaches every process of the terminal's foreground group
            with contextlib.suppress(ProcessLookupError):  # a child that heard of its parent's end first
                os.kill(target, signal.SIGINT)
        process.wait(20)
        errors = process.stderr.read()
    assert process.returncode == 130 and "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []
    wait_until(lambda: not any(alive(child) for child in children))
