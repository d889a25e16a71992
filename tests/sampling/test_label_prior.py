"""The label prior: what EM finds, what conditioning means, and what is drawn."""

import itertools

import numpy as np
import pytest
import torch

from facegan.attributes import ATTRIBUTE_COUNT
from facegan.errors import UserError
from facegan.sampling.label_prior import LEAST_FACES, LabelPrior, fit

KNOWN = np.ones(ATTRIBUTE_COUNT, np.float32)


def two_kinds():
    """Return a mixture of two kinds of faces, 3 to 1, that differ in the first half of the attributes."""
    theta_KA = np.full((2, ATTRIBUTE_COUNT), 0.3, np.float32)
    theta_KA[0, :20], theta_KA[1, :20] = 0.85, 0.1
    return LabelPrior(np.array([0.75, 0.25], np.float32), theta_KA, KNOWN)


def few(count=5, kinds=3):
    """Return a mixture in which only the first ``count`` attributes vary, and its probabilities."""
    theta_KA = np.full((kinds, ATTRIBUTE_COUNT), 0.5, np.float32)
    theta_KA[:, :count] = np.random.default_rng(1).uniform(0.1, 0.9, (kinds, count))
    return LabelPrior(np.array([0.5, 0.3, 0.2], np.float32)[:kinds], theta_KA, KNOWN), theta_KA[:, :count].astype(float)


def asking(**values):
    asked_A = np.full(ATTRIBUTE_COUNT, np.nan, np.float32)
    for name, value in values.items():
        asked_A[int(name[1:])] = value
    return asked_A


def test_em_recovers_a_known_mixture():
    truth = two_kinds()
    found = fit(truth.draw(3, np.arange(20_000)), components=2)
    np.testing.assert_allclose(found.weights_K, truth.weights_K, atol=0.02)
    np.testing.assert_allclose(found.probabilities_KA, truth.probabilities_KA, atol=0.03)
    np.testing.assert_array_equal(found.known_A, 1)


def test_soft_and_unknown_labels():
    labels_MA = two_kinds().draw(3, np.arange(4000))
    soft = fit(labels_MA * 0.5, components=1)  # p = 3/4 or 1/4
    np.testing.assert_allclose(soft.probabilities_KA[0], 0.25 + labels_MA.mean(0) / 4 + 0.25, atol=1e-3)
    labels_MA[::2, 7], labels_MA[:, 9] = 0, 0
    half = fit(labels_MA, components=1)
    assert half.probabilities_KA[0, 7] == pytest.approx((labels_MA[1::2, 7] > 0).mean(), abs=1e-3)
    assert half.known_A[7] == 0.5 and half.known_A[9] == 0
    drawn_NA = half.draw(0, np.arange(4000))
    assert (drawn_NA[:, 9] == 0).all()  # what the data never says is never said
    assert (drawn_NA[:, 7] == 0).mean() == pytest.approx(0.5, abs=0.03)
    assert set(np.unique(drawn_NA[:, 8])) == {-1, 1}
    labels_MA[:] = 0
    assert fit(labels_MA) is None


def test_it_is_the_same_again_and_stands_for_no_single_face():
    """Four hundred faces with rows of their own, and one far from all of them."""
    labels_MA = np.where(np.random.default_rng(0).uniform(size=(400, ATTRIBUTE_COUNT)) < 0.2, 1.0, -1.0)
    labels_MA[17] = 1
    found, again = fit(labels_MA), fit(labels_MA)
    for name, tensor in found.to_tensors().items():
        assert torch.equal(tensor, again.to_tensors()[name])
    assert found.weights_K.min() * 400 >= LEAST_FACES - 0.1
    assert found.probabilities_KA.max() < 0.6
    assert fit(labels_MA[: LEAST_FACES - 1]) is None
    clustered = np.repeat(np.where(np.eye(8, ATTRIBUTE_COUNT) > 0, 1.0, -1.0), 200, axis=0)
    clustered[:30] = 1  # thirty pictures of one person
    many = fit(clustered, components=8)
    assert many.weights_K.min() * len(clustered) >= LEAST_FACES - 0.1
    assert many.probabilities_KA[:, 20:].max() < 0.6


