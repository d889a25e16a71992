"""float16: what overflows changes no weight and halves the scale; a run is resumed with its scale."""

import copy

import pytest
import torch

from facegan.config import OptimizerConfig, RunConfig
from facegan.networks.style_layers import ScaledConv
from facegan.runs.snapshot import read_info, read_tensors
from facegan.training.engine import Engine
from facegan.training.execution_plan import ExecutionPlan
from facegan.training.learner import Learner
from facegan.training.loss_scale import LossScale, bound_convolutions
from facegan.training.schedule import Schedule
from facegan.training.shared_state import share_state
from facegan.training.state import new_state
from tests.conftest import small_recipe, train

ADAM = OptimizerConfig(learning_rate=0.1)


def learner():
    torch.manual_seed(0)
    return Learner(torch.nn.Sequential(torch.nn.Linear(4, 3)), ADAM, "float16", Engine(accelerator="cpu"))


def test_a_step_is_that_of_float32_but_for_rounding():
    half = learner()
    single = Learner(torch.nn.Sequential(torch.nn.Linear(4, 3)), ADAM, "float32", half.engine)
    single.network.load_state_dict(half.network.state_dict())
    x_N4 = torch.linspace(-1, 1, 8).view(2, 4)
    norms = [each.update(each.working(x_N4.to(each.dtype)).float().square().mean()) for each in (half, single)]
    assert norms[0] == pytest.approx(float(norms[1]), rel=1e-2)
    for found, expected in zip(half.network.parameters(), single.network.parameters(), strict=True):
        assert torch.allclose(found, expected, atol=2e-3)


def test_what_is_not_finite_changes_no_weight_and_halves_the_scale():
    half = learner()
    x_N4 = torch.ones(2, 4, dtype=torch.float16)
    half.update(half.working(x_N4).float().square().mean())
    before = [parameter.clone() for parameter in half.network.parameters()]
    steps = half.optimizer.state[next(half.network.parameters())]["step"].clone()
    scale = half.loss_scale.to_dict()["scale"]
    norm = half.update(half.working(x_N4).float().mean() * torch.inf)
    assert norm == 0
    assert all(torch.equal(a, b) for a, b in zip(before, half.network.parameters(), strict=True))
    assert half.optimizer.state[next(half.network.parameters())]["step"] == steps
    assert half.loss_scale.to_dict() == {"scale": scale / 2, "good": 0}


def test_momentum_begins_at_nothing_where_the_first_step_overflows():
    sgd = OptimizerConfig(name="sgd", learning_rate=0.1, momentum=0.9)
    half, single = (
        Learner(torch.nn.Linear(400, 300), sgd, precision, Engine(accelerator="cpu"))
        for precision in ("float16", "float32")
    )
    single.network.load_state_dict(half.network.state_dict())
    x_N4 = torch.ones(2, 400)
    half.update(half.working(x_N4.half()).float().mean() * torch.inf)
    assert all(torch.equal(a, b) for a, b in zip(half.network.parameters(), single.network.parameters(), strict=True))
    for each in (half, single):
        for _ in range(2):
            each.update(each.working(x_N4.to(each.dtype)).float().mean())
    for found, expected in zip(half.network.parameters(), single.network.parameters(), strict=True):
        assert torch.allclose(found, expected, atol=1e-3)


class Relay(Engine):
    """Two processes in one, one after the other: what the main one sends, the other receives."""

    def __init__(self, sent, receives):
        super().__init__(accelerator="cpu")
        self.sent, self.receives, self.world_size = sent, receives, 2

    def broadcast_object(self, value):
        if self.receives:
            return self.sent.pop(0)
        self.sent.append(copy.deepcopy(value))
        return value

    def broadcast_tensor_(self, tensor):
        tensor.copy_(self.broadcast_object(tensor))


def test_every_process_goes_on_with_the_main_ones_scale():
    config, plan = RunConfig(recipe=small_recipe("dcgan"), batch=8), ExecutionPlan(precision="float16", threads=1)
    sent = []
    main = Relay(sent, receives=False)
    state = new_state(config, plan, main)
    state.generator.loss_scale.load({"scale": 64.0, "good": 3})
    assert state.extra == {}, "as after a fork"
    share_state(state, config, plan, main)
    other = share_state(None, config, plan, Relay(sent, receives=True))
    assert not sent and other.loss_scales == state.loss_scales


def test_the_scale_grows_after_many_good_steps_and_not_beyond_its_limit():
    scale, optimizer = (
        LossScale(torch.device("cpu")),
        torch.optim.Adam([torch.zeros(1, requires_grad=True)], fused=True),
    )
    scale.load({"scale": 2.0**23, "good": 1998})
    for _ in range(2):
        scale.unscale([torch.ones(1)], optimizer)
    assert scale.to_dict() == {"scale": 2.0**24, "good": 0}
    scale.load({"scale": 2.0**24, "good": 1999})
    scale.unscale([torch.ones(1)], optimizer)
    assert scale.to_dict()["scale"] == 2.0**24


@pytest.mark.parametrize("name", ["style-s", "dcgan"])
def test_a_run_in_float16_is_resumed_to_the_bit(tmp_path, packed16, name):
    def run(folder, images):
        return train(
            [packed16], tmp_path / folder, small_recipe(name), batch=8, precision="float16", threads=1, conv="direct",
            schedule=Schedule(images=images, score_count=0),
        )  # fmt: skip

    straight, _, resumed = run("straight", 48), run("stopped", 24), run("stopped", 48)
    info = read_info(straight.snapshot)
    assert set(info.state["loss_scale"]) == {"generator", "discriminator"}
    assert info.state["loss_scale"] == read_info(resumed.snapshot).state["loss_scale"]
    for stem in ("generator", "optimizers"):
        expected, found = (read_tensors(read_info(each.snapshot), stem) for each in (straight, resumed))
        assert all(torch.equal(expected[key], found[key]) and expected[key].isfinite().all() for key in expected)


def test_the_shortcut_of_a_gpu_is_bounded_too(monkeypatch):
    convolution = ScaledConv(4, 4, 1)
    torch.nn.init.constant_(convolution.weight, 100.0)
    torch.nn.init.zeros_(convolution.bias)
    bound_convolutions(convolution)
    x_NCHW = torch.full((1, 4, 4, 4), 50.0)
    for devices in (("cuda",), ("cpu",)):  # pooled, then as one convolution
        monkeypatch.setattr("facegan.networks.style_layers._POOLED_BY_CONVOLUTION", devices)
        assert convolution.of_means(x_NCHW).max() == 256


def test_a_skipped_step_is_counted():
    learner = Learner(torch.nn.Linear(4, 3), OptimizerConfig(), "float16", Engine(accelerator="cpu"))
    x_N4 = torch.ones(2, 4)
    learner.update(learner.working(x_N4.half()).float().mean() * torch.inf)
    assert learner.loss_scale.skipped == 1
    learner.update(learner.working(x_N4.half()).float().mean())
    assert learner.loss_scale.skipped == 0
