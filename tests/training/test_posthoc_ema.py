"""Averages made afterwards, against those that a run kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import facegan
from facegan.errors import UserError
from facegan.runs.folder import RunFolder
from facegan.training.ema import ema_decay
from facegan.training.posthoc_ema import averaged, coefficients, profile, stored_averages, write_average
from facegan.training.schedule import Schedule
from tests.conftest import small_recipe, train


@pytest.mark.parametrize("halflife", [100, 3000])
def test_a_profile_is_what_the_steps_of_an_average_weigh(halflife):
    batch, end = 4, 20_000
    weights = np.zeros(end // batch)
    for step in range(len(weights)):
        decay = ema_decay((step + 1) * batch, batch, halflife)
        weights *= decay
        weights[step] += 1 - decay
    moment = (np.arange(len(weights)) + 1) * batch
    expected = profile(end, halflife, moment.astype(float)) * batch
    assert weights.sum() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(weights[25:], expected[25:], rtol=0.1, atol=1e-7)
    assert profile(end, halflife, np.array([end + 1.0]))[0] == 0


def test_a_stored_average_is_its_own_best_sum():
    stored = [(1_000_000, 50_000), (1_000_000, 20_000), (800_000, 50_000)]
    found, error = coefficients(stored, 1_000_000, 50_000)
    np.testing.assert_allclose(found, [1, 0, 0], atol=1e-6)
    assert error < 1e-6


def test_more_snapshots_come_nearer_to_the_wanted_profile():
    stored = [(nimg, life) for nimg in range(100_000, 1_000_001, 100_000) for life in (10_000, 50_000)]
    errors = [coefficients(stored[-count:], 1_000_000, 30_000)[1] for count in (2, 4, 8, 20)]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.1
    assert coefficients(stored, 1_000_000, 30_000)[0].sum() == pytest.approx(1, abs=1e-6)


def test_what_a_run_did_not_keep_is_made_of_what_it_kept(tmp_path, packed16):
    recipe = small_recipe("style-s", ema_halflife=8, extra_ema_halflives=(40,))
    control = replace(recipe, extra_ema_halflives=(20, 40))
    schedule = Schedule(images=480, log_every=480, sample_every=480, snapshot_every=80, keep=99, score_count=0)
    options = {"batch": 4, "precision": "float32", "threads": 1, "conv": "direct", "schedule": schedule}
    kept = train([packed16], tmp_path / "kept", control, **options)
    wanted = load_file(kept.snapshot / "ema-20.safetensors")
    stored = [item for item in stored_averages(RunFolder(tmp_path / "kept")) if item.halflife != 20]
    made, error = averaged(stored, 480, 20)
    assert error < 0.2
    name = "layers.0.convolution.weight"
    short = load_file(kept.snapshot / "ema.safetensors")
    off, apart = ((wanted[name] - other[name]).norm() for other in (made, short))
    assert off < 0.3 * apart
    write_average(tmp_path / "out", stored[-1].snapshot, made, 20)
    model = facegan.load(tmp_path / "out")
    assert model.recipe.ema_halflife == 20 and torch.equal(model.generator.state_dict()[name], made[name])
    with pytest.raises(UserError, match="exists"):
        write_average(tmp_path / "out", stored[-1].snapshot, made, 20)
    with pytest.raises(UserError, match="cannot be made"):
        averaged(stored[-1:], 480, 2)


def test_a_run_without_averages_is_told_how_to_keep_them(tmp_path, packed16):
    schedule = Schedule(images=8, log_every=8, sample_every=8, snapshot_every=8, score_count=0)
    recipe = small_recipe("dcgan", ema_halflife=0)
    train([packed16], tmp_path / "run", recipe, batch=8, threads=1, conv="direct", schedule=schedule)
    with pytest.raises(UserError, match="ema_halflife=100k"):
        stored_averages(RunFolder(tmp_path / "run"))
    with pytest.raises(UserError, match="nowhere is no run"):
        stored_averages(RunFolder(tmp_path / "nowhere"))


def test_an_average_with_batch_normalisation_has_statistics_of_its_own(tmp_path, packed16):
    schedule = Schedule(images=80, log_every=80, sample_every=80, snapshot_every=8, keep=99, score_count=0)
    options = {"batch": 8, "precision": "float32", "threads": 1, "conv": "direct", "schedule": schedule}
    recipe = small_recipe("dcgan", ema_halflife=8, extra_ema_halflives=(40,))
    train([packed16], tmp_path / "run", recipe, **options)
    stored = stored_averages(RunFolder(tmp_path / "run"))
    write_average(tmp_path / "same", stored[-2].snapshot, load_file(stored[-2].snapshot.path / "ema.safetensors"), 8)
    kept, made = (load_file(path / "ema.safetensors") for path in (stored[-2].snapshot.path, tmp_path / "same"))
    for name in kept:  # of the same weights, the same statistics
        torch.testing.assert_close(made[name], kept[name], rtol=1e-4, atol=1e-6)
