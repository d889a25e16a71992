"""The Frechet distance: closed forms, and sets for which careless formulas give NaN."""

import math

import pytest
import torch

from facegan.metrics import frechet
from facegan.metrics.frechet import Gaussian, Sums, frechet_distance


def gaussian(mean, covariance):
    return Gaussian(torch.tensor(mean).double(), torch.tensor(covariance).double())


def test_closed_forms():
    plain = gaussian([0.0, 0], [[1.0, 0], [0, 1]])
    assert frechet_distance(gaussian([3.0, 4], [[1.0, 0], [0, 1]]), plain) == pytest.approx(25)
    assert frechet_distance(gaussian([0.0, 0], [[4.0, 0], [0, 9]]), plain) == pytest.approx(1 + 4)
    # Those that do not commute: trace of the root of a 2x2 product from its trace and determinant.
    one, other = [[2.0, 1], [1, 2]], [[3.0, 0], [0, 1]]
    trace, determinant = 2 * 3 + 2 * 1, 3.0 * 3.0
    expected = 4 + 4 - 2 * math.sqrt(trace + 2 * math.sqrt(determinant))
    assert frechet_distance(gaussian([0.0, 0], one), gaussian([0.0, 0], other)) == pytest.approx(expected)


def test_symmetric_and_zero_of_itself():
    one, other = Gaussian.of(torch.randn(200, 9)), Gaussian.of(torch.rand(300, 9))
    assert frechet_distance(one, other) == pytest.approx(frechet_distance(other, one), rel=1e-9)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)


def test_fewer_samples_than_dimensions_and_sets_of_one_value_are_finite():
    few, many = torch.randn(5, 40), torch.randn(500, 40)
    for x_ND in (few, few[:1].repeat(5, 1), torch.zeros(4, 40)):
        found = frechet_distance(Gaussian.of(x_ND), Gaussian.of(many))
        assert math.isfinite(found) and found > 0
        assert frechet_distance(Gaussian.of(many), Gaussian.of(x_ND)) == pytest.approx(found, rel=1e-5)


def test_sums_are_added_and_taken_away():
    x_ND = torch.randn(50, 7) + 3
    whole, part = Sums.of(x_ND), Sums.of(x_ND[:20])
    expected = Gaussian.of(x_ND[20:])
    found = (whole - part).gaussian()
    torch.testing.assert_close(found.mean_D, expected.mean_D)
    torch.testing.assert_close(found.covariance_DD, expected.covariance_DD)
    again = (part + Sums.of(x_ND[20:])).gaussian()
    torch.testing.assert_close(again.covariance_DD, torch.cov(x_ND.double().T))


def test_features_of_few_directions_are_no_trouble():
    basis = torch.randn(6, 300)
    one, other = torch.randn(900, 6) @ basis, torch.randn(1000, 6) @ basis
    found = frechet_distance(Gaussian.of(one), Gaussian.of(other))
    inside = torch.linalg.qr(basis.T.double())[0]
    expected = frechet_distance(Gaussian.of(one.double() @ inside), Gaussian.of(other.double() @ inside))
    assert found == pytest.approx(expected, rel=1e-3)


def test_very_many_samples_are_summed_in_parts(monkeypatch):
    features_ND = torch.randn(1000, 5)
    whole = Sums.of(features_ND)
    monkeypatch.setattr(frechet, "_PART", 300)
    parts = Sums.of(features_ND)
    assert parts.count == 1000
    torch.testing.assert_close(parts.products_DD, whole.products_DD, rtol=1e-12, atol=1e-9)
    torch.testing.assert_close(parts.sum_D, whole.sum_D, rtol=1e-12, atol=1e-9)
