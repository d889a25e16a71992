"""Numbers of parameters as written down for the Keras models, shapes at other sizes, and what must be refused."""

import pytest
import torch

import facegan
from facegan.errors import UserError
from facegan.networks.classic import ClassicDcganDiscriminator
from facegan.networks.layers import DropoutKey
from facegan.networks.summary import summarize, totals


@pytest.mark.parametrize(("name", "resolution", "generator", "discriminator"), [
    ("classic-tanh", 64, (34_031_363, 65_536), 25_901_953),
    ("classic-dcgan", 64, (5_135_235, 896), 4_351_617),
    ("classic-dcgan", 96, (6_169_475, 896), 4_396_673),
    ("dcgan", 64, (3_578_624, 1_920), 2_767_360),
])  # fmt: skip
def test_parameters_are_the_known_numbers(name, resolution, generator, discriminator):
    pair = facegan.build(name, resolution=resolution)
    rows = summarize(pair.generator, (100,))
    assert (totals(rows)[0], totals(rows)[2]) == generator
    assert rows[-1].shape == (resolution, resolution, 3)
    rows = summarize(pair.discriminator, (resolution, resolution, 3))
    assert totals(rows)[0] == discriminator
    held = sum(p.numel() for p in pair.discriminator.state_dict().values())
    assert held == discriminator  # the table counts what is really there


@pytest.mark.parametrize(("name", "resolution"), [
    ("classic-tanh", 16), ("classic-tanh", 36), ("classic-dcgan", 16), ("classic-dcgan", 48), ("classic-dcgan", 80),
    ("dcgan", 16), ("dcgan", 32), ("dcgan", 128),
])  # fmt: skip
def test_other_sizes_work(name, resolution):
    pair = facegan.build(name, resolution=resolution)
    image_NCHW = pair.generator(torch.zeros(2, 100))
    assert image_NCHW.shape == (2, 3, resolution, resolution)
    assert pair.discriminator(image_NCHW, DropoutKey(0, "t", torch.arange(2))).shape == (2,)
    rows = summarize(pair.discriminator, (resolution, resolution, 3))
    assert rows[-1].shape[-1] == 1


@pytest.mark.parametrize(("name", "resolution"), [
    ("classic-tanh", 65), ("classic-tanh", 8), ("classic-dcgan", 72), ("dcgan", 96), ("dcgan", 8),

])  # fmt: skip
def test_sizes_that_cannot_work_are_refused_with_the_rule(name, resolution):
    with pytest.raises(UserError, match=name):
        facegan.build(name, resolution=resolution)


def test_a_seed_names_the_weights():
    first, again, other = (facegan.build("dcgan", resolution=16, seed=seed) for seed in (3, 3, 4))
    for name, tensor in first.generator.state_dict().items():
        assert torch.equal(tensor, again.generator.state_dict()[name])
    assert not torch.equal(first.generator.blocks[1].weight, other.generator.blocks[1].weight)


@pytest.mark.parametrize("dropout", [1, 2, -0.1, float("nan"), 0.999])
def test_a_dropout_that_leaves_nothing_is_refused(dropout):
    with pytest.raises(UserError, match="classic-dcgan takes a dropout from 0 to below"):
        ClassicDcganDiscriminator(dropout=dropout)
