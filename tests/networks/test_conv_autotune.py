"""Whole networks in every algorithm compute the same function, and the chosen algorithm is the fastest one measured."""

import pytest
import torch

from facegan.errors import UserError
from facegan.networks import build_discriminator, build_generator
from facegan.networks.conv_algorithms import DIRECT, PLAIN
from facegan.networks.conv_autotune import candidates, fastest, measure_algorithms, same_algorithm, set_algorithms
from facegan.networks.layers import Conv
from tests.conftest import small_recipe

ALGORITHMS = [DIRECT, "tiles-2", "tiles-3", "tiles-4"]


def networks(name):
    recipe = small_recipe(name)
    yield build_generator(recipe.network, recipe.generator_options, seed=0), (4, recipe.latent_size)
    yield build_discriminator(recipe.network, recipe.discriminator_options, seed=0), (4, 3, 16, 16)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("name", ["classic-tanh", "classic-dcgan", "dcgan", "style-s"])
def test_every_form_is_the_plain_function(name, algorithm):
    for network, shape in networks(name):
        x = torch.linspace(-9, 9, torch.Size(shape).numel()).sin().view(shape).requires_grad_()
        results = {}
        for each in (PLAIN, algorithm):
            layers = same_algorithm(network, each)
            set_algorithms(network, layers)
            y = network(x)
            results[each] = [y, *torch.autograd.grad((y * y.detach().cos()).sum(), [x, *network.parameters()])]
        for plain, fast in zip(results[PLAIN], results[algorithm], strict=True):
            # Through batch normalisation, a gradient of nearly 0 keeps the rounding of the larger ones it is made of.
            torch.testing.assert_close(fast, plain, rtol=2e-3, atol=2e-4 * max(1.0, plain.abs().max().item()))


def test_measuring_leaves_the_network_alone_and_times_every_candidate():
    recipe = small_recipe("classic-dcgan")
    D = build_discriminator(recipe.network, recipe.discriminator_options, seed=0)
    before = {name: tensor.clone() for name, tensor in D.state_dict().items()}
    seconds = measure_algorithms(D, torch.ones(1, 3, 16, 16), batch=2)
    assert list(seconds) == ["blocks.0", "blocks.3", "blocks.8", "blocks.12"]
    assert list(seconds["blocks.0"]) == [DIRECT]  # three input channels
    assert set(seconds["blocks.3"]) == {DIRECT, "tiles-2", "tiles-3", "tiles-4"}
    assert all(value > 0 for of_algorithm in seconds.values() for value in of_algorithm.values())
    assert all(torch.equal(tensor, before[name]) for name, tensor in D.state_dict().items())
    assert all(parameter.grad is None for parameter in D.parameters()) and D.training
    assert all(module.algorithm == DIRECT for module in D.modules() if isinstance(module, Conv))
    assert set(map(tuple, measure_algorithms(D.bfloat16(), torch.ones(1, 3, 16, 16).bfloat16(), 2).values())) == {
        (DIRECT,)
    }


def test_the_fastest_form_is_taken_if_it_is_clearly_faster():
    seconds = {
        "a": {DIRECT: 1.0, "tiles-2": 0.7, "tiles-4": 0.5},
        "b": {DIRECT: 1.0, "tiles-2": 0.99},
        "c": {DIRECT: 1.0},
    }
    assert fastest(seconds) == {"a": "tiles-4", "b": DIRECT, "c": DIRECT}


def test_tiles_are_not_larger_than_the_output():
    conv = Conv(32, 32, 5, stride=2)
    assert candidates(conv, torch.Size([32, 5, 5])) == [DIRECT, "tiles-2", "tiles-3"]


def test_forms_of_another_network_are_refused():
    recipe = small_recipe("dcgan")
    G = build_generator(recipe.network, recipe.generator_options, seed=0)
    with pytest.raises(UserError, match=r"blocks\.99"):
        set_algorithms(G, {"blocks.99": DIRECT})
    with pytest.raises(UserError, match="origami"):
        set_algorithms(G, {"blocks.1": "origami"})
