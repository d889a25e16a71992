"""Resizing is that of the libraries whose names it bears."""

import numpy as np
import pytest
from PIL import Image

from facegan.perception.resizing import resize
from facegan.randomness import Stream


def picture(side):
    return Stream(0, "picture").words(np.arange(side), 3 * side).astype(np.uint8).reshape(1, side, side, 3)


@pytest.mark.parametrize(("side", "target"), [(64, 299), (97, 64), (300, 64), (8, 299), (299, 299)])
def test_clean_is_pillows_bicubic_on_floats(side, target):
    image_NHWC = picture(side)
    found = resize(image_NHWC, target, "clean")
    for channel in range(3):
        plane = Image.fromarray(image_NHWC[0, ..., channel].astype(np.float32), mode="F")
        expected = np.asarray(plane.resize((target, target), Image.Resampling.BICUBIC))
        np.testing.assert_allclose(found[0, channel].numpy(), expected, atol=2e-3)


def test_images_that_cannot_be_written_to_are_read():
    image_NHWC = picture(16)
    expected = resize(image_NHWC, 64, "clean")
    image_NHWC.flags.writeable = False  # as a memory-mapped file's
    np.testing.assert_array_equal(resize(image_NHWC, 64, "clean"), expected)


def test_tensorflow1_starts_at_the_corner_and_repeats_the_edge():
    ramp = np.broadcast_to(np.arange(4, dtype=np.uint8)[None, None, :, None] * 10, (1, 4, 4, 3))
    found = resize(ramp, 8, "tensorflow1")[0, 0, 0]
    np.testing.assert_allclose(found, [0, 5, 10, 15, 20, 25, 30, 30], atol=1e-5)


@pytest.mark.parametrize("name", ["tensorflow1", "clean"])
def test_a_plain_field_stays_plain(name):
    found = resize(np.full((2, 50, 50, 3), 77, np.uint8), 64, name)
    np.testing.assert_allclose(found, 77, atol=1e-4)
