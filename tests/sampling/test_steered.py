"""Attributes and truncation of a style generator."""

import numpy as np
import pytest
import torch

import facegan
from facegan.sampling.latents import draw_latents
from facegan.sampling.steered import aloud, steered
from facegan.training.schedule import Schedule
from facegan.training.train import train
from tests.conftest import small_recipe


def zeros_labeller(image_NHWC):
    return np.where(np.arange(40) % 2 == 0, 2.0, -2.0) * np.ones((len(image_NHWC), 1))


@pytest.fixture(scope="module")
def model(tmp_path_factory, packed16):
    path = tmp_path_factory.mktemp("run") / "run"
    train(
        [packed16], path, small_recipe("style-s", attributes=True), batch=8,
        schedule=Schedule(images=16, score_count=0), precision="float32", threads=1, forms="direct",
        labeller=zeros_labeller,
    )  # fmt: skip
    return facegan.load(path)


def test_attributes_change_faces_and_zero_is_none(model):
    plain = model.sample(4)
    np.testing.assert_array_equal(model.sample(4, attributes={"Smiling": 0}), plain)
    assert not np.array_equal(model.sample(4, attributes={"Smiling": 1}), plain)
    one, other = (next(model.batches(4, attributes={"Smiling": sign}, scores=True))[1] for sign in (-1, 1))
    assert not np.array_equal(one, other)


def test_what_is_asked_for_is_as_loud_as_all_labels_of_a_face():
    labels_A = np.where(np.arange(40) % 3 == 0, 1, -1).astype(np.float32)
    np.testing.assert_allclose(aloud(labels_A), labels_A)
    few_A = labels_A * (np.arange(40) < 10)
    np.testing.assert_allclose(aloud(few_A), 2 * few_A)
    np.testing.assert_allclose(aloud(few_A * (np.arange(40) == 3) / 2), 1.5 * few_A * (np.arange(40) == 3))


def test_truncation_moves_styles_towards_the_mean_of_the_same_attributes(model):
    generator = model.generator
    attributes_A = np.zeros(40, np.float32)
    attributes_A[31] = 1
    latent_NZ = torch.from_numpy(draw_latents(5, "latents", np.arange(3), 16, "normal"))
    loud_A = torch.from_numpy(3 * attributes_A)
    many_MZ = torch.from_numpy(draw_latents(0, "mean-style", np.arange(1024), 16, "normal"))
    with torch.inference_mode():
        mean = generator.mapping(many_MZ, loud_A.expand(1024, -1)).mean(0, keepdim=True)
        style = generator.mapping(latent_NZ, loud_A.expand(3, -1))
        expected = generator.synthesize(mean + 0.3 * (style - mean))
        torch.testing.assert_close(steered(generator, attributes_A, 0.3)(latent_NZ), expected)
        torch.testing.assert_close(
            steered(generator, attributes_A, 1.0)(latent_NZ), generator(latent_NZ, loud_A.expand(3, -1))
        )
    assert steered(generator, None, 1.0) is generator
    faces = model.sample(3, truncation=0.0)
    np.testing.assert_array_equal(faces[0], faces[2])
