"""Attributes and truncation of a style generator."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import torch

import facegan
from facegan.errors import UserError
from facegan.randomness import Stream
from facegan.sampling.conditioning import LabelSampler, amplification, kept_mask
from facegan.sampling.label_prior import LabelPrior
from facegan.sampling.latents import draw_latents
from facegan.training.schedule import Schedule
from tests.conftest import small_recipe, train

SMILING, YOUNG = 31, 39


def labeller(image_NHWC):
    """Return logits that go with the image's brightness, some of them against it."""
    bright_N1 = image_NHWC.mean((1, 2, 3))[:, None] - 127
    return np.where(np.arange(40) % 2 == 0, 0.4, -0.4) * bright_N1 + 0.3


@pytest.fixture(scope="module")
def run(tmp_path_factory, packed16):
    path = tmp_path_factory.mktemp("run") / "run"
    train(
        [packed16], path, small_recipe("style-s", attributes=True), batch=8,
        schedule=Schedule(images=16, score_count=0),
        precision="float32", threads=1, conv="direct", labeller=labeller,
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def model(run):
    return facegan.load(run)


@pytest.fixture
def old(tmp_path, run):
    """A snapshot as 0.1.0 wrote it."""
    path = tmp_path / "old"
    shutil.copytree(facegan.load(run).info.path, path)
    (path / "label_prior.safetensors").unlink()
    description = json.loads((path / "snapshot.json").read_text())
    del description["sha256"]["label_prior.safetensors"]
    (path / "snapshot.json").write_text(json.dumps(description))
    return path


def asking(**values):
    asked_A = np.full(40, np.nan, np.float32)
    for name, value in values.items():
        asked_A[{"smiling": SMILING, "young": YOUNG}[name]] = value
    return asked_A


def flat_prior():
    theta_KA = np.full((1, 40), 0.5, np.float32)
    return LabelPrior(np.ones(1, np.float32), theta_KA, np.ones(40, np.float32))


# Labels of faces.


def test_labels_are_withheld_as_in_training_where_nothing_is_asked():
    number_N, labels = np.arange(4000), LabelSampler(flat_prior(), asking(young=0), dropout=0.2)
    said_NA = labels.draw(7, number_N)
    assert said_NA.dtype == np.float32 and (said_NA[:, YOUNG] == 0).all()
    others_NA = np.delete(said_NA, YOUNG, axis=1)
    share_N = (others_NA != 0).mean(1)
    assert (share_N == 0).mean() == pytest.approx(0.2 + 0.8 / 40, abs=0.02)
    assert share_N.mean() == pytest.approx(0.8 / 2, abs=0.02)
    assert np.histogram(share_N[share_N > 0], bins=4, range=(0, 1.0001))[0].min() > 0.15 * 4000
    assert set(np.unique(others_NA)) == {-1, 0, 1}
    np.testing.assert_array_equal(labels.draw(7, np.arange(90, 95)), said_NA[90:95])
    np.testing.assert_array_equal(said_NA[:, 0] != 0, kept_mask(Stream(7, "labels/withheld"), number_N, 0.2)[:, 0])


def test_what_is_asked_is_said_of_every_face_and_nothing_else_is_withheld():
    said_NA = LabelSampler(flat_prior(), asking(smiling=0.5, young=0), dropout=0.2).draw(7, np.arange(200))
    assert (said_NA[:, SMILING] == 0.5).all() and (said_NA[:, YOUNG] == 0).all()
    assert set(np.unique(np.delete(said_NA, [SMILING, YOUNG], axis=1))) == {-1, 1}


def test_without_a_prior_the_rest_is_zero():
    labels = LabelSampler(None, asking(smiling=0.5))
    said_NA = labels.draw(0, np.arange(3))
    assert (np.delete(said_NA, SMILING, axis=1) == 0).all() and (said_NA[:, SMILING] == 0.5).all()
    np.testing.assert_array_equal(labels.amplified(said_NA), 2 * said_NA)
    assert LabelSampler().draw(0, np.arange(3)) is None
    assert LabelSampler(None, asking(smiling=0)).draw(0, np.arange(3)) is None


def test_what_is_asked_for_is_amplified_and_nothing_else():
    drawn = LabelSampler(flat_prior(), asking(smiling=0.5, young=0))
    said_NA = drawn.draw(0, np.arange(30))
    amplified_NA = drawn.amplified(said_NA)
    np.testing.assert_array_equal(amplified_NA[:, SMILING], 1)
    np.testing.assert_array_equal(amplified_NA[:, YOUNG], 0)
    np.testing.assert_array_equal(np.delete(amplified_NA, SMILING, axis=1), np.delete(said_NA, SMILING, axis=1))
    nothing_asked = LabelSampler(flat_prior())
    np.testing.assert_array_equal(nothing_asked.amplified(said_NA), said_NA)
    # Together they have the norm of a face's 40 labels; none grows more than twofold.
    asked_A = np.where(np.arange(40) % 3 == 0, 1, -1).astype(np.float32)
    assert amplification(asked_A) == pytest.approx(1)
    assert amplification(np.where(np.arange(40) < 20, asked_A, np.nan)) == pytest.approx(2**0.5)
    assert amplification(asking(smiling=1)) == amplification(asking(smiling=0)) == 2


# Faces.


def test_a_run_draws_its_faces_labels_and_they_change_the_faces(run, model):
    assert (run / "label-prior.safetensors").is_file()
    assert model.label_prior is not None
    faces, silent = model.sample(70), model.sample(70, labels="none")
    same = (faces == silent).all((1, 2, 3))
    assert 0.1 < same.mean() < 0.4  # of a fifth and some nothing is said
    np.testing.assert_array_equal(facegan.load(run / "snapshots" / "nimg-000000016").sample(70), faces)
    part = model.sample(3, first=66)
    assert np.abs(part.astype(int) - faces[66:69].astype(int)).max() <= 2
    labels_NA = LabelSampler(model.label_prior, None, model.recipe.label_dropout).draw(0, np.arange(70))
    latent_NZ = draw_latents(0, "latents", np.arange(70), 16, "normal")
    with torch.inference_mode():
        expected = model.generator(torch.from_numpy(latent_NZ), torch.from_numpy(labels_NA))
    assert np.abs((expected.numpy().transpose(0, 2, 3, 1) + 1) * 127.5 - faces).max() <= 1.01


def test_attributes_change_faces_and_zero_withholds(model):
    plain = model.sample(4, labels="none")
    np.testing.assert_array_equal(model.sample(4, attributes={"Smiling": 0}, labels="none"), plain)
    for labels in ("prior", "none"):
        plain = model.sample(4, labels=labels)
        assert not np.array_equal(model.sample(4, attributes={"Smiling": 1}, labels=labels), plain)
    every = dict.fromkeys(facegan.attributes.ATTRIBUTE_NAMES, 0.0)
    np.testing.assert_array_equal(model.sample(4, attributes=every), model.sample(4, labels="none"))
    one, other = (next(model.batches(4, attributes={"Smiling": sign}, scores=True))[1] for sign in (-1, 1))
    assert not np.array_equal(one, other)
    with pytest.raises(UserError, match="prior or none"):
        model.sample(1, labels="some")


def test_scores_are_of_a_face_with_its_labels(model):
    ((faces, scores),) = model.batches(8, scores=True)
    labels_NA = LabelSampler(model.label_prior, None, model.recipe.label_dropout).draw(0, np.arange(8))
    image_NCHW = torch.from_numpy(faces).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        expected = model.discriminator(image_NCHW, attributes_NA=torch.from_numpy(labels_NA)).sigmoid()
        silent = model.discriminator(image_NCHW).sigmoid()
    np.testing.assert_allclose(scores, expected, atol=0.01)
    assert np.abs(scores - silent.numpy()).max() > 0.02


def test_a_snapshot_without_a_prior_samples_as_before(old, model):
    before = facegan.load(old)
    assert before.label_prior is None
    np.testing.assert_array_equal(before.sample(6), model.sample(6, labels="none"))
    latent_NZ = torch.from_numpy(draw_latents(0, "latents", np.arange(6), 16, "normal"))
    with torch.inference_mode():
        expected = before.generator(latent_NZ).numpy().transpose(0, 2, 3, 1)
    assert np.abs((expected + 1) * 127.5 - before.sample(6)).max() <= 1.01


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "swap", "large"])
def test_a_damaged_prior_is_refused(tmp_path, run, damage):
    path = tmp_path / "snapshot"
    shutil.copytree(run / "snapshots" / "nimg-000000016", path)
    file = path / "label_prior.safetensors"
    content = bytearray(file.read_bytes())
    match damage:
        case "flip":
            content[-1] ^= 1
            file.write_bytes(content)
        case "cut":
            file.write_bytes(content[:-8])
        case "remove":
            file.unlink()
        case "swap":  # whole, and something else
            shutil.copy(path / "ema.safetensors", file)
            description = json.loads((path / "snapshot.json").read_text())
            description["sha256"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
            (path / "snapshot.json").write_text(json.dumps(description))
        case "large":
            file.write_bytes(bytes(1 << 20))
    with pytest.raises(UserError, match=r"label_prior\.safetensors"):
        facegan.load(path)


# Truncation.


@pytest.mark.parametrize(("attributes", "labels"), [
    ({"Smiling": 1}, "prior"), (None, "prior"), ({"Smiling": 1}, "none"), (None, "none"),
])  # fmt: skip
def test_truncation_moves_styles_towards_the_mean_of_faces_with_the_same_labels(model, attributes, labels):
    latent_NZ, label_NA = model.latents(5, range(3)), model.labels(5, range(3), attributes, labels=labels)
    if label_NA is None:
        label_NA = np.zeros((3, 40), np.float32)
    half_MZ = torch.from_numpy(draw_latents(0, "mean-style", np.arange(32), 16, "normal"))
    mean_latent_MZ = torch.cat([half_MZ, -half_MZ])
    with torch.inference_mode():
        mapping = model.generator.mapping
        given_NA = torch.from_numpy(label_NA)
        means = [mapping(mean_latent_MZ, row_A.expand(64, -1)).mean(0) for row_A in given_NA]
        style_NW, mean_NW = mapping(torch.from_numpy(latent_NZ), given_NA), torch.stack(means)
        expected = model.generator.synthesize(mean_NW + 0.3 * (style_NW - mean_NW)).numpy().transpose(0, 2, 3, 1)
    found = model.sample(3, seed=5, attributes=attributes, labels=labels, truncation=0.3)
    assert np.abs((expected + 1) * 127.5 - found).max() <= 1.01
    np.testing.assert_allclose(model.mean_styles(label_NA), mean_NW, atol=1e-5)
    np.testing.assert_allclose(model.styles(latent_NZ, label_NA, truncation=0), mean_NW, atol=1e-5)


def test_no_truncation_left_makes_faces_with_the_same_labels_alike(model):
    silent = model.sample(3, labels="none", truncation=0.0)
    np.testing.assert_array_equal(silent[0], silent[2])
    varied = model.sample(3, truncation=0.0)
    assert not (varied == silent).all() and not (varied[0] == varied[2]).all()


def test_mean_styles_of_many_labels_are_those_of_each(model):
    label_NA = np.repeat(model.labels(0, range(70)), 2, axis=0)
    mean_NW = model.mean_styles(label_NA)
    assert mean_NW.shape == (140, 16)
    np.testing.assert_array_equal(mean_NW[::2], mean_NW[1::2])
    np.testing.assert_allclose(mean_NW[[138]], model.mean_styles(label_NA[[138]]), atol=1e-6)
    np.testing.assert_allclose(model.mean_styles(), model.mean_styles(np.zeros((1, 40))), atol=1e-6)
    draws_NZ = model.latents(8, range(4000))
    far = np.abs(model.styles(draws_NZ).mean(0) - model.mean_styles()[0]).mean() / model.styles(draws_NZ).std(0).mean()
    assert far < 0.1  # a mean over 32 pairs of latents is near the mean of thousands
    for wrong in (5, np.zeros(40), np.zeros((2, 39)), np.full((1, 40), np.nan), np.zeros((0, 40))):
        with pytest.raises(UserError, match="labels"):
            model.mean_styles(wrong)


def test_latents_styles_and_samples_make_the_same_faces(model):
    index_N = np.arange(60, 70)
    for attributes in (None, {"Smiling": 1, "Young": 0}):
        latent_NZ, label_NA = model.latents(3, index_N), model.labels(3, index_N, attributes)
        expected = model.sample(10, seed=3, first=60, attributes=attributes)
        np.testing.assert_array_equal(model.generate(latent_NZ, attributes=label_NA), expected)
        style_NW = model.styles(latent_NZ, label_NA)
        assert style_NW.shape == (10, 16) and style_NW.dtype == np.float32
        np.testing.assert_array_equal(model.generate(styles=style_NW), expected)
        silent = model.sample(10, seed=3, first=60, attributes=attributes, labels="none", truncation=0.7)
        np.testing.assert_array_equal(model.generate(latent_NZ, attributes=attributes, truncation=0.7), silent)
    with pytest.raises(UserError, match="part of styles"):
        model.generate(styles=style_NW, truncation=0.5)
    with pytest.raises(UserError, match="3 rows of attributes for 10 latents"):
        model.generate(latent_NZ, attributes=label_NA[:3])


def test_mean_styles_are_computed_once_a_label_and_only_where_they_are_needed(model, monkeypatch):
    fresh, counts = facegan.load(model.info.path), []
    mean = fresh.network.mapping.mean_style
    monkeypatch.setattr(fresh.network.mapping, "mean_style", lambda z, a: counts.append(len(a)) or mean(z, a))
    fresh.sample(4)
    fresh.sample(4, labels="none", truncation=0.7)
    fresh.generate(fresh.latents(0, range(3)), attributes={"Smiling": 1}, truncation=0.7)
    assert counts == [1, 1]
