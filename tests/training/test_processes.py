"""Two processes with the same global batch learn what one process learns: batch normalisation, masks and all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from facegan.config import OptimizerConfig
from facegan.runs.snapshot import read_info, read_tensors
from facegan.training.schedule import Schedule
from tests.conftest import small_recipe, train

SCRIPT = """
import sys
from pathlib import Path
from facegan.config import OptimizerConfig
from facegan.training.schedule import Schedule
from tests.conftest import small_recipe, train
data, run, name, images = sys.argv[1:]
images = int(images)
sgd = OptimizerConfig(name="sgd", learning_rate=0.01)
steered = {"ada_target": 0.0, "ada_images": 320} if name == "style-s" else {}
recipe = small_recipe(name, flip=True, generator_optimizer=sgd, discriminator_optimizer=sgd, **steered)
schedule = Schedule(images=images, snapshot_every=8, keep=9, score_count=4)
train([Path(data)], Path(run), recipe, batch=8, schedule=schedule,
      precision="float32", threads=1, conv="direct", accelerator="cpu", devices=2)
"""


@pytest.mark.parametrize("name", ["classic-dcgan", "dcgan", "style-s"])
def test_two_processes_equal_one(tmp_path, packed16, name):
    sgd = OptimizerConfig(name="sgd", learning_rate=0.01)  # Adam would make a whole step of a gradient near 0
    # A snapshot after every step: it must change nothing, not even sums that processes share.
    steered = {"ada_target": 0.0, "ada_images": 320} if name == "style-s" else {}
    recipe = small_recipe(name, flip=True, generator_optimizer=sgd, discriminator_optimizer=sgd, **steered)
    # ADA looks every four steps. What is apart grows with the steps, in classic-dcgan many times with each.
    images = {"style-s": 48, "classic-dcgan": 8}.get(name, 24)
    schedule = Schedule(images=images, snapshot_every=8, keep=9, score_count=0)
    one = train(
        [packed16], tmp_path / "one", recipe, batch=8, schedule=schedule,
        precision="float32", threads=1, conv="direct",
    )  # fmt: skip
    script = tmp_path / "train_in_two.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(Path.cwd()), "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, str(script), str(packed16), str(tmp_path / "two"), name, str(images)],
        check=True, env=environment, timeout=120, capture_output=True,
    )  # fmt: skip
    two = read_info(tmp_path / "two" / "snapshots" / one.snapshot.name)
    assert two.state.get("ada") == read_info(one.snapshot).state.get("ada")
    start = read_info(tmp_path / "one" / "snapshots" / "nimg-000000000")
    for stem in ("generator", "discriminator"):
        expected, found, first = (read_tensors(info, stem) for info in (read_info(one.snapshot), two, start))
        for tensor in expected:
            moved = (expected[tensor] - first[tensor]).abs().max()
            apart = (expected[tensor] - found[tensor]).abs().max()
            # On an AMD EPYC, G of classic-dcgan is 3% apart after one step. Why is not known: another form of the same
            # layers gives 0.1%. Gradients or batch statistics that are not shared give more than 100%.
            share = 0.1 if (name, stem) == ("classic-dcgan", "generator") else 1e-3
            assert apart < share * moved + 1e-6, f"{stem} {tensor}: moved {moved}, apart {apart}"
    assert torch.isfinite(torch.cat([value.flatten() for value in found.values()])).all()
