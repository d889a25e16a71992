"""A training on a GPU, as far as can be told without one: ``tests.simulated_cuda`` refuses what a GPU would refuse."""

import hashlib
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from facegan.augment import ADA_STEPS
from facegan.config import RunConfig
from facegan.networks import style_layers
from facegan.networks.conv_autotune import algorithms_on
from facegan.training import autotune as autotune_module
from facegan.training import prefetch, trainer
from facegan.training import train as train_module
from facegan.training.autotune import autotune
from facegan.training.engine import Engine
from facegan.training.execution_plan import ExecutionPlan, ExecutionRequest
from facegan.training.learner import load_optimizer, optimizer_tensors
from facegan.training.schedule import Schedule
from facegan.training.state import new_state
from facegan.training.steps import Batch, Step, StepValues, train_step
from tests.conftest import small_recipe, train
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


@pytest.fixture(autouse=True)
def _pooled_as_on_a_gpu(monkeypatch):
    """The processor sums as a GPU is made to, so that both come to the same bits."""
    monkeypatch.setattr(style_layers, "_POOLED_BY_CONVOLUTION", ("cpu", "cuda"))


def state_of(variant, engine, precision="bfloat16"):
    config = RunConfig(recipe=small_recipe(variant.split(",")[0], **VARIANTS[variant]), batch=BATCH)
    return config.recipe, new_state(config, ExecutionPlan(precision=precision, threads=1), engine)


def take_steps(recipe, state, count=2, first=0):
    device = state.generator.engine.device
    real_NCHW = torch.linspace(-1, 1, BATCH * 3 * 16 * 16).view(BATCH, 3, 16, 16)
    real_NCHW = real_NCHW.to(device=device, dtype=state.discriminator.dtype, memory_format=torch.channels_last)
    attributes_NA = torch.ones(BATCH, 40).to(device) if recipe.attributes else None
    for number in range(first, first + count):
        index_N = np.arange(BATCH * number, BATCH * (number + 1))
        step = Step(recipe, 0, Batch(index_N, real_NCHW, attributes_NA), StepValues(augment_p=0.9))
        metrics = train_step(state.generator, state.discriminator, step)
    return metrics


def weights_of(state):
    return {name: value.cpu() for name, value in state.generator.network.state_dict().items()}


_SLOW = pytest.param("classic-dcgan", marks=pytest.mark.long)


@pytest.mark.parametrize("variant", [_SLOW if name == "classic-dcgan" else name for name in VARIANTS])
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


def run(data, folder, images, every=24, **options):
    recipe = small_recipe("style-s", ema_halflife=100, penalty_every=2, ada_target=-1.0, ada_images=80)
    log_every = BATCH if every < 1000 else every
    schedule = Schedule(
        images=images,
        log_every=log_every,
        sample_every=every,
        snapshot_every=every,
        on_collapse="rewind",
        score_count=16,
    )
    options = {"precision": "float32", "threads": 1, "conv": "direct"} | options
    return train([data], folder, recipe, batch=BATCH, schedule=schedule, **options)


@contextmanager
def training_on_gpu():
    """Inside, ``train`` finds the simulated GPU."""
    with pytest.MonkeyPatch.context() as patch, simulated_cuda() as gpu:
        patch.setattr(train_module, "Engine", lambda **_: Place())
        patch.setattr(prefetch, "pin", gpu.pin)
        patch.setattr(prefetch, "_begin_thread", lambda _: None)
        patch.setattr(torch.cuda, "synchronize", lambda *_: None)
        patch.setattr(torch.cuda, "max_memory_allocated", lambda *_: 3 << 30)
        yield gpu


def test_a_run_on_a_gpu_is_stopped_resumed_and_forked(tmp_path, packed16):
    straight = run(packed16, tmp_path / "straight", 72)
    with training_on_gpu():
        for images in (40, 72):
            stopped = run(packed16, tmp_path / "stopped", images)
        forked = run(packed16, tmp_path / "stopped", 96, fork=tmp_path / "forked")
    assert digests(stopped.snapshot) == digests(straight.snapshot)
    assert forked.nimg == 96


