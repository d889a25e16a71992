"""A generator made ready for inference makes the same faces."""

import pytest
import torch
from torch import nn

import facegan
from facegan.networks.layers import BatchNorm
from facegan.sampling.inference import InferenceGenerator, for_inference


def lived_in(name, resolution):
    """Return a generator whose moving statistics, scales and shifts are not those it began with."""
    generator = facegan.build(name, resolution=resolution).generator.eval()
    chance = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for norm in (module for module in generator.modules() if isinstance(module, BatchNorm)):
            norm.running_mean.normal_(0, 0.1, generator=chance)
            norm.running_var.uniform_(0.3, 2, generator=chance)
            norm.weight.uniform_(0.5, 1.5, generator=chance)
            norm.bias.normal_(0, 0.2, generator=chance)
    return generator


@pytest.mark.parametrize(("name", "resolution"), [
    ("classic-tanh", 64), ("classic-tanh", 36), ("classic-dcgan", 64), ("classic-dcgan", 48), ("dcgan", 32),
])  # fmt: skip
@pytest.mark.parametrize("count", [1, 20])
def test_it_is_the_same_function(name, resolution, count):
    generator = lived_in(name, resolution)
    inference = for_inference(generator)
    assert isinstance(inference, InferenceGenerator)
    assert not any(isinstance(module, BatchNorm) for module in inference.modules())
    latent_NZ = torch.empty(count, 100).normal_(generator=torch.Generator().manual_seed(1))
    expected, found = generator(latent_NZ).detach(), inference(latent_NZ)
    assert expected.std() > 0.01
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-4)  # a fortieth of a grey level


@pytest.mark.parametrize("name", ["style-s", "style-m"])
def test_a_inference_style_generator_is_the_same_function(name):
    generator = facegan.build(name, resolution=32).generator.eval()
    inference = for_inference(generator)
    latent_NZ = torch.empty(3, 128).normal_(generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(inference(latent_NZ), generator(latent_NZ), rtol=0, atol=1e-5)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.mul_(1.5)  # the inference form has weights of its own
    assert (inference(latent_NZ) - generator(latent_NZ)).abs().max() > 1e-3


def test_a_generator_of_other_layers_is_left_as_it_is():
    class Other(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList([nn.Linear(3, 3)])

    other = Other()
    assert for_inference(other) is other
