"""The run's own score, and the statistics of its samples."""

import numpy as np
import pytest

from facegan import api
from facegan.config import RunConfig
from facegan.data.packed import DataView, PackedDataset
from facegan.training.own_score import COMPONENTS, Reference, own_score, score_images, thumbnails, variety
from facegan.training.retention import best_of, kept
from tests.conftest import small_recipe, write_packed


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    return DataView([PackedDataset.open(write_packed(tmp_path_factory.mktemp("score") / "data", 700, 32))])


@pytest.fixture(scope="module")
def reference(view):
    return Reference.of(view)


def test_thumbnails_are_means_of_fields():
    image = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    fields = image.reshape(3, 16, 4, 16, 4, 3).mean((2, 4)).transpose(0, 3, 1, 2) / 127.5 - 1
    assert np.allclose(thumbnails(image).numpy(), fields.reshape(3, -1), atol=1e-6)
    assert thumbnails(image[:, :20, :20]).shape == (3, 768)  # any size


def test_the_reference_has_the_moments_of_the_data(view, reference):
    thumb_NT = thumbnails(view.images(np.arange(len(view)))).double().numpy()
    assert np.allclose(reference.centre_T, thumb_NT.mean(0))
    projected_NK = (thumb_NT - reference.centre_T) @ reference.components_TK
    assert np.allclose(projected_NK.mean(0), reference.mean_K, atol=1e-9)
    assert np.allclose(np.cov(projected_NK.T, ddof=0), reference.covariance_KK, atol=1e-9)
    # No 64 directions hold more of the variance.
    values = np.linalg.eigvalsh(np.cov(thumb_NT.T, ddof=0))
    assert np.isclose(np.trace(reference.covariance_KK), values[-COMPONENTS:].sum())
    apart = np.linalg.norm(thumb_NT[:, None] - thumb_NT, axis=2)
    assert np.isclose(reference.distance, apart.sum() / (len(apart) * (len(apart) - 1)))


def test_the_score_is_the_frechet_distance(view, reference):
    everything = view.images(np.arange(len(view)))
    assert score_images(everything, reference) == pytest.approx(0, abs=1e-6)
    brighter = np.clip(everything.astype(int) + 20, 0, 255).astype(np.uint8)
    one_face = everything[:1].repeat(200, 0)
    few = score_images(everything[:300], reference)
    assert 0 < few < score_images(brighter, reference)
    # Of one face repeated, the covariance is 0 and the trace of the data's own remains.
    mean = (thumbnails(one_face[:1]).double().numpy()[0] - reference.centre_T) @ reference.components_TK
    expected = (mean**2).sum() + np.trace(reference.covariance_KK)
    assert score_images(one_face, reference) == pytest.approx(expected, rel=1e-6)


def test_variety_and_repeats(view, reference):
    faces = view.images(np.arange(64))
    natural = variety(faces, reference)
    assert natural["variety"] == pytest.approx(1, abs=0.1) and natural["repeats"] == 0
    collapsed = variety(faces[:1].repeat(64, 0), reference)
    assert collapsed == {"variety": pytest.approx(0, abs=1e-6), "repeats": 1.0}
    half = variety(np.concatenate([faces[:1].repeat(32, 0), faces[32:]]), reference)
    assert half["repeats"] == pytest.approx(31 / 63)


def test_a_reference_is_stored_and_a_damaged_one_made_anew(tmp_path, reference):
    path = tmp_path / "score-reference.safetensors"
    assert Reference.load(path) is None
    reference.save(path)
    found = Reference.load(path)
    assert np.array_equal(found.components_TK, reference.components_TK) and found.distance == reference.distance
    for content in (b"", path.read_bytes()[:-8], b"\xff" * 100):
        path.write_bytes(content)
        assert Reference.load(path) is None


def test_a_run_is_scored_by_faces_that_stay_the_same(reference):
    recipe = small_recipe("dcgan")
    generator = api.build("dcgan", resolution=16).generator.eval()
    scores = [own_score(generator, RunConfig(recipe=recipe, seed=seed), reference) for seed in (0, 0, 1)]
    assert scores[0] == scores[1] != scores[2]


def test_which_snapshots_stay():
    nimgs, scores = [0, 10, 20, 30, 40, 50], {10: 5.0, 20: 3.0, 30: 3.0, 50: 4.0}
    assert best_of(nimgs, scores) == 30  # the later of equals
    assert best_of(nimgs, {}) is None
    assert kept(nimgs, scores, newest=1) == {50, 30}
    assert kept(nimgs, {}, newest=2) == {40, 50}
    assert kept(nimgs, {}, newest=1, every=25) == {0, 30, 50}
    assert kept([], {}, newest=3) == set()
