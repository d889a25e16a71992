"""The same numbers as torch-fidelity and prdc, from the same features; the same features from the same network."""

from pathlib import Path

import numpy as np
import pytest
import torch

from facegan.metrics.frechet import Gaussian, frechet_distance
from facegan.metrics.inception_score import inception_score
from facegan.metrics.kernel import kernel_estimate
from facegan.metrics.neighbours import NAMES, neighbour_estimates
from facegan.perception.inception import SIDE, Inception
from facegan.perception.resizing import resize
from tests.peers.cases import features, images, inception_weights, kernel_subsets

CASES = features()


@pytest.fixture(scope="module")
def recorded():
    with np.load(Path(__file__).parents[1] / "peers" / "recorded.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("case", CASES)
def test_frechet_distance_is_torch_fidelitys(recorded, case):
    one, other = (Gaussian.of(torch.from_numpy(part)) for part in CASES[case])
    assert frechet_distance(one, other) == pytest.approx(float(recorded[f"{case}/frechet"]), rel=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_kernel_distance_is_torch_fidelitys_on_the_same_subsets(recorded, case):
    generated, reference = (torch.from_numpy(part) for part in CASES[case])
    subsets = kernel_subsets(len(generated), len(reference))
    found = [kernel_estimate(generated[a], reference[b]).value for a, b in subsets]
    np.testing.assert_allclose(found, recorded[f"{case}/kernel"], rtol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_neighbour_scores_are_prdcs(recorded, case):
    generated, reference = (torch.from_numpy(part) for part in CASES[case])
    found = neighbour_estimates(generated, reference)
    np.testing.assert_allclose([found[name].value for name in NAMES], recorded[f"{case}/neighbours"], rtol=1e-6)


def test_inception_is_torch_fidelitys_end_to_end(recorded):
    network = Inception().eval()
    network.load_converted(inception_weights())
    for side, image_NHWC in images().items():
        with torch.inference_mode():
            found_ND = network((resize(image_NHWC, SIDE, "tensorflow1") - 128) / 128)
            score = inception_score(network.class_logits(found_ND)).value
        expected = recorded[f"inception/{side}"]
        assert np.abs(found_ND.numpy() - expected).max() <= 1e-5 * np.abs(expected).max()
        assert score == pytest.approx(float(recorded[f"inception-score/{side}"]), rel=1e-6)
