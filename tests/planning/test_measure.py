"""What a trial's lines say, also of one that was cut off; and a real one."""

import os
import sys

import pytest

from facegan.planning import measure as measuring
from facegan.planning.measure import Subject, parse_trial, step_rate

SMALL = ("generator.width=8", "discriminator.width=8")
SUBJECT = Subject(data=[], recipe="dcgan", resolution=64, batch=16, penalty_every=4)


def line(what, t, **fields):
    return {"what": what, "t": t, **fields}


def test_the_first_step_is_left_out_and_penalties_have_their_share():
    # steps 0, 4, 8 have penalties: 5 s; others 1 s; the first one took 60
    times, now = [], 0.0
    for number in range(10):
        now += 60 if number == 0 else 5 if number % 4 == 0 else 1
        times.append(now)
    assert step_rate(times, 16, 4) == pytest.approx(4 * 16 / (3 * 1 + 5))
    assert step_rate(times[:4], 16, 4) is None  # no second step with penalties yet
    assert step_rate([60, 61, 62, 63], 16, 1) == pytest.approx(16.0)
    assert step_rate([60, 61], 16, 1) is None and step_rate([], 16, 1) is None


def test_a_trial_that_was_cut_off_tells_what_it_knew():
    lines = [line("ready", 3.0), line("measuring", 4.0)]
    early = parse_trial(lines, SUBJECT, tuned=True, ended=None, seconds=10)
    assert parse_trial(lines, SUBJECT, tuned=False, ended=None, seconds=10).cut_off == "its first steps"
    assert early.images_per_s is None and early.cut_off == "looking for the fastest way to compute" and not early.error
    lines += [line("start", 9.0, images_per_s=40.0, threads=2, snapshot_bytes=10**6, device="cpu")]
    later = parse_trial([*lines, line("step", 9.5), line("step", 10.0)], SUBJECT, tuned=True, ended=None, seconds=10)
    assert later.images_per_s == 40.0 and later.rough and later.start == pytest.approx(9.0)
    assert later.snapshot_bytes == 10**6 and later.threads == 2 and later.cut_off == "its steps"


def test_a_whole_trial():
    lines = [line("start", 9.0, images_per_s=40.0), *(line("step", 10.0 + number) for number in range(6))]
    lines += [line("stop", 16, nimg=96), line("faces", 17, make=0.01, look=0.02), line("memory", 17, bytes=5)]
    tuned = parse_trial(lines, SUBJECT, tuned=True, ended=0, seconds=18)
    assert (tuned.images_per_s, tuned.rough, tuned.make, tuned.memory) == (16.0, False, 0.01, 5)
    assert parse_trial(lines, SUBJECT, tuned=False, ended=0, seconds=18).rough
    assert tuned.cut_off == "" and tuned.cores is None
    shared = [line | {"cpu": line["t"] / 2} for line in lines]
    assert parse_trial(shared, SUBJECT, tuned=True, ended=0, seconds=18).cores == 0.5


def test_a_trial_that_failed():
    told = parse_trial([line("error", 3.0, message="too small")], SUBJECT, tuned=True, ended=2, seconds=3)
    assert told.error == "too small"
    assert "memory" in parse_trial([], SUBJECT, tuned=True, ended=-9, seconds=3).error
    assert "exit code 1" in parse_trial([], SUBJECT, tuned=True, ended=1, seconds=3).error


def test_a_process_that_hangs_is_ended():
    code = 'import time; print(\'{"what": "ready", "t": 0}\', flush=True); time.sleep(600)'
    lines, ended = measuring._listen([sys.executable, "-c", code], 3.0)
    assert [line["what"] for line in lines] == ["ready"] and ended is None


def test_the_limit_begins_when_python_has_started():
    code = 'import time; time.sleep(4); print(\'{"what": "ready", "t": 0}\', flush=True); time.sleep(1); print("{}")'
    lines, ended = measuring._listen([sys.executable, "-c", code], 3.0)
    assert len(lines) == 2 and ended == 0


def test_a_trial_knows_nothing_of_a_launcher(monkeypatch):
    for name in ("WORLD_SIZE", "SLURM_NTASKS", "TORCHELASTIC_RUN_ID"):
        monkeypatch.setenv(name, "2")
    code = "import os, json; print(json.dumps({'what': 'x', 'names': sorted(os.environ)}))"
    lines, ended = measuring._listen([sys.executable, "-c", code], 60.0)
    assert ended == 0 and not {"WORLD_SIZE", "SLURM_NTASKS", "TORCHELASTIC_RUN_ID"} & set(lines[0]["names"])
    assert "PATH" in lines[0]["names"] and os.environ["WORLD_SIZE"] == "2"


def test_a_real_trial(packed16):
    subject = Subject(data=[packed16], recipe="dcgan", resolution=16, settings=SMALL, batch=8, threads=1)
    found = measuring.measure(subject, tuned=True, stepping=0.5, limit=300.0)
    assert found.error == "" and found.cut_off == "" and not found.rough and found.steps > 3
    assert found.images_per_s > 0 and found.memory > 10**7 and found.start > 0 and found.make > 0 and found.look > 0
    assert found.cores > 0 and found.snapshot_bytes > 10_000 and found.threads == 1