@pytest.mark.parametrize("asked", [{"_0": 1.0}, {"_0": -1.0, "_2": 1.0}, {"_1": 0.4}, {"_1": -0.4, "_3": 0.0}])
def test_conditioning_is_the_posterior_by_enumeration(asked):
    count = 5
    prior, theta_KA = few(count)
    rows_RA = np.array(list(itertools.product((1.0, -1.0), repeat=count)))
    likelihood_RK = np.where(rows_RA[:, None] > 0, theta_KA, 1 - theta_KA).prod(2)
    posterior_K = prior.weights_K.astype(float)
    for name, value in asked.items():  # a value between tempers the likelihood of its sign
        theta_K = theta_KA[:, int(name[1:])]
        posterior_K = posterior_K * (theta_K if value > 0 else 1 - theta_K) ** abs(value)
    posterior_K /= posterior_K.sum()
    np.testing.assert_allclose(prior.posterior(asking(**asked)), posterior_K, rtol=1e-5)
    hard = {int(name[1:]): value for name, value in asked.items() if abs(value) == 1}
    if len(hard) == len(asked):  # then it is also the conditional distribution of whole rows
        fits_R = (rows_RA[:, list(hard)] == list(hard.values())).all(1)
        joint_R = (likelihood_RK @ prior.weights_K) * fits_R
        expected_A = (joint_R / joint_R.sum()) @ (rows_RA > 0)
        drawn_NA = prior.draw(0, np.arange(40_000), asking(**asked))[:, :count]
        np.testing.assert_allclose((drawn_NA > 0).mean(0), expected_A, atol=0.01)
        pairs_AA = np.einsum("r,ra,rb->ab", joint_R / joint_R.sum(), rows_RA, rows_RA)
        np.testing.assert_allclose(drawn_NA.T @ drawn_NA / len(drawn_NA), pairs_AA, atol=0.02)


def test_what_is_asked_for_is_exactly_that():
    drawn_NA = two_kinds().draw(0, np.arange(500), asking(_3=1, _4=-1, _5=0.25, _6=0))
    np.testing.assert_array_equal(drawn_NA[:, 3:7], np.tile(np.float32([1, -1, 0.25, 0]), (500, 1)))
    assert drawn_NA.dtype == np.float32 and set(np.unique(drawn_NA[:, 7:])) == {-1, 1}


def test_marginals_and_pairs_of_draws():
    prior = two_kinds()
    drawn_NA = prior.draw(5, np.arange(20_000))
    np.testing.assert_allclose((drawn_NA > 0).mean(0), prior.weights_K @ prior.probabilities_KA, atol=0.015)
    together = (drawn_NA[:, 0] > 0) & (drawn_NA[:, 1] > 0)
    assert together.mean() == pytest.approx(0.75 * 0.85**2 + 0.25 * 0.1**2, abs=0.015)


def test_face_i_is_the_same_in_any_count():
    prior = two_kinds()
    whole_NA = prior.draw(2, np.arange(100))
    np.testing.assert_array_equal(prior.draw(2, np.arange(40, 43)), whole_NA[40:43])
    assert not np.array_equal(prior.draw(3, np.arange(100)), whole_NA)
    assert not np.array_equal(prior.draw(2, np.arange(100), stream="grid/labels"), whole_NA)


def test_it_survives_storing():
    prior = fit(two_kinds().draw(3, np.arange(1000)))
    found = LabelPrior.from_tensors(prior.to_tensors(), "file")
    np.testing.assert_array_equal(found.draw(0, np.arange(99)), prior.draw(0, np.arange(99)))


@pytest.mark.parametrize(("change", "message"), [
    ({"weights": None}, "it has no weights"),
    ({"weights": torch.ones(3) / 3}, "shapes"),
    ({"weights": torch.ones(0), "probabilities": torch.ones(0, ATTRIBUTE_COUNT)}, "shapes"),
    ({"known": torch.ones(3)}, "shapes"),
    ({"weights": torch.tensor([1.5, -0.5])}, "no probabilities"),
    ({"weights": torch.tensor([0.2, 0.2])}, "no probabilities"),
    ({"probabilities": torch.full((2, ATTRIBUTE_COUNT), 1.5)}, "no probabilities"),
])  # fmt: skip
def test_what_is_no_prior_is_refused(change, message):
    tensors = two_kinds().to_tensors() | change
    with pytest.raises(UserError, match=rf"prior\.safetensors is no label prior: .*{message}"):
        LabelPrior.from_tensors({name: t for name, t in tensors.items() if t is not None}, "prior.safetensors")
