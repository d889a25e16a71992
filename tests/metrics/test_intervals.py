"""Intervals: known variances, known coverage, and replicates that are what they say."""

import numpy as np
import pytest
import torch

from facegan.evaluation.reference import RealFeatures
from facegan.evaluation.scores import extrapolated_frechet, frechet_estimate
from facegan.metrics.frechet import Gaussian, frechet_distance
from facegan.metrics.intervals import Estimate, groups_of, jackknife, jackknife_variance, student_quantile
from facegan.metrics.kernel import kernel_estimate, mean_of_pairs, mean_to_reference
from facegan.metrics.neighbours import NAMES, neighbour_estimates


def draws(number, count, width, scale=1.0):
    generator = torch.Generator().manual_seed(number)
    return scale * torch.randn(count, width, generator=generator)


def test_students_quantiles_are_those_of_the_tables():
    for freedom, expected in ((10, 2.228), (19, 2.093), (30, 2.042), (float("inf"), 1.960)):
        assert student_quantile(0.975, freedom) == pytest.approx(expected, abs=1e-3)


def test_the_jackknife_of_a_mean_is_the_variance_of_a_mean():
    values = np.random.default_rng(0).normal(size=1000)
    replicates = [np.delete(values, number).mean() for number in range(1000)]
    assert jackknife_variance(replicates) == pytest.approx(values.var(ddof=1) / 1000)
    assert Estimate.of(0.01, 1.0).low == 0.0  # no distance is negative
    assert jackknife(0.99, [0.9, 1.0], most=1.0).high == 1.0


def test_groups_are_even_and_always_the_same():
    group_N = groups_of(1003)
    assert np.array_equal(group_N, groups_of(1003)) and set(np.bincount(group_N)) == {50, 51}


def test_the_neighbours_replicates_are_what_leaving_a_group_out_gives():
    x_ND, y_MD, groups = draws(0, 120, 4), draws(1, 90, 4, 1.2), 6
    group_N = groups_of(120, groups)
    found = neighbour_estimates(x_ND, y_MD, groups=groups)
    without = [neighbour_estimates(x_ND[torch.from_numpy(group_N != group)], y_MD) for group in range(groups)]
    for name in NAMES:
        expected = jackknife_variance([part[name].value for part in without]) ** 0.5
        assert found[name].standard_error == pytest.approx(expected, rel=1e-6, abs=1e-12), name


def test_the_frechet_replicates_are_what_leaving_a_group_out_gives():
    x_ND, reference = draws(0, 200, 5), RealFeatures(draws(1, 300, 5, 1.3), np.zeros(300, np.int32))
    group_N = groups_of(200, 8)
    replicates = [
        frechet_distance(Gaussian.of(x_ND[torch.from_numpy(group_N != group)]), reference.gaussian)
        for group in range(8)
    ]
    found = frechet_estimate(x_ND, reference, groups=8)
    assert found.value == pytest.approx(frechet_distance(Gaussian.of(x_ND), reference.gaussian))
    assert found.standard_error == pytest.approx(jackknife_variance(replicates) ** 0.5)


def test_the_kernel_distances_interval_has_its_spread_and_its_coverage():
    y_MD = draws(99, 400, 6, 1.1)
    found = [kernel_estimate(draws(number, 150, 6), y_MD) for number in range(200)]
    values = np.array([estimate.value for estimate in found])
    x_ND = draws(0, 150, 6)
    unbiased = mean_of_pairs(x_ND) + mean_of_pairs(y_MD) - 2 * float(mean_to_reference(x_ND, y_MD).mean())
    assert found[0].value == pytest.approx(unbiased)
    errors = np.array([estimate.standard_error for estimate in found])
    assert np.sqrt((errors**2).mean()) == pytest.approx(values.std(ddof=1), rel=0.15)
    covered = np.mean([estimate.low <= values.mean() <= estimate.high for estimate in found])
    assert 0.9 <= covered <= 0.99


def test_the_frechet_distance_is_extrapolated_towards_the_truth():
    reference = RealFeatures(draws(1, 20_000, 8), np.zeros(20_000, np.int32))
    x_ND = draws(2, 400, 8)
    biased = frechet_distance(Gaussian.of(x_ND), reference.gaussian)
    assert abs(extrapolated_frechet(x_ND, reference)) < 0.6 * biased  # the truth is 0


def test_halves_share_nobody():
    person_M = np.repeat(np.arange(1, 41, dtype=np.int32), 5)
    one, other = RealFeatures(draws(0, 200, 3), person_M).halves()
    assert not set(one.person_M) & set(other.person_M)
    assert abs(len(one.person_M) - 100) <= 5 and len(one.person_M) + len(other.person_M) == 200
    unknown = RealFeatures(draws(0, 200, 3), np.zeros(200, np.int32)).halves()
    assert abs(len(unknown[0].person_M) - 100) <= 1
