import numpy as np
import pytest
import torch
from PIL import Image

from facegan import pixels


def test_every_byte_survives_the_way_to_float_and_back():
    image_NHWC = np.arange(256 * 3, dtype=np.uint16).reshape(1, 16, 16, 3).astype(np.uint8)
    floats = pixels.to_float(torch.from_numpy(image_NHWC))
    assert floats.shape == (1, 3, 16, 16)
    assert floats.min() == -1 and floats.max() == 1
    np.testing.assert_array_equal(pixels.to_uint8(floats), image_NHWC)


def test_values_outside_the_range_are_clipped():
    floats = torch.tensor([-3.0, -1.0, 0.0, 1.0, 7.0]).view(1, 1, 1, 5).expand(1, 3, 1, 5)
    np.testing.assert_array_equal(pixels.to_uint8(floats)[0, 0, :, 0], [0, 0, 128, 255, 255])


def test_grid_places_images_row_by_row():
    image_NHWC = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((5, 4, 4, 3), np.uint8)
    picture = pixels.grid(image_NHWC, columns=3, padding=1)
    assert picture.shape == (2 * 5 + 1, 3 * 5 + 1, 3)
    assert [int(picture[2 + 5 * (n // 3), 2 + 5 * (n % 3), 0]) for n in range(5)] == [0, 1, 2, 3, 4]
    assert picture[0, 0, 0] == 255
    captioned = pixels.grid(image_NHWC, columns=3, padding=1, captions=["0.50"] * 5)
    assert captioned.shape == (2 * 19 + 1, 3 * 5 + 1, 3)
    assert captioned[5:19, 1:5].min() < 128  # ink under the first image


@pytest.mark.parametrize("count", [1, 4, 6])
def test_a_grid_can_be_taken_apart(count):
    image_NHWC = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(pixels.ungrid(pixels.grid(image_NHWC), 8)[:count], image_NHWC)


def test_a_film_shows_every_picture(tmp_path):
    pictures = [np.full((8, 8, 3), value, np.uint8) for value in (0, 128, 255)]
    for name in ("a.gif", "a.webp"):
        pixels.save_animation(tmp_path / name, pictures, None, seconds=0.1)
        with Image.open(tmp_path / name) as film:
            assert film.n_frames == 3


def test_png_is_written_whole(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    pixels.save_png(tmp_path / "new" / "a.png", picture, None)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "new" / "a.png")), picture)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]
