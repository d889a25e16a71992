"""Networks that look at faces, on a GPU: ``tests.simulated_cuda`` refuses what a GPU would refuse."""

import numpy as np
import pytest
import torch

from facegan.networks import build_generator
from facegan.perception.labeller import Labeller
from facegan.perception.spaces import open_space
from facegan.sampling.sampler import Sampler
from tests.conftest import small_recipe
from tests.simulated_cuda import simulated_cuda

FACES = np.arange(3 * 64 * 64 * 3, dtype=np.int64).reshape(3, 64, 64, 3).astype(np.uint8)


@pytest.mark.parametrize("name", ["random-net", "judge-net", "attributes-net"])
def test_features_are_made_on_the_gpu_and_come_back(name):
    expected = open_space(name).features(FACES)
    with simulated_cuda() as gpu:
        space = open_space(name, device="cuda")
        gpu.waits.clear()
        found = space.features(FACES)
        assert not gpu.holds(found)
        assert [wait.split(" at ")[0] for wait in gpu.waits] == ["copy to the GPU", "copy from the GPU"]
    assert torch.equal(found, expected)
    assert space.sha256 == open_space(name).sha256


def test_labels_too():
    expected = Labeller().logits(FACES)
    with simulated_cuda():
        found = Labeller(device="cuda").logits(FACES)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["style-s", "dcgan", "classic-dcgan", "classic-tanh"])
@pytest.mark.parametrize("truncation", [1.0, 0.5])
def test_faces_are_made_where_the_generator_is(name, truncation):
    recipe = small_recipe(name, attributes=True) if name == "style-s" else small_recipe(name)
    attributes = {"Smiling": 1.0} if recipe.attributes and truncation < 1 else None

    def faces(device):
        generator = build_generator(recipe.network, recipe.generator_options, seed=0).to(device).eval()
        return Sampler(generator, recipe).sample(5, attributes=attributes, truncation=truncation)

    with simulated_cuda() as gpu:
        found = faces("cuda")
        assert any(wait.startswith("copy from the GPU at pixels.py") for wait in gpu.waits)
    assert np.abs(found.astype(int) - faces("cpu")).max() <= 1  # the CPU may take Winograd's form
