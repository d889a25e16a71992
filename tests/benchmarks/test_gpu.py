"""The rehearsal of what is done on a GPU: the real program, on random images.

Its first training is a process of its own, which is interrupted; its other facegan commands run in this one.
"""

import json
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

import facegan
from facegan.evaluation import scores
from tests.benchmarks.conftest import BENCHMARKS
from tests.command import facegan as facegan_command

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory):
    out = tmp_path_factory.mktemp("rehearsal") / "results"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
        import gpu

        in_a_process = gpu.Session.call

        def call(session, command, *, expected=0, **options):
            if command[1:3] != ["-m", "facegan"]:
                return in_a_process(session, command, expected=expected, **options)
            done = facegan_command(*command[3:])
            assert done.returncode == expected, done.stderr
            return done.stdout

        patch.setattr(gpu.Session, "call", call)
        fewer = partial(gpu.random_data, count=520)  # just enough for the dimensions of random-net
        patch.setattr(gpu, "random_data", fewer)
        patch.setattr(scores, "LEAST", 520)
        patch.setattr(sys, "argv", ["gpu.py", "--rehearse", "--device", "cpu", "--out", str(out)])
        with pytest.raises(SystemExit) as ended:
            gpu.main()
    assert ended.value.code == 0, (out / "results.json").read_text()
    return out, json.loads((out / "results.json").read_text())


def test_every_step_does_what_it_should(rehearsal):
    _, found = rehearsal
    steps = found["steps"]
    assert list(steps) == ["train and stop", "go on", "fork", "break and go back", "sample", "keep", "dcgan",
                           "plain PyTorch DCGAN", "evaluate"]  # fmt: skip
    assert all(step["ok"] for step in steps.values())
    assert 0 < steps["train and stop"]["found"]["images"] < steps["go on"]["found"]["images"]
    assert steps["fork"]["found"]["images"] > steps["go on"]["found"]["images"]
    assert steps["break and go back"]["found"]["rewinds"] == 2
    assert steps["evaluate"]["found"]["random-net"] > 0
    for name in ("train and stop", "dcgan", "plain PyTorch DCGAN"):
        assert steps[name]["found"]["images_per_s"] > 0


def test_little_comes_back(rehearsal):
    out, found = rehearsal
    files = list(out.iterdir())
    assert len(files) <= 8
    assert max(file.stat().st_size for file in files) <= 16 << 20
    table = (out / "results.md").read_text()
    assert f"{found['steps']['dcgan']['found']['images_per_s']:,.1f}" in table
    assert "| random-net | frechet |" in table


def test_a_model_is_made_of_what_came_back(rehearsal, benchmarks, tmp_path):
    out, found = rehearsal
    command = [sys.executable, str(benchmarks / "gpu.py"), "--join", str(out), "--out", str(tmp_path / "model")]
    subprocess.run(command, check=True)
    model = facegan.load(tmp_path / "model")
    assert model.nimg == found["weights"]["nimg"] == found["steps"]["go on"]["found"]["images"]
    assert model.sample(2).shape == (2, 64, 64, 3)
    assert model.discriminator is not None


def test_weights_are_split_where_a_file_would_be_too_large(rehearsal, tmp_path):
    from gpu_results import join, write_weights

    out, _ = rehearsal
    whole = tmp_path / "whole"
    join(out, whole)
    (tmp_path / "parts").mkdir()
    weights = write_weights(whole, tmp_path / "parts", most=(1 << 16) + 20_000)
    assert len(weights["files"]["ema"]) > 1
    (tmp_path / "parts" / "results.json").write_text(json.dumps({"weights": weights}))
    join(tmp_path / "parts", tmp_path / "again")
    np.testing.assert_array_equal(facegan.load(tmp_path / "again").sample(2), facegan.load(whole).sample(2))


def test_what_is_missing_is_named_with_what_it_needs(monkeypatch):
    import needed_packages

    assert needed_packages.missing() == []
    monkeypatch.setitem(needed_packages.NEEDED, "no_such_module", "typer")
    assert needed_packages.missing() == ["typer"]
    said = needed_packages.how_to_carry(["tensorboard", "torch"])
    assert said.startswith("missing here: tensorboard, torch\n")
    assert "grpcio" in said
    assert "torch is too large to carry" in said
