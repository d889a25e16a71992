"""What a step may change, what it must leave alone, and its loss against the definition."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from facegan.config import RunConfig
from facegan.networks.conv_autotune import same_algorithm, set_algorithms
from facegan.training.engine import Engine
from facegan.training.execution_plan import ExecutionPlan
from facegan.training.state import new_state
from facegan.training.steps import Batch, Step, StepValues, discriminator_step, generator_step, make_fakes
from tests.conftest import small_recipe

BATCH = 8


def play(recipe, precision="float32"):
    state = new_state(
        RunConfig(recipe=recipe, batch=BATCH), ExecutionPlan(precision=precision, threads=1), Engine(accelerator="cpu")
    )
    real_NCHW = torch.linspace(-1, 1, BATCH * 3 * 16 * 16).sin().view(BATCH, 3, 16, 16).to(state.generator.dtype)
    return state, real_NCHW, Step(recipe, 0, Batch(np.arange(BATCH), real_NCHW))


def teach_discriminator(state, step):
    return discriminator_step(state.discriminator, make_fakes(state.generator, step), step)


def teach_generator(state, step):
    return generator_step(state.generator, state.discriminator, make_fakes(state.generator, step), step)


def copied(player):
    return copy.deepcopy(player.network.state_dict())


def changed(player, before):
    return {name for name, tensor in player.network.state_dict().items() if not torch.equal(tensor, before[name])}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["classic-tanh", "classic-dcgan", "dcgan", "style-s"])
def test_each_player_moves_alone(name, precision):
    # The relativistic loss would leave the bias of the logit alone.
    state, _real_NCHW, step = play(small_recipe(name, fakes="training", loss="non-saturating"), precision)
    if name == "style-s":
        step = replace(step, batch=replace(step.batch, attributes_NA=torch.ones(BATCH, 40)))
    g_before, d_before = copied(state.generator), copied(state.discriminator)
    teach_discriminator(state, step)
    assert changed(state.generator, g_before) == set()
    d_after = changed(state.discriminator, d_before)
    assert d_after >= {parameter for parameter, _ in state.discriminator.network.named_parameters()}
    d_before = copied(state.discriminator)
    teach_generator(state, step)
    assert changed(state.discriminator, d_before) == set()  # neither parameters nor moving statistics
    trained = {parameter for parameter, _ in state.generator.network.named_parameters()}
    assert len(changed(state.generator, g_before) & trained) >= len(trained) - 2  # a bias before BN has gradient ~0
    assert all(parameter.requires_grad for parameter in state.discriminator.network.parameters())


def test_discriminator_loss_is_binary_cross_entropy_of_one_batch():
    recipe = small_recipe("classic-dcgan", discriminator={"dropout": 0.0}, real_label=0.9)
    state, real_NCHW, step = play(recipe)
    fake_NCHW = make_fakes(state.generator, step)
    D = copy.deepcopy(state.discriminator.network)
    probability = D(torch.cat([real_NCHW, fake_NCHW])).sigmoid()
    target = torch.cat([torch.full((BATCH,), 0.9), torch.zeros(BATCH)])
    metrics = teach_discriminator(state, step)
    torch.testing.assert_close(metrics["D_loss"], F.binary_cross_entropy(probability, target).detach())


def test_separate_batches_add_the_two_means():
    state, real_NCHW, step = play(small_recipe("dcgan"))
    fake_NCHW = make_fakes(state.generator, step).detach()
    D = copy.deepcopy(state.discriminator.network)
    expected = F.softplus(-D(real_NCHW)).mean() + F.softplus(D(fake_NCHW)).mean()
    metrics = teach_discriminator(state, step)
    torch.testing.assert_close(metrics["D_loss"], expected.detach())


@pytest.mark.parametrize("batch", ["alone", "joint", "moving"])
def test_generator_loss_uses_the_statistics_of_its_batch(batch):
    recipe = small_recipe("classic-dcgan", discriminator={"dropout": 0.0}, generator_batch=batch)
    state, real_NCHW, step = play(recipe)
    G, D = copy.deepcopy(state.generator.network), copy.deepcopy(state.discriminator.network)
    fake_NCHW = G(step.latents("G", torch.device("cpu")))
    if batch == "moving":
        D.eval()
    logit = D(torch.cat([real_NCHW, fake_NCHW]))[BATCH:] if batch == "joint" else D(fake_NCHW)
    metrics = teach_generator(state, step)
    torch.testing.assert_close(metrics["G_loss"], F.softplus(-logit).mean().detach())
    assert all(module.training for module in state.discriminator.working.modules())


def test_dropout_acts_where_batch_normalisation_does_not():
    losses = []
    for dropout in (0.0, 0.4):
        recipe = small_recipe("classic-dcgan", discriminator={"dropout": dropout}, generator_batch="moving")
        state, _real_NCHW, step = play(recipe)
        losses.append(teach_generator(state, step)["G_loss"].item())
    assert losses[0] != losses[1]


def test_dropout_acts_in_both_steps():
    losses = {}
    for dropout in (0.0, 0.4):
        state, _real_NCHW, step = play(small_recipe("classic-dcgan", discriminator={"dropout": dropout}))
        g = teach_generator(state, step)["G_loss"]
        d = teach_discriminator(state, step)["D_loss"]
        losses[dropout] = (g.item(), d.item())
    assert losses[0.0][0] != losses[0.4][0]
    assert losses[0.0][1] != losses[0.4][1]


def test_fakes_in_training_and_in_inference_mode():
    fakes = {}
    for mode in ("training", "inference"):
        state, _, step = play(small_recipe("classic-dcgan", fakes=mode))
        before = copied(state.generator)
        fakes[mode] = make_fakes(state.generator, step)
        G = copy.deepcopy(state.generator.network).train(mode == "training")
        torch.testing.assert_close(fakes[mode], G(step.latents("D", torch.device("cpu"))).detach())
        assert changed(state.generator, before) == set()
        assert state.generator.working.training
    assert not torch.allclose(fakes["training"], fakes["inference"])


def test_separate_batches_normalise_and_learn_as_two_passes():
    state, real_NCHW, step = play(small_recipe("dcgan"))
    D = copy.deepcopy(state.discriminator.network)
    fake_NCHW = make_fakes(state.generator, step).detach()
    (F.softplus(-D(real_NCHW)).mean() + F.softplus(D(fake_NCHW)).mean()).backward()
    discriminator_step(state.discriminator, fake_NCHW, step)
    for apart, together in zip(D.parameters(), state.discriminator.network.parameters(), strict=True):
        torch.testing.assert_close(together.grad, apart.grad, rtol=1e-3, atol=1e-5)
    for (name, apart), together in zip(D.named_buffers(), state.discriminator.network.buffers(), strict=True):
        torch.testing.assert_close(together, apart, msg=name)


def test_shared_fakes_are_those_of_the_generators_own_step():
    state, _real_NCHW, step = play(small_recipe("dcgan", fakes="shared"))
    G, D = copy.deepcopy(state.generator.network), copy.deepcopy(state.discriminator.network)
    image_NCHW = G(step.latents("G", torch.device("cpu")))
    fake_NCHW = make_fakes(state.generator, step)
    torch.testing.assert_close(fake_NCHW, image_NCHW)
    metrics = generator_step(state.generator, state.discriminator, fake_NCHW, step)
    loss = F.softplus(-D(image_NCHW)).mean()
    loss.backward()
    torch.testing.assert_close(metrics["G_loss"], loss.detach())
    for expected, found in zip(G.parameters(), state.generator.network.parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-4, atol=1e-7)
    for (name, expected), found in zip(G.named_buffers(), state.generator.network.buffers(), strict=True):
        torch.testing.assert_close(found, expected, msg=name)  # moved once, by the one pass


def test_bfloat16_keeps_a_float32_master_and_steps_alike():
    recipe = small_recipe("classic-dcgan", discriminator={"dropout": 0.0})
    norms = {}
    for precision in ("float32", "bfloat16"):
        state, _real_NCHW, step = play(recipe, precision)
        metrics = teach_discriminator(state, step)
        norms[precision] = metrics["D_gradient_norm"].item()
        assert {tensor.dtype for tensor in state.discriminator.network.state_dict().values()} == {torch.float32}
    assert norms["bfloat16"] == pytest.approx(norms["float32"], rel=0.1)
    conv = state.discriminator.working.blocks[0].weight
    assert conv.dtype == torch.bfloat16
    assert torch.equal(conv, state.discriminator.network.blocks[0].weight.bfloat16())


def test_a_relativistic_step_with_penalties_against_its_definition():
    recipe = small_recipe("style-s", r1=0.5, r2=2.0, penalty_every=4)
    state, real_NCHW, step = play(recipe)
    D = copy.deepcopy(state.discriminator.network)
    fake_NCHW = make_fakes(state.generator, step)
    found = discriminator_step(state.discriminator, fake_NCHW, step)
    real, fake = real_NCHW.clone().requires_grad_(), fake_NCHW.detach().clone().requires_grad_()
    both = D(torch.cat([real.detach(), fake.detach()])).chunk(2)
    loss = (F.softplus(both[1] - both[0]) + 1e-3 * ((both[0] + both[1]) / 2).square()).mean()
    assert found["D_loss"].item() == pytest.approx(loss.item(), rel=1e-5)
    squares = [torch.autograd.grad(D(x).sum(), x)[0].square().sum((1, 2, 3)).mean() for x in (real, fake)]
    penalty = 0.5 * (0.5 * squares[0] + 2.0 * squares[1])
    assert found["D_penalty"].item() == pytest.approx(4 * penalty.item(), rel=1e-4)
    with torch.no_grad():
        logit_N, real_logit_N = (state.discriminator.network(x) for x in (fake, real))
    told = generator_step(state.generator, state.discriminator, fake_NCHW, step)
    assert told["G_loss"].item() == pytest.approx(F.softplus(real_logit_N - logit_N).mean().item(), rel=1e-5)


def test_penalties_come_when_they_are_due():
    state, _real_NCHW, step = play(small_recipe("style-s", penalty_every=4))
    quiet = replace(step, values=StepValues(penalties=False))
    assert teach_discriminator(state, quiet)["D_penalty"].item() == 0
    assert teach_discriminator(state, step)["D_penalty"].item() > 0


def test_penalties_are_the_same_in_every_form():
    found = []
    for form in ("direct", "tiles-2"):
        state, _real_NCHW, step = play(small_recipe("style-s", loss="hinge"))
        D = state.discriminator.network
        set_algorithms(D, same_algorithm(D, form))
        metrics = teach_discriminator(state, step)
        gradients = torch.cat([parameter.grad.flatten() for parameter in D.parameters() if parameter.grad is not None])
        found.append((metrics["D_penalty"], gradients))
    torch.testing.assert_close(found[1], found[0], rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_is_usual_reaches_the_snapshot(precision):
    state, _real_NCHW, step = play(small_recipe("style-s"), precision)
    teach_discriminator(state, step)
    assert state.discriminator.network.state_dict()["deviation.usual"] > 0


def test_the_sign_that_steers_augmentation():
    state, real_NCHW, step = play(small_recipe("style-s", loss="hinge"))
    with torch.no_grad():
        state.discriminator.network.logit.bias.fill_(1e3)
    assert teach_discriminator(state, step)["D_sign"] == 1
    state, real_NCHW, step = play(small_recipe("style-s", augment="none"))
    fake_NCHW = make_fakes(state.generator, step)
    real_N, fake_N = state.discriminator.network(torch.cat([real_NCHW, fake_NCHW.detach()])).chunk(2)
    found = discriminator_step(state.discriminator, fake_NCHW, step)["D_sign"]
    assert found.item() == pytest.approx((real_N > fake_N).float().mean().item() * 2 - 1)


def test_attributes_reach_both_players():
    recipe = small_recipe("style-s", attributes=True, augment="none")
    seen = []
    for sign in (-1, 1):
        state, _real_NCHW, step = play(recipe)
        step = replace(step, batch=replace(step.batch, attributes_NA=torch.full((BATCH, 40), float(sign))))
        fake_NCHW = make_fakes(state.generator, step)
        seen.append((fake_NCHW, discriminator_step(state.discriminator, fake_NCHW, step)["D_loss"]))
    assert not torch.equal(seen[0][0], seen[1][0])
    assert seen[0][1] != seen[1][1]