def test_a_run_on_a_gpu_goes_back(tmp_path, packed16, monkeypatch):
    """Its batches go back with it."""
    steps = trainer.train_step
    broken: list[int] = []

    def play(generator, discriminator, step):
        metrics = steps(generator, discriminator, step)
        if step.batch.index_N[0] == 32 and not broken:
            broken.append(32)
            metrics["D_loss"] = metrics["D_loss"] * float("nan")
        return metrics

    monkeypatch.setattr(trainer, "train_step", play)
    on_cpu = run(packed16, tmp_path / "cpu", 72)
    broken.clear()
    with training_on_gpu():
        on_gpu = run(packed16, tmp_path / "gpu", 72)
    assert broken == [32]
    assert (tmp_path / "gpu" / "incidents.jsonl").read_text().count('"action": "rewind"') == 1
    assert digests(on_gpu.snapshot) == digests(on_cpu.snapshot)


def test_nobody_waits_between_two_looks_at_the_log(tmp_path, packed16):
    """But every fourth step, when ADA looks at the sign."""
    with training_on_gpu() as gpu:
        run(packed16, tmp_path / "run", 0)
        gpu.waits.clear()
        run(packed16, tmp_path / "run", 64, every=10_000)
        places = [wait.split(" at ")[1].split(":")[0] for wait in gpu.waits]
    assert places.count("augment.py") == 64 // BATCH // ADA_STEPS
    of_a_step = ("training/steps", "training/prefetch", "training/batches", "training/trainer", "training/ema",
                 "networks/", "losses", "randomness", "machine")  # fmt: skip
    assert [place for place in places if place.startswith(of_a_step)] == []


@pytest.fixture
def gpu_settings(monkeypatch):
    """Set back what a training on a GPU sets for its whole process."""
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: None)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    before = torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision(), torch.get_num_threads()
    yield
    torch.backends.cudnn.benchmark = before[0]
    torch.set_float32_matmul_precision(before[1])
    torch.set_num_threads(before[2])


@pytest.mark.parametrize("conv", ["auto", pytest.param("plain", marks=pytest.mark.long)])
def test_whole_steps_are_tried_on_a_gpu(gpu_settings, conv):
    config = RunConfig(recipe=small_recipe("style-s"), batch=BATCH)
    with simulated_cuda() as gpu:
        chosen, seconds = autotune(config, ExecutionRequest(threads=1, conv=conv), Place())
        assert gpu.waits
    assert set(seconds["images_per_s"]) == {"float32", "bfloat16"}
    assert chosen.images_per_s == seconds["images_per_s"][chosen.precision] > 0
    assert (
        set(chosen.generator.values()) == set(chosen.discriminator.values()) == {"direct" if conv == "auto" else conv}
    )


@pytest.mark.parametrize(
    ("rate", "precision"), [(99, "float32"), (124, "float32"), (126, "bfloat16"), (300, "bfloat16")]
)
def test_bfloat16_is_taken_where_whole_steps_are_clearly_faster(monkeypatch, gpu_settings, rate, precision):
    rates = {"float32": 100.0, "bfloat16": float(rate)}
    monkeypatch.setattr(autotune_module, "trial_rate", lambda config, chosen, engine: rates[chosen.precision])
    config = RunConfig(recipe=small_recipe("dcgan"), batch=BATCH)
    chosen, _ = autotune(config, ExecutionRequest(threads=1), Place())
    assert (chosen.precision, chosen.images_per_s) == (precision, rates[precision])


def test_a_run_that_began_on_a_cpu_has_no_tiles_on_a_gpu(gpu_settings):
    begun = {"a": "tiles-3", "b": "plain", "c": "direct"}
    assert algorithms_on(torch.device("cpu"), begun) == begun
    assert algorithms_on(DEVICE, begun) == begun | {"a": "direct"}
    tiled = ExecutionPlan(precision="bfloat16", threads=1, generator={"blocks.1": "tiles-2"})
    with simulated_cuda():
        state = new_state(RunConfig(recipe=small_recipe("dcgan"), batch=BATCH), tiled, Place())
    assert {getattr(layer, "form", "direct") for layer in state.generator.network.modules()} == {"direct"}
    assert torch.backends.cudnn.benchmark
    assert torch.get_float32_matmul_precision() == "high"


def test_moments_lie_in_memory_as_their_weights_do():
    """So CUDA's fused Adam wants it; on the CPU it would not matter."""
    with simulated_cuda():
        recipe, state = state_of("style-s", Place())
        take_steps(recipe, state)
        for parameter, fields in state.generator.optimizer.state.items():
            if parameter.dim() == 4 and min(parameter.shape) > 1:
                fields["exp_avg"] = fields["exp_avg"].contiguous()
        with pytest.raises(DeviceMixError, match="layout"):
            take_steps(recipe, state, first=2)
