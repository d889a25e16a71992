"""Datasets made by a model, and the model that comes with the package."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import facegan
from facegan.api import faces_of
from facegan.attributes import ATTRIBUTE_NAMES, asked_vector
from facegan.data.labels import read_labels
from facegan.data.layout import IMAGES_FOLDER, digits_of, file_name, write_annotations
from facegan.data.packed import PackedDataset
from facegan.data.preflight import Preflight
from facegan.data.prepare import prepare
from facegan.data.sources import find_source
from facegan.errors import UserError
from facegan.perception.labeller import shipped
from facegan.synthetic_dataset import write_synthetic_dataset


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "faces"
    return out, write_synthetic_dataset(out, facegan.load("celeba64"), shipped(), 24, seed=3)


def test_it_is_celebas_layout_and_prepares(made, tmp_path):
    out, about = made
    assert json.loads((out / "about.json").read_text()) == about
    assert about["near_copies"]["generated"] >= 1000 and 0 <= about["near_copies"]["share"] < 1
    warnings = prepare(out, tmp_path / "packed", resolution=64).warnings
    assert "24 of 24 images say that a neural network made them: they keep the labels" in warnings[0]
    dataset = PackedDataset.open(tmp_path / "packed")
    faces = facegan.load("celeba64").sample(24, seed=3)
    difference = np.abs(np.asarray(dataset.images).astype(int) - faces)
    assert difference.mean() < 3  # JPEG
    np.testing.assert_array_equal(dataset.attributes, np.where(shipped().logits(faces) > 0, 1, -1))
    assert len(set(np.asarray(dataset.identities).tolist())) == 24


def test_every_face_says_what_made_it(made):
    out, about = made
    for number in (0, 23):
        with Image.open(out / "img_align_celeba" / f"{number + 1:06d}.jpg") as image:
            assert b"digitalsourcetype/trainedAlgorithmicMedia<" in image.info["xmp"]
            said = image.getexif()[0x010E]
            assert "model celeba64" in said and said.endswith(f", seed 3, number {number}")
    assert about["provenance"]["count"] == 24 and about["provenance"]["model"] == "celeba64"


def test_it_is_the_same_again(made, tmp_path):
    write_synthetic_dataset(tmp_path / "again", facegan.load("celeba64"), shipped(), 24, seed=3)
    for file in sorted(made[0].rglob("*.*")):
        assert (tmp_path / "again" / file.relative_to(made[0])).read_bytes() == file.read_bytes(), file.name


def test_nothing_is_overwritten(made):
    with pytest.raises(UserError, match="exists already"):
        write_synthetic_dataset(made[0], facegan.load("celeba64"), shipped(), 24)


def test_the_shipped_model_knows_attributes_and_has_a_discriminator():
    model = facegan.load("celeba64")
    plain, glasses = model.sample(8), model.sample(8, attributes={"Eyeglasses": 1})
    assert plain.shape == (8, 64, 64, 3) and np.abs(plain.astype(int) - glasses).mean() > 1
    (_, scores), *_ = model.batches(8, scores=True)
    assert (scores > 0).all() and (scores < 1).all()


def test_the_shipped_models_labels_are_drawn_and_receipts_say_so():
    model = facegan.load("celeba64")
    assert len(model.label_prior.weights_K) > 20 and (model.label_prior.known_A == 1).all()
    share_A = model.label_prior.weights_K @ model.label_prior.probabilities_KA
    shares = dict(zip(ATTRIBUTE_NAMES, share_A, strict=True))
    assert 0.35 < shares["Male"] < 0.5 and shares["Bald"] < 0.06 < 0.7 < shares["No_Beard"]
    asked_A = asked_vector({"Mustache": 1})
    drawn_NA = model.label_prior.draw(0, np.arange(500), asked_A)
    assert (drawn_NA[:, ATTRIBUTE_NAMES.index("Male")] > 0).mean() > 0.9
    for labels in ("prior", "none"):
        batches, described, _ = faces_of(Path("celeba64"), [], 2, 5, labels=labels)
        assert described["labels"] == labels
        np.testing.assert_array_equal(next(batches), model.sample(2, seed=5, labels=labels))


def test_a_million_faces_and_more_have_names_that_prepare_reads(tmp_path):
    count = 1_000_001

    def faces():
        for number in (0, 8, 9, 999_999, 1_000_000):
            Image.new("RGB", (178, 218), (number % 251, 0, 99)).save(images / file_name(number, digits_of(count)))
            yield number, {"Male": 1 if number % 2 else -1}, number + 1

    images = tmp_path / IMAGES_FOLDER
    images.mkdir()
    write_annotations(tmp_path, faces(), count, people=count)
    names = sorted(file.name for file in images.iterdir())
    assert names == ["0000001.jpg", "0000009.jpg", "0000010.jpg", "1000000.jpg", "1000001.jpg"]
    assert (tmp_path / "list_eval_partition.txt").read_text().split()[1::2] == ["0", "0", "0", "2", "2"]
    labels = read_labels(find_source(tmp_path), {}, Preflight("x"))
    assert labels.identities.tolist() == [1, 9, 10, 1_000_000, 1_000_001]
    assert labels.attributes[:, ATTRIBUTE_NAMES.index("Male")].tolist() == [-1, -1, 1, 1, -1]
