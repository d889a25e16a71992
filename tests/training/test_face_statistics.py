"""The statistics of a run's samples, on thumbnails."""

import numpy as np
import pytest

from facegan.data.packed import DataView, PackedDataset
from facegan.training.face_statistics import data_distance, thumbnails, variety
from tests.conftest import write_packed


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    return DataView([PackedDataset.open(write_packed(tmp_path_factory.mktemp("thumbnails") / "data", 150, 32))])


def test_thumbnails_are_means_of_fields():
    image = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    fields = image.reshape(3, 16, 4, 16, 4, 3).mean((2, 4)).transpose(0, 3, 1, 2) / 127.5 - 1
    assert np.allclose(thumbnails(image).numpy(), fields.reshape(3, -1), atol=1e-6)
    assert thumbnails(image[:, :20, :20]).shape == (3, 768)  # any size


def test_the_distance_of_the_data_is_the_mean_over_its_pairs(view):
    thumb_NT = thumbnails(view.images(np.arange(len(view)))).double().numpy()
    apart = np.linalg.norm(thumb_NT[:, None] - thumb_NT, axis=2)
    assert np.isclose(data_distance(view), apart.sum() / (len(apart) * (len(apart) - 1)))


def test_variety_and_repeats(view):
    faces, distance = view.images(np.arange(64)), data_distance(view)
    natural = variety(faces, distance)
    assert natural["variety"] == pytest.approx(1, abs=0.1) and natural["repeats"] == 0
    collapsed = variety(faces[:1].repeat(64, 0), distance)
    assert collapsed == {"variety": pytest.approx(0, abs=1e-6), "repeats": 1.0}
    half = variety(np.concatenate([faces[:1].repeat(32, 0), faces[32:]]), distance)
    assert half["repeats"] == pytest.approx(31 / 63)
    assert variety(faces, 0.0) == {"variety": 0.0, "repeats": 1.0}
