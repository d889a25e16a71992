"""A training on a GPU, as far as can be told without one: ``tests.simulated_cuda`` refuses what a GPU would refuse."""

import hashlib

import numpy as np
import pytest
import torch

from facegan.config import RunConfig
from facegan.training import train as train_module
from facegan.training.engine import Engine, load_optimizer, optimizer_tensors
from facegan.training.schedule import Schedule
from facegan.training.state import Choices, new_state
from facegan.training.steps import StepInput, play_step
from tests.conftest import small_recipe
from tests.simulated_cuda import DEVICE, DeviceMixError, Place, simulated_cuda

BATCH = 8
PENALISED = {"penalty_every": 1, "attributes": True}
VARIANTS = {
    "style-s": PENALISED,
    "style-s, gradient penalty": PENALISED | {"loss": "wasserstein", "r1": 0.0, "r2": 0.0, "gradient_penalty": 10.0},
    "style-s, diffaugment": {"augment": "diffaugment"},
    "dcgan": {},
    "classic-dcgan": {"generator_batch": "joint"},
    "classic-tanh": {},
}


def state_of(variant, engine, precision="bfloat16"):
    config = RunConfig(recipe=small_recipe(variant.split(",")[0], **VARIANTS[variant]), batch=BATCH)
    return config.recipe, new_state(config, Choices(precision=precision, threads=1), engine)


def take_steps(recipe, state, count=2, first=0):
    device = state.generator.engine.device
    real_NCHW = torch.linspace(-1, 1, BATCH * 3 * 16 * 16).view(BATCH, 3, 16, 16)
    real_NCHW = real_NCHW.to(device=device, dtype=state.discriminator.dtype, memory_format=torch.channels_last)
    attributes_NA = torch.ones(BATCH, 40).to(device) if recipe.attributes else None
    for number in range(first, first + count):
        index_N = np.arange(BATCH * number, BATCH * (number + 1))
        step = StepInput(recipe=recipe, seed=0, index_N=index_N, attributes_NA=attributes_NA, augment_p=0.9)
        metrics = play_step(state.generator, state.discriminator, real_NCHW, step)
    return metrics


def weights_of(state):
    return {name: value.cpu() for name, value in state.generator.network.state_dict().items()}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_step_mixes_no_devices_and_waits_for_nothing(variant):
    recipe, state = state_of(variant, Engine(accelerator="cpu"))
    take_steps(recipe, state)
    expected = weights_of(state)
    with simulated_cuda() as gpu:
        recipe, state = state_of(variant, Place())
        take_steps(recipe, state, count=1)
        gpu.waits.clear()  # the networks' way there, and this test's own images
        device = state.generator.engine.device
        assert device == DEVICE
        metrics = take_steps(recipe, state, count=1, first=1)
        assert {value.device for value in metrics.values()} == {DEVICE}
        assert [place for place in gpu.waits if not place.endswith("a test")] == []
        found = weights_of(state)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_an_optimizer_that_was_loaded_steps_where_its_network_is():
    with simulated_cuda():
        recipe, state = state_of("dcgan", Place())
        take_steps(recipe, state)
        saved = {name: value.cpu() for name, value in optimizer_tensors(state.generator, "generator").items()}
        load_optimizer(state.generator, saved, "generator", "a file")
        take_steps(recipe, state, first=2)
        for fields in state.generator.optimizer.state.values():  # the fault, put back, is seen
            fields["step"] = fields["step"].cpu()
        with pytest.raises(DeviceMixError, match="cpu"):
            take_steps(recipe, state, first=4)


def digests(snapshot):
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in snapshot.glob("*.safetensors")}


def run(data, folder, images, **options):
    recipe = small_recipe("style-s", ema_halflife=100, penalty_every=2, augment_target=-1.0, augment_images=80)
    schedule = Schedule(images=images, log_every=BATCH, sample_every=24, snapshot_every=24, on_collapse="rewind")
    options = {"precision": "float32", "threads": 1, "forms": "direct"} | options
    return train_module.train([data], folder, recipe, batch=BATCH, schedule=schedule, **options)


def test_a_run_on_a_gpu_is_stopped_resumed_and_forked(tmp_path, packed16, monkeypatch):
    straight = run(packed16, tmp_path / "straight", 72)
    monkeypatch.setattr(train_module, "Engine", lambda **_: Place())
    with simulated_cuda():
        for images in (40, 72):
            stopped = run(packed16, tmp_path / "stopped", images)
        forked = run(packed16, tmp_path / "stopped", 96, fork=tmp_path / "forked")
    assert digests(stopped.snapshot) == digests(straight.snapshot)
    assert forked.nimg == 96
