"""The proof that a resumed run ends the same, and that it can fail."""

import json
import os
import sys

import pytest
import torch

from facegan.runs import verify_resume as verification
from facegan.runs.folder import RunFolder
from facegan.runs.snapshot import write_snapshot
from facegan.runs.verify_resume import compare_runs, verify_resume
from tests.command import facegan

OPTIONS = ["--recipe=dcgan", "--set=generator.width=8", "--set=discriminator.width=8", "--precision=float32",
           "--threads=1", "--forms=direct"]  # fmt: skip


def finish_here(command):
    """Train to the end as ``facegan verify-resume`` does, but in this process."""
    done = facegan(*command[3:])
    assert done.returncode == 0, done.stderr


def two_runs(tmp_path, change):
    """Write two runs of one snapshot each; ``change`` alters the second's tensors."""
    folders = []
    for number in range(2):
        folder = RunFolder(tmp_path / str(number))
        tensors = {
            "generator": {"weight": torch.arange(6.0), "step": torch.tensor(3.0)},
            "ema": {"weight": torch.ones(2)},
        }
        if number:
            change(tensors)
        write_snapshot(folder.snapshot(8), nimg=8, config={}, state={}, tensors=tensors)
        folder.log.write_text(json.dumps({"nimg": 8, "D_loss": 1.0, "images_per_s": number}) + "\n")
        folders.append(folder)
    return folders


def test_equal_runs_are_equal(tmp_path):
    assert compare_runs(*two_runs(tmp_path, lambda tensors: None), 8) == (3, None)


@pytest.mark.parametrize(("change", "found"), [
    (lambda tensors: tensors["generator"]["weight"].add_(1e-7), "generator.safetensors: weight"),
    (lambda tensors: tensors["generator"]["step"].neg_().neg_().add_(1), "generator.safetensors: step"),
    (lambda tensors: tensors["ema"].update(more=torch.ones(1)), "ema.safetensors: the names"),
    (lambda tensors: tensors.pop("ema"), "files: ema.safetensors"),
    (lambda tensors: tensors["generator"].update(weight=-torch.arange(6.0)), "generator.safetensors: weight"),
])  # fmt: skip
def test_the_first_difference_is_named(tmp_path, change, found):
    assert compare_runs(*two_runs(tmp_path, change), 8)[1].startswith(found)


def test_logs_must_be_equal_too(tmp_path):
    folders = two_runs(tmp_path, lambda tensors: None)
    folders[1].log.write_text('{"nimg": 8, "D_loss": 1.5}\n')
    assert compare_runs(*folders, 8)[1] == "log.jsonl at 8 images"


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@pytest.mark.long
def test_an_interrupted_run_ends_as_a_straight_one(tmp_path, packed16, monkeypatch):
    finish = verification._finish

    def finish_somewhere(command):
        """What is interrupted is trained in processes of its own."""
        (finish if command[-1].endswith("interrupted") else finish_here)(command)

    monkeypatch.setattr(verification, "_finish", finish_somewhere)
    verdict = verify_resume([str(packed16), *OPTIONS], tmp_path, images=320, batch=8)
    assert verdict.difference is None and verdict.tensors > 50
    assert [interruption.how for interruption in verdict.interruptions][:2] == ["stopped", "killed"]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_run_that_forgets_something_is_found_out(tmp_path, packed16, monkeypatch):
    calls = []

    def finish_and_forget(command):
        """Before its last leg, the interrupted run forgets its learning rate."""
        calls.append(command)
        if len(calls) == 3:
            newest = RunFolder(tmp_path / "interrupted").latest_snapshot()
            info = json.loads((newest / "snapshot.json").read_text())
            info["state"]["rate"] = 0.5
            (newest / "snapshot.json").write_text(json.dumps(info))
        finish_here(command)

    monkeypatch.setattr(verification, "_finish", finish_and_forget)
    monkeypatch.setattr(verification, "_interrupt", lambda command, folder, *_: iter(()))
    assert "safetensors" in verify_resume([str(packed16), *OPTIONS], tmp_path, images=64, batch=8).difference


def test_who_is_told_to_stop_leaves_no_training_behind(tmp_path):
    script = "import sys, time; open(sys.argv[1], 'w').write(str(__import__('os').getpid())); time.sleep(60)"
    noted = tmp_path / "pid"

    def due():
        if noted.exists() and noted.read_text():
            raise SystemExit(143)
        return False

    with pytest.raises(SystemExit):
        verification._end([sys.executable, "-c", script, str(noted)], RunFolder(tmp_path), "stopped", due)
    with pytest.raises(ProcessLookupError):
        os.kill(int(noted.read_text()), 0)
