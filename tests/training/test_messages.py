"""What processes tell each other: a signal that one of them got ends all of them, with a snapshot."""

import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch

from facegan.collectives import brief_reason
from facegan.training.messages import TIME_IS_UP, Messages
from facegan.training.step_metrics import MetricWindow


def engine(rank, world_size):
    return SimpleNamespace(rank=rank, world_size=world_size, device=torch.device("cpu"), timeout=1.0)


def test_a_process_alone_hears_itself():
    messages = Messages(engine(0, 1))
    assert messages.to_send() is None and messages.heard() == 0
    messages.mine = TIME_IS_UP
    assert messages.heard() == TIME_IS_UP


def test_what_one_says_all_hear_after_the_step_and_a_signal_comes_before_the_time():
    three = [Messages(engine(rank, 3)) for rank in range(3)]
    three[0].mine, three[2].mine = TIME_IS_UP, int(signal.SIGTERM)
    assert [messages.heard() for messages in three] == [0, 0, 0]
    total = sum(messages.to_send() for messages in three)
    for messages in three:
        messages.receive(total)
    assert [messages.heard() for messages in three] == [int(signal.SIGTERM)] * 3


@pytest.mark.parametrize(("before", "now"), [(1, 2), (2, 1), (2, 2), (4, 2), (1, 1)])
def test_a_window_of_the_log_goes_on_in_another_number_of_processes(before, now):
    """Means of the steps before and after are those of one process that saw all of it."""

    def added(windows, value):
        for rank, window in enumerate(windows):  # each sees its own share: their mean is the value
            window.add({"loss": torch.tensor(value + (rank - (len(windows) - 1) / 2))})

    def total_of(windows):
        return lambda _: torch.stack([sum(window._sums.values()) for window in windows]).sum()[None]

    first = [MetricWindow(is_main=rank == 0, processes=before) for rank in range(before)]
    added(first, 1.0), added(first, 2.0)
    saved = first[0].to_dict(total_of(first))
    second = [MetricWindow(saved, is_main=rank == 0, processes=now) for rank in range(now)]
    added(second, 6.0)
    assert second[0].means(total_of(second)) == {"loss": pytest.approx(3.0)}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("[../pair.cc:534] Connection closed by peer [10.0.0.2]:33", "the connection to 10.0.0.2 broke off"),
        ("[pair.cc:1] Connection closed by peer [::ffff:10.0.0.2]:33", "the connection to 10.0.0.2 broke off"),
        ("Timed out waiting 5000ms for recv operation to complete", "it did not answer in time"),
        ("[tcp/pair.cc:547] Connection reset by peer", "its connection broke off"),
    ],
)
def test_what_libraries_say_of_a_lost_process(said, told):
    assert brief_reason(RuntimeError(said)) == told


def started_in_two(run, packed16, *more):
    """Return a training of two processes that writes its log, and the number of the second one."""
    command = [
        sys.executable, "-m", "facegan", "train", str(packed16), "--recipe", "dcgan", "--run", str(run), "--devices",
        "2", "--accelerator", "cpu", "--batch", "8", "--images", "1M", "--score-faces", "0", "--precision", "float32",
        "--threads", "1", "--forms", "direct", "--log-every", "8", "--set", "generator.width=8", "--set",
        "discriminator.width=8", *more,
    ]  # fmt: skip
    main = subprocess.Popen(command, env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    log = run / "log.jsonl"
    deadline = time.monotonic() + 90
    while not (log.exists() and "D_loss" in log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    (child,) = subprocess.run(["pgrep", "-P", str(main.pid)], capture_output=True, text=True).stdout.split()
    return main, int(child)


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
def test_a_process_that_is_killed_is_named(tmp_path, packed16):
    main, child = started_in_two(tmp_path / "run", packed16, "--timeout", "30s")
    os.kill(child, signal.SIGKILL)
    _, said = main.communicate(timeout=60)
    assert main.returncode == 1 and "facegan: process 1 of 2 was lost: " in said, said
    (entry,) = map(json.loads, (tmp_path / "run" / "incidents.jsonl").read_text().splitlines())
    assert entry["kind"] == "lost process" and entry["evidence"]["missing"] == [1]


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
def test_sigterm_to_the_second_process_alone_ends_both_with_a_snapshot(tmp_path, packed16):
    run = tmp_path / "run"
    log = run / "log.jsonl"
    main, child = started_in_two(run, packed16, "--timeout", "60s")
    os.kill(child, signal.SIGTERM)
    _, said = main.communicate(timeout=60)
    assert main.returncode == 128 + signal.SIGTERM, said
    (sentence,) = [line for line in said.splitlines() if line.startswith("Stopped by SIGTERM at")]
    nimg = int(sentence.split(" at ")[1].split(" ")[0].replace(",", ""))
    assert (run / "snapshots" / f"nimg-{nimg:09d}").is_dir() and "Traceback" not in said
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert {line["processes"] for line in lines if "D_loss" in line} == {2}
