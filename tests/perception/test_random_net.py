"""random-net is the same everywhere and for ever, and sees what is fine as well as what is large."""

import numpy as np
import pytest
import torch

from facegan.errors import UserError
from facegan.perception.corruptions import CORRUPTIONS
from facegan.perception.random_net import DIMENSIONS, RandomNet
from facegan.perception.spaces import open_space
from facegan.randomness import Stream


def faces(count, side=64):
    coarse = Stream(5, "faces").normal(np.arange(count), 6 * 6 * 3).reshape(count, 6, 6, 3)
    tensor = torch.from_numpy(coarse).permute(0, 3, 1, 2)
    smooth = torch.nn.functional.interpolate(tensor, size=(side, side), mode="bicubic")
    fine = Stream(6, "grain").normal(np.arange(count), side * side * 3).reshape(count, side, side, 3)
    return np.clip(128 + 40 * smooth.permute(0, 2, 3, 1).numpy() + 4 * fine, 0, 255).astype(np.uint8)


def test_the_weights_are_what_they_always_were():
    assert open_space("random-net").sha256.startswith("7d26c946e71c")
    assert RandomNet()(torch.zeros(2, 3, 64, 64)).shape == (2, DIMENSIONS)


def test_another_seed_is_another_network():
    first, another = open_space("random-net:0"), open_space("random-net:7")
    assert first.sha256 == open_space("random-net").sha256 != another.sha256
    assert another.describe()["name"] == "random-net:7"
    for name in ("random-net:", "random-net:-1", "random-net:x", "random-net:" + "9" * 30, "judge-net:1"):
        with pytest.raises(UserError, match=name):
            open_space(name)


@pytest.mark.parametrize("kind", ["blur", "noise", "jpeg", "checkerboard"])
def test_small_changes_move_the_features_beyond_those_of_brightness(kind):
    space, image_NHWC = open_space("random-net"), faces(64)
    x_NCHW = torch.from_numpy(image_NHWC).permute(0, 3, 1, 2).float() / 127.5 - 1
    changed = CORRUPTIONS[kind](x_NCHW, torch.full((64,), 0.5), np.arange(64)).clamp(-1, 1)
    changed_NHWC = ((changed + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    before, after = space.features(image_NHWC), space.features(changed_NHWC)
    brighter = space.features(np.clip(image_NHWC.astype(int) + 8, 0, 255).astype(np.uint8))
    assert (after.mean(0) - before.mean(0)).norm() > 3 * (brighter.mean(0) - before.mean(0)).norm()


def test_any_size_is_looked_at(tmp_path):
    assert open_space("random-net").features(faces(3, 96)).shape == (3, DIMENSIONS)
