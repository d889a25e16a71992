"""What kept runs let expect: curves made by a rule, whose answers are known."""

import math

import numpy as np
import pytest

from facegan.config import to_dict
from facegan.config_changes import flatten, with_settings
from facegan.planning.curves import FILE, Curve, expect, kept_curves, pooled_spread, t95
from facegan.recipes import RECIPES, recipe

IMAGES = (1_000, 2_000, 4_000, 8_000, 16_000, 32_000)


def curve(seed=0, factor=1.0, recipe="dcgan", noise=0.0, images=IMAGES, **changes):
    """Return a curve whose score is factor * 1000 / sqrt(N), with noise in its log."""
    off = np.random.default_rng(seed).normal(0, noise, len(images))
    points = tuple((nimg, factor * 1000 / math.sqrt(nimg) * math.exp(e)) for nimg, e in zip(images, off, strict=True))
    return Curve(
        **{"recipe": recipe, "resolution": 64, "batch": 64, "seed": seed, "faces": 9_000, "points": points} | changes
    )


def ask(curves, nimg, recipe="dcgan", batch=64, settings=None, faces=9_000, resolution=64):
    return expect(curves, recipe, resolution, batch, settings or {}, faces, nimg)


def test_between_points_a_power_law_is_met_exactly():
    found = ask([curve(), curve(1)], 5_657)
    assert found.score == pytest.approx(1000 / math.sqrt(5_657), rel=1e-9)
    assert found.curves == 2 and found.exact and "2 kept runs" in found.trust


def test_the_interval_has_the_spread_between_runs():
    near, far = ([curve(0, 1.0), curve(1, factor)] for factor in (1.1, 2.0))
    assert pooled_spread(far)[0] == pytest.approx(math.log(2) / math.sqrt(2))
    narrow, wide = (ask(curves, 8_000) for curves in (near, far))
    assert wide.high / wide.low > narrow.high / narrow.low
    assert wide.low < far[0].points[3][1] and wide.high > far[1].points[3][1]


def test_nine_of_ten_new_runs_lie_inside():
    inside = 0
    for trial in range(200):
        runs = [curve(1000 * trial + seed, noise=0.2, images=tuple(range(1_000, 30_000, 1_500))) for seed in range(3)]
        new = math.exp(runs[2].at(11_500))
        found = ask(runs[:2], 11_500)
        inside += found.low <= new <= found.high
    assert 160 <= inside <= 198


def test_one_run_takes_the_spread_of_other_recipes():
    alone, others = curve(noise=0.01), [curve(1, 1, "style-s"), curve(2, 3, "style-s")]
    without, with_others = ask([alone], 8_000), ask([alone, *others], 8_000)
    assert "without the spread between runs" in without.trust and "of other recipes" in with_others.trust
    assert with_others.high / with_others.low > without.high / without.low


def test_what_nobody_knows_is_said():
    curves = [curve(), curve(1)]
    beyond = ask(curves, 40_000)
    assert beyond.score is None and "nothing is known beyond 32,000 images, where the score was" in beyond.trust
    assert "before 1,000" in ask(curves, 500).trust and ask(curves, 500).score is None
    assert "no run of it was kept: nothing" in ask(curves, 8_000, recipe="style-m").trust
    assert "only at 64 px" in ask(curves, 8_000, resolution=128).trust
    in_stages = [curve(images=(1_000, 10_000)), curve(1, images=(25_000, 200_000))]
    assert "nothing is known between 10,000 and 25,000 images" in ask(in_stages, 15_000).trust
    assert ask(curves, 32_000).score is not None and ask(curves, 0).score is None


def test_other_settings_and_other_data_are_said():
    curves = [curve(), curve(1)]
    batch = ask(curves, 8_000, batch=32)
    assert not batch.exact and "other settings (batch 64)" in batch.trust
    changed = ask(curves, 8_000, settings={"flip": False})
    assert not changed.exact and "the usual flip" in changed.trust
    assert "faces of CelebA" in ask(curves, 8_000, faces=100).trust and "CelebA" not in ask(curves, 8_000).trust
    own = [*curves, curve(2, settings={"flip": False}), curve(3, settings={"flip": False})]
    assert ask(own, 8_000, settings={"flip": False}).exact
    longer = curve(4, factor=2, batch=32, images=(*IMAGES, 64_000))
    beyond = ask([*curves, longer], 50_000)
    assert beyond.score == pytest.approx(2000 / math.sqrt(50_000)) and "batch 32" in beyond.trust and not beyond.exact
    assert ask([*curves, longer], 8_000).exact and ask([*curves, longer], 8_000).curves == 2


def test_a_single_run_of_two_scores_has_no_interval():
    found = ask([curve(images=(1_000, 4_000))], 2_000)
    assert found.score == pytest.approx(1000 / math.sqrt(2_000)) and found.low is None and "too few" in found.trust


def test_what_is_off_the_trend_is_the_deviation_of_a_score():
    images = tuple(round(1_000 * 1.05**number) for number in range(120))
    squares, freedom = curve(5, noise=0.3, images=images).off_trend()
    assert math.sqrt(squares / freedom) == pytest.approx(0.3, rel=0.2)
    assert curve().off_trend()[0] < 1e-12 and curve(images=IMAGES[:4]).off_trend() == (0.0, 0.0)


def test_one_bad_snapshot_is_not_taken_for_the_rule():
    images = tuple(range(1_000, 20_000, 500))
    bumpy = curve(images=images)
    points = tuple((nimg, score * (2 if nimg == 10_000 else 1)) for nimg, score in bumpy.points)
    found = ask([curve(images=images, points=points)], 10_000)
    assert found.score == pytest.approx(10, rel=0.2) and found.low < 10 < found.high


def test_quantiles_of_t():
    assert t95(1) == 6.31 and t95(2.9) == 2.92 and t95(10) == 1.81 and 1.64 < t95(30) < 1.81 and t95(0.2) == 6.31


def test_the_kept_curves_are_of_real_recipes():
    curves = kept_curves(FILE)
    assert {"style-s", "dcgan"} <= {kept.recipe for kept in curves} <= set(RECIPES)
    for kept in curves:
        images = [nimg for nimg, _ in kept.points]
        assert images == sorted(set(images)) and images[0] > 0 and len(images) >= 2
        assert all(0 < score < 300 for _, score in kept.points) and kept.faces > 0 and kept.facegan and kept.name


def test_a_kept_run_is_known_by_its_own_settings():
    (kept,) = (each for each in kept_curves(FILE) if "augment_schedule" in each.settings)
    asked = with_settings(
        recipe(kept.recipe, 64), ["augment=scheduled", "augment_schedule=0@500k,0.15@4M", "extra_ema_halflives=500k"]
    )
    config = flatten(to_dict(asked))
    for name in ("augment_schedule", "extra_ema_halflives"):
        assert kept.settings[name] == config[name]
