"""A widened network computes what it did, and its new channels learn."""

import pytest
import torch

from facegan.attributes import ATTRIBUTE_COUNT
from facegan.errors import UserError
from facegan.networks import build_discriminator, build_generator
from facegan.networks.widening import widen

NARROW = {"resolution": 32, "width": 4, "max_channels": 16}
WIDE = [{"width": 6, "max_channels": 24}, {"width": 4, "max_channels": 20}, {"width": 8, "max_channels": 16}]


def built(build, seed, **options):
    return build("style", NARROW | options, seed=seed).eval()


def varied(network):
    """Return the network with weights, biases and statistics that are all different from a fresh network's."""
    for tensor in network.state_dict().values():
        tensor += 0.3 * torch.randn(tensor.shape)
    return network


@pytest.mark.parametrize("patch", [1, 2])
@pytest.mark.parametrize("wider", WIDE)
def test_a_wider_generator_makes_the_same_images(wider, patch):
    torch.manual_seed(0)
    old = varied(built(build_generator, 0, patch=patch, mapping_lr_multiplier=0.1))
    new = built(build_generator, 1, patch=patch, **wider)
    latent_NZ, attributes_NA = torch.randn(5, 128), torch.randn(5, ATTRIBUTE_COUNT).sign()
    before = new(latent_NZ, attributes_NA)
    widen(old, new)
    assert torch.allclose(new(latent_NZ, attributes_NA), old(latent_NZ, attributes_NA), atol=1e-5)
    assert not torch.allclose(before, new(latent_NZ, attributes_NA), atol=0.1)
    new.train()(latent_NZ, attributes_NA).square().sum().backward()
    for layer, stored in zip(new.layers, old.layers, strict=True):
        outputs, inputs = stored.convolution.weight.shape[:2]
        weight = layer.convolution.weight
        assert not weight[:outputs, inputs:].any()  # nothing yet from new channels to old ones
        assert (weight.grad[:outputs, inputs:] != 0).all()  # but they learn


@pytest.mark.parametrize("patch", [1, 2])
@pytest.mark.parametrize("wider", WIDE)
def test_a_wider_discriminator_gives_the_same_logits(wider, patch):
    torch.manual_seed(0)
    old, new = varied(built(build_discriminator, 0, patch=patch)), built(build_discriminator, 1, patch=patch, **wider)
    image_NCHW, attributes_NA = torch.rand(8, 3, 32, 32) * 2 - 1, torch.randn(8, ATTRIBUTE_COUNT).sign()
    widen(old, new)
    wanted_N = old(image_NCHW, attributes_NA=attributes_NA)
    assert wanted_N.std() > 0.1
    assert torch.allclose(new(image_NCHW, attributes_NA=attributes_NA), wanted_N, atol=1e-4)
    new.train()(image_NCHW, attributes_NA=attributes_NA).square().sum().backward()
    features = len(old.logit.weight[0])
    for weight in (new.logit.weight[:, features:], new.embedding.weight[features:]):
        assert not weight.any()
    for gradient in (new.logit.weight.grad[:, features:], new.embedding.weight.grad[features:]):
        assert (gradient != 0).float().mean() > 0.9 or not gradient.numel()


def test_a_fine_layer_changes_nothing_at_first_and_learns():
    torch.manual_seed(0)
    old, new = varied(built(build_generator, 0, patch=1)), built(build_generator, 1, patch=1, fine_layer=True)
    widen(old, new)
    latent_NZ = torch.randn(5, 128)
    assert torch.equal(new(latent_NZ), old(latent_NZ))
    new.train()(latent_NZ).square().sum().backward()
    assert (new.pictures[-1].weight.grad != 0).all()


@pytest.mark.parametrize("wider", [{}, WIDE[0]])
def test_a_fine_block_changes_nothing_at_first_and_learns(wider):
    torch.manual_seed(0)
    old, new = varied(built(build_discriminator, 0)), built(build_discriminator, 1, fine_block=True, **wider)
    widen(old, new)
    image_NCHW = torch.rand(8, 3, 32, 32) * 2 - 1
    assert torch.allclose(new(image_NCHW), old(image_NCHW), atol=1e-4)
    new.train()(image_NCHW).square().sum().backward()
    assert (new.fine.block.second.weight.grad != 0).float().mean() > 0.9
    with pytest.raises(UserError, match="patch 1"):
        build_discriminator("style", NARROW | {"patch": 1, "fine_block": True}, seed=0)


def test_heads_are_kept_and_new_ones_stay_as_they_are():
    torch.manual_seed(0)
    old = varied(built(build_discriminator, 0, feature_heads=True))
    new = built(build_discriminator, 1, feature_heads=True, **WIDE[0])
    widen(old, new)
    assert all(torch.equal(tensor, new.heads.state_dict()[name]) for name, tensor in old.heads.state_dict().items())
    fresh, without = built(build_discriminator, 1, feature_heads=True), built(build_discriminator, 0)
    before = {name: tensor.clone() for name, tensor in fresh.heads.state_dict().items()}
    widen(without, fresh)
    assert all(torch.equal(tensor, fresh.heads.state_dict()[name]) for name, tensor in before.items())


@pytest.mark.parametrize("build", [build_generator, build_discriminator])
@pytest.mark.parametrize("network", ["classic-tanh", "classic-dcgan", "dcgan", "style"])
def test_as_many_channels_are_a_copy(network, build):
    torch.manual_seed(0)
    options = {} if network.startswith("classic") else {"width": 4}
    old, new = (build(network, options, seed=seed) for seed in (0, 1))
    for tensor in old.state_dict().values():
        if tensor.is_floating_point():
            tensor += 0.3 * torch.randn(tensor.shape)
    widen(old, new)
    assert all(torch.equal(tensor, new.state_dict()[name]) for name, tensor in old.state_dict().items())
