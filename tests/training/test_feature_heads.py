"""Heads on attributes-net's feature maps: what they see, what they learn, and what G learns from them."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import facegan
from facegan.config import RunConfig
from facegan.errors import UserError
from facegan.networks.feature_heads import MAP_CHANNELS, FeatureHeads
from facegan.networks.initialization import initialize
from facegan.perception.labeller import shipped
from facegan.training.engine import Engine
from facegan.training.execution_plan import ExecutionPlan
from facegan.training.feature_loss import SeenMaps, feature_maps, generator_heads_loss, heads_loss
from facegan.training.schedule import Schedule
from facegan.training.state import new_state
from facegan.training.steps import Batch, Step, StepValues, generator_step, make_fakes, seen_maps, train_step
from tests.conftest import small_recipe, train

BATCH = 8


def recipe_with_heads(**changes):
    recipe = small_recipe("style-s")
    return replace(recipe, discriminator={**recipe.discriminator, "feature_heads": True}, **changes)


def faces(count):
    face_NHWC = torch.from_numpy(facegan.load("celeba64").sample(count, seed=0))
    return face_NHWC.permute(0, 3, 1, 2).float() / 127.5 - 1


def begun(recipe, precision="float32"):
    plan = ExecutionPlan(precision=precision, threads=1)
    state = new_state(RunConfig(recipe=recipe, batch=BATCH), plan, Engine(accelerator="cpu"))
    real_NCHW = F.interpolate(faces(BATCH), (16, 16), mode="area").to(state.generator.dtype)
    return state, Step(recipe, 0, Batch(np.arange(BATCH), real_NCHW))


def made_heads():
    heads = FeatureHeads()
    initialize(heads, 0, "test")
    return heads


def test_maps_are_attributes_nets_own_and_standardised():
    network, face_NCHW = shipped().network, faces(32)
    seen = []
    handles = [layer.register_forward_pre_hook(lambda _, given: seen.append(given[0])) for layer in network.layers]
    with torch.inference_mode():
        network(face_NCHW)
    for handle in handles:
        handle.remove()
    maps = feature_maps(face_NCHW)
    assert [tuple(map_NCPP.shape[1:]) for map_NCPP in maps] == [(32, 32, 32), (64, 16, 16), (128, 8, 8)]
    assert tuple(map_NCPP.shape[1] for map_NCPP in maps) == MAP_CHANNELS
    for map_NCPP, place in zip(maps, (1, 3, 5), strict=True):
        norm = network.layers[place].norm1
        whole_NCPP = map_NCPP * (norm.running_var + norm.eps).sqrt()[:, None, None] + norm.running_mean[:, None, None]
        torch.testing.assert_close(whole_NCPP, seen[place], rtol=1e-3, atol=1e-3)
        assert map_NCPP.mean().abs() < 0.2 and 0.7 < map_NCPP.std() < 1.3  # of faces, whose usual values are known


def test_other_sizes_and_types_are_seen_alike():
    face_NCHW = faces(8)
    large = feature_maps(F.interpolate(face_NCHW, (128, 128), mode="nearest"))
    for other in (large, feature_maps(face_NCHW.bfloat16()), feature_maps(face_NCHW.half())):
        for one, two in zip(feature_maps(face_NCHW), other, strict=True):
            likeness = F.cosine_similarity(one.flatten(), two.float().flatten(), dim=0)
            assert likeness > 0.97


def test_the_penalty_is_half_the_squared_gradient_at_both():
    heads, recipe = made_heads(), recipe_with_heads(feature_penalty=0.8)
    maps = SeenMaps(feature_maps(faces(4)), feature_maps(faces(4).flip(2)))
    with_it, _ = heads_loss(heads, maps, recipe)
    without, _ = heads_loss(heads, maps, replace(recipe, feature_penalty=0.0))
    expected = 0.0
    for seen in (maps.real, maps.fake):
        for number, map_NCPP in enumerate(seen):
            for sample_CPP in map_NCPP:
                one_NCPP = sample_CPP[None].clone().requires_grad_()
                (gradient,) = torch.autograd.grad(heads.heads[number](one_NCPP).sum(), one_NCPP)
                expected += 0.5 * 0.8 * float(gradient.square().sum()) / 4
    assert expected > 0.01
    assert float((with_it - without).detach()) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("precision", "loss"), [("float32", "relativistic"), ("float32", "hinge"),
                                                 ("bfloat16", "relativistic"), ("float16", "hinge")])  # fmt: skip
def test_heads_learn_to_rank_what_the_generator_makes(precision, loss):
    state, step = begun(recipe_with_heads(loss=loss, r1=0.0, r2=0.0), precision)
    step = replace(step, values=StepValues(penalties=False, generator_learns=False))
    ranks = [float(train_step(state.generator, state.discriminator, step)["D_heads_rank"]) for _ in range(12)]
    assert ranks[0] < 0.95 and min(ranks[-3:]) > 0.97


def test_the_generator_learns_from_heads_by_their_weight_and_leaves_them_alone():
    ends, logged = [], []
    for weight, heads in ((0.0, True), (0.1, True), (0.2, True), (0.1, False)):
        recipe = recipe_with_heads(feature_weight=weight)
        recipe = recipe if heads else replace(recipe, discriminator={**recipe.discriminator, "feature_heads": False})
        state, step = begun(recipe)
        fake_NCHW = make_fakes(state.generator, step)
        step = replace(step, maps=seen_maps(state.discriminator, fake_NCHW, step))
        before = copy.deepcopy(state.discriminator.network.state_dict())
        logged.append(float(generator_step(state.generator, state.discriminator, fake_NCHW, step)["G_loss"]))
        after = state.discriminator.network.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)
        ends.append({name: parameter.grad for name, parameter in state.generator.network.named_parameters()})
    none, once, twice, without = ends
    assert logged == [logged[0]] * 4  # the log keeps D's part alone
    for name in none:
        assert torch.equal(none[name], without[name])
        torch.testing.assert_close(twice[name] - none[name], 2 * (once[name] - none[name]), rtol=1e-3, atol=1e-5)
    assert sum(float((once[name] - none[name]).norm()) for name in none) > 0.01


@pytest.mark.parametrize("fakes", ["shared", "training"])
def test_the_generator_sees_maps_of_its_own_step(fakes):
    """Where D's fakes are made without gradients, G's step looks at its own."""
    state, step = begun(recipe_with_heads(fakes=fakes, feature_weight=1e6))
    metrics = train_step(state.generator, state.discriminator, step)
    assert float(metrics["G_gradient_norm"]) > 1e3


def test_of_what_is_shown_real_maps_carry_no_gradient():
    maps, heads = feature_maps(faces(4)), made_heads()
    fake = [map_NCPP.detach().requires_grad_() for map_NCPP in maps]
    real = [map_NCPP.detach().requires_grad_() for map_NCPP in maps]
    generator_heads_loss(heads, real, fake, recipe_with_heads()).backward()
    assert all(map_NCPP.grad is not None for map_NCPP in fake) and all(map_NCPP.grad is None for map_NCPP in real)


def run(data, folder, images, **options):
    schedule = Schedule(images=images, log_every=BATCH, sample_every=24, snapshot_every=24, score_count=0)
    options = {"precision": "float32", "threads": 1, "conv": "direct"} | options
    return train([data], folder, options.pop("recipe"), batch=BATCH, schedule=schedule, **options)


def test_stopped_and_resumed_is_byte_for_byte_the_same(tmp_path, packed16):
    recipe = recipe_with_heads(penalty_every=2, ema_halflife=100)
    straight = run(packed16, tmp_path / "straight", 48, recipe=recipe)
    for images in (16, 48):
        stopped = run(packed16, tmp_path / "stopped", images, recipe=recipe)
    for name in ("generator", "discriminator", "optimizers", "ema"):
        one, other = (end.snapshot / f"{name}.safetensors" for end in (straight, stopped))
        assert one.read_bytes() == other.read_bytes()
    assert any(name.startswith("heads.") for name in load_file(straight.snapshot / "discriminator.safetensors"))


def test_a_model_without_heads_gets_them_by_init_and_a_fork_says_so(tmp_path, packed16):
    plain, recipe = small_recipe("style-s"), recipe_with_heads()
    first = run(packed16, tmp_path / "first", 24, recipe=plain)
    with pytest.raises(UserError, match=r"discriminator.feature_heads +False +True"):
        run(packed16, tmp_path / "first", 24, recipe=recipe, fork=tmp_path / "fork")
    begins = run(packed16, tmp_path / "second", 0, recipe=recipe, init=tmp_path / "first")
    before, after = (load_file(end.snapshot / "discriminator.safetensors") for end in (first, begins))
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    fresh = {name: tensor for name, tensor in after.items() if name not in before}
    assert len(fresh) == 4 * len(MAP_CHANNELS)
    assert all(tensor.std() > 0 for name, tensor in fresh.items() if name.endswith("weight"))
    again = run(packed16, tmp_path / "third", 0, recipe=recipe, init=tmp_path / "second")
    kept = load_file(again.snapshot / "discriminator.safetensors")
    assert all(torch.equal(tensor, kept[name]) for name, tensor in after.items())
    run(packed16, tmp_path / "fourth", 8, recipe=plain, init=tmp_path / "second")  # and go again
