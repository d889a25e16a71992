from dataclasses import replace

import numpy as np
import pytest
import torch

import facegan
from facegan.recipes import recipe
from facegan.sampling.latents import draw_latents
from facegan.training.ema import calibrate, ema_decay, update_ema
from facegan.training.schedule import Schedule, grid_name, is_due, lr_factor, value_at


def test_due_once_for_each_multiple_passed():
    batch, every = 48, 100
    due = [nimg for nimg in range(batch, 1000, batch) if is_due(nimg, batch, every)]
    assert due == [144, 240, 336, 432, 528, 624, 720, 816, 912]
    assert not is_due(100, 100, 0)


def test_the_end_is_foretold_where_the_rate_is_known():
    assert Schedule(images=500).expected_end(100, None) == 500
    assert Schedule(images=50).expected_end(100, 2.0) == 100
    assert Schedule(minutes=1).expected_end(100, 2.0) == 220
    assert Schedule(images=500, minutes=1).expected_end(100, 2.0) == 220
    assert Schedule(minutes=1).expected_end(100, None) is None


def test_rates_rise_stay_and_fall():
    falling = replace(recipe("style"), lr_decay_start=400)
    rates = [lr_factor(falling, nimg, warmup=100) for nimg in (0, 50, 100, 400, 1600, 40_000)]
    assert rates == [0, 0.5, 1, 1, 0.5, 0.1]
    steady = replace(recipe("style"), lr_decay_start=0)
    assert [lr_factor(steady, nimg) for nimg in (0, 10**9)] == [1, 1]


def test_a_warm_up_begins_where_the_clock_began():
    steady = replace(recipe("style"), lr_decay_start=0)
    assert [lr_factor(steady, nimg, warmup=100, start_nimg=1000) for nimg in (1000, 1050, 1100)] == [0, 0.5, 1]


def test_a_schedule_is_linear_between_its_milestones():
    milestones = ((100, 1.0), (200, 0.5), (400, 0.0))
    assert [value_at(milestones, nimg) for nimg in (0, 100, 150, 200, 300, 400, 10**9)] == [1, 1, 0.75, 0.5, 0.25, 0, 0]
    assert value_at((), 5) == 1
    annealed = replace(recipe("style"), lr_decay_start=100, lr_schedule=((400, 1.0), (800, 0.0)))
    assert lr_factor(annealed, 400) == pytest.approx(0.5)  # the decay alone
    assert lr_factor(annealed, 600) == pytest.approx(0.5 * (100 / 600) ** 0.5)


def test_grids_are_named_by_epoch_and_batches_within_it():
    assert grid_name(0, 64, 202_599) == "epoch0-0.png"
    assert grid_name(560 * 202_599 + 400 * 64, 64, 202_599) == "epoch560-400.png"


def test_half_of_the_average_is_forgotten_in_a_halflife():
    assert ema_decay(10**9, 1000, 1000) == pytest.approx(0.5)
    assert ema_decay(10**9, 10, 1000) ** 100 == pytest.approx(0.5)
    assert ema_decay(64, 64, 10_000) < 1e-6  # the first step leaves nothing of the first weights


def test_average_moves_by_the_rest():
    average, network = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    for linear, value in ((average, 1.0), (network, 3.0)):
        torch.nn.init.constant_(linear.weight, value)
    update_ema(average, network, 0.75)
    torch.testing.assert_close(average.weight.detach(), torch.full((1, 2), 1.5))


def test_calibration_gives_an_average_its_own_statistics():
    generator = facegan.build("dcgan", resolution=16).generator.eval()
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.mul_(0.5)
    latents = torch.from_numpy(draw_latents(0, "test", np.arange(64), 100, "normal")).split(32)
    calibrate(generator, latents)
    first = generator.blocks[2]
    activations = torch.cat([generator.blocks[1](generator.blocks[0](latent)) for latent in latents]).detach()
    torch.testing.assert_close(first.running_mean, activations.mean((0, 2, 3)), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(first.running_var, activations.var((0, 2, 3)), rtol=0.1, atol=0)
    assert not first.training and first.momentum == 0.9
    once = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    calibrate(generator, latents)  # nothing of what was there before remains
    assert all(torch.equal(tensor, once[name]) for name, tensor in generator.state_dict().items())
