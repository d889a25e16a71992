"""What commands do where nothing takes their output, where memory is short, and when they are told to stop."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.command import facegan

pytestmark = pytest.mark.skipif(os.name != "posix", reason="streams, limits and signals as POSIX has them")
SMALL = ["--recipe", "dcgan", "--set", "generator.width=8", "--set", "discriminator.width=8", "--threads", "1"]
SMALL += ["--precision", "float32", "--forms", "direct", "--score-faces", "0"]


def shell(line: str, *arguments: object, buffered: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a line of a shell in which ``"$@"`` stands for ``facegan ARGUMENTS``."""
    command = ["sh", "-c", line, "sh", sys.executable, "-m", "facegan", *map(str, arguments)]
    environment = os.environ | {"PYTHONUNBUFFERED": "" if buffered else "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux's /dev/full")


@needs_full
@pytest.mark.parametrize(
    ("arguments", "buffered"), [(("--help",), True), (("--help",), False), (("summary", "dcgan"), True)]
)
def test_output_that_a_full_disk_swallows_is_told(arguments, buffered):
    done = shell('"$@" > /dev/full', *arguments, buffered=buffered)
    assert done.returncode == 2
    assert done.stderr.startswith("facegan: what was printed is not whole: standard output: No space left")
    assert len(done.stderr.splitlines()) == 1


@needs_full
def test_a_training_goes_on_where_its_output_cannot_be_written(packed16, tmp_path):
    done = shell(
        '"$@" > /dev/full', "train", packed16, "--run", tmp_path / "r", *SMALL, "--images", "8", "--batch", "8"
    )
    assert done.returncode == 2 and "standard output" in done.stderr and "Traceback" not in done.stderr
    assert (tmp_path / "r" / "snapshots" / "nimg-000000008").is_dir()


@pytest.fixture(scope="module")
def run(packed16, tmp_path_factory):
    """A model that makes faces faster than the shipped one."""
    path = tmp_path_factory.mktemp("streams") / "run"
    assert facegan("train", packed16, "--run", path, *SMALL, "--images", "8", "--batch", "8").returncode == 0
    return path


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_end_no_command(run, tmp_path, closed):
    done = shell(f'"$@" {closed}', "sample", run, "--count", "2", "--score", "--out", tmp_path / "faces")
    assert done.returncode == 0 and "Traceback" not in done.stderr
    assert len(list((tmp_path / "faces").glob("*.png"))) == 2


@pytest.mark.parametrize("buffered", [True, False])
def test_scores_whose_reader_leaves_do_not_end_the_faces(run, tmp_path, buffered):
    line = '{ "$@"; echo $? > "$0.code"; } | true; while ! [ -s "$0.code" ]; do sleep 0.1; done'
    arguments = ("sample", run, "--count", "70", "--score", "--out", tmp_path / "faces")
    command = ["sh", "-c", line, str(tmp_path / "x"), sys.executable, "-m", "facegan", *map(str, arguments)]
    environment = os.environ | {"PYTHONUNBUFFERED": "" if buffered else "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert (tmp_path / "x.code").read_text().strip() == "0", done.stderr
    assert len(list((tmp_path / "faces").glob("*.png"))) == 70 and "Broken pipe" not in done.stderr


def test_a_question_without_input_counts_as_no(run):
    done = shell('"$@" <&-', "runs", "clean", run)
    assert done.returncode == 1 and "nothing deleted" in done.stdout and "Traceback" not in done.stderr


@pytest.mark.long
def test_a_batch_that_does_not_fit_leaves_nothing_and_a_smaller_one_is_proposed(packed16, tmp_path):
    arguments = ("train", packed16, "--run", tmp_path / "r", *SMALL, "--images", "65536", "--batch", "65536")
    done = shell(f'ulimit -v {3 << 20}; "$@"', *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "--batch 65536: not enough memory" in done.stderr and "--batch 32768" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not (tmp_path / "r").exists()


SAMPLE, SYNTHESIZE = ("sample", "--count", "1M", "--out", "faces.npy"), ("synth-dataset", "made")


@pytest.mark.parametrize(("command", "made", "number", "code"), [
    (SAMPLE, ".faces.npy.*", signal.SIGINT, 130), (SAMPLE, ".faces.npy.*", signal.SIGTERM, 143),
    (SYNTHESIZE, "made.partial", signal.SIGINT, 130), (SYNTHESIZE, "made.partial", signal.SIGHUP, 129),
])  # fmt: skip
def test_a_command_that_is_stopped_says_so_and_leaves_nothing(tmp_path, command, made, number, code):
    process = subprocess.Popen(
        [sys.executable, "-m", "facegan", *command], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, preexec_fn=lambda: [signal.signal(each, signal.SIG_DFL) for each in (2, 15, 1)],
    )  # fmt: skip
    deadline = time.monotonic() + 90
    try:
        while not list(tmp_path.glob(made)) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert list(tmp_path.glob(made))
        process.send_signal(number)
        _, errors = process.communicate(timeout=90)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == code, errors
    last = errors.strip().splitlines()[-1]
    assert last == ("facegan: interrupted" if number == signal.SIGINT else f"facegan: stopped by {number.name}")
    assert "Traceback" not in errors and list(tmp_path.iterdir()) == []


def test_a_snapshot_that_may_not_be_read_is_not_set_aside(packed16, tmp_path, monkeypatch):
    run = tmp_path / "r"
    command = ("train", packed16, "--run", run, *SMALL, "--batch", "8")
    assert facegan(*command, "--images", "8").returncode == 0
    newest = run / "snapshots" / "nimg-000000008"
    opened = Path.open

    def denied(path, *arguments, **options):
        if path.parent == newest and path.suffix == ".safetensors":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", denied)
    done = facegan(*command, "--images", "16")
    assert done.returncode == 2 and "Permission denied" in done.stderr and "damaged" not in done.stderr
    assert newest.is_dir() and json.loads((newest / "snapshot.json").read_text())["nimg"] == 8
