"""Face i of a seed is the same face in any company."""

import numpy as np
import pytest

import facegan
from facegan.errors import UserError
from facegan.sampling.latents import draw_latents
from facegan.sampling.sampler import INTERNAL_BATCH, Sampler
from facegan.training.schedule import Schedule
from tests.conftest import small_recipe, train


@pytest.fixture(scope="module")
def run(tmp_path_factory, packed16):
    path = tmp_path_factory.mktemp("run") / "run"
    schedule = Schedule(images=32, snapshot_every=16, score_count=0)
    train([packed16], path, small_recipe("dcgan"), batch=8, schedule=schedule, precision="float32", threads=1)
    return path


@pytest.mark.parametrize("name", ["classic-tanh", "classic-dcgan", "dcgan", "style-s"])
def test_a_face_is_the_same_in_any_batch(name):
    sampler = Sampler(facegan.build(name, resolution=16).generator.eval(), facegan.recipes.recipe(name, 16))
    everything = sampler.sample(INTERNAL_BATCH + 3, seed=1)
    for first, count in ((0, 1), (5, 4), (INTERNAL_BATCH - 1, 2)):
        part = sampler.sample(count, seed=1, first=first)
        difference = np.abs(part.astype(int) - everything[first : first + count].astype(int))
        assert difference.max() <= 2


def test_faces_of_latents_and_labels_are_those_of_their_samples(run):
    model, index_N = facegan.load(run), np.arange(5, 8)
    expected = model.sample(3, seed=2, first=5)
    np.testing.assert_array_equal(model.generate(model.latents(2, range(5, 8))), expected)
    assert model.labels(2, index_N) is None  # dcgan knows no attributes
    np.testing.assert_array_equal(
        model.generate(model.latents(2, index_N), truncation=0.5), model.sample(3, seed=2, first=5, truncation=0.5)
    )


@pytest.mark.parametrize(("call", "message"), [
    (lambda model: model.generate(), "give latents"),
    (lambda model: model.generate(np.zeros((2, 99))), r"\[2, 99\].*\[N, 100\]"),
    (lambda model: model.generate(np.zeros(100)), r"latents of shape \[100\]"),
    (lambda model: model.generate([["a"] * 100]), "latents are no array of numbers"),
    (lambda model: model.generate([[1.0], [1.0, 2.0]]), "latents are no array of numbers"),
    (lambda model: model.generate(np.zeros((1, 100), complex)), "latents are no array of numbers"),
    (lambda model: model.generate(np.full((1, 100), 1e300)), "finite"),
    (lambda model: model.generate(np.full((1, 100), np.nan)), "finite"),
    (lambda model: model.generate(np.zeros((1, 100)), truncation=-1), "truncation=-1"),
    (lambda model: model.generate(np.zeros((1, 100)), attributes=np.zeros((1, 40))), "without regard to attributes"),
    (lambda model: model.generate(styles=np.zeros((1, 100))), "dcgan has no styles"),
    (lambda model: model.styles(np.zeros((1, 100))), "dcgan has no styles"),
    (lambda model: model.latents(0, []), "numbers of samples"),
    (lambda model: model.latents(0, [[1], [1, 2]]), "numbers of samples"),
    (lambda model: model.latents(0, [-1]), "numbered from 0"),
    (lambda model: model.latents(-1, [0]), "seed=-1"),
    (lambda model: model.sample(1, attributes=np.zeros((1, 40))), "give names and values"),
    (lambda model: model.sample(1, labels=np.zeros((1, 40))), "choose prior or none"),
    (lambda model: model.batches(0), "count=0"),  # at once, and not when the first batch is made
])  # fmt: skip
def test_what_cannot_be_made_is_said_at_once(run, call, message):
    with pytest.raises(UserError, match=message):
        call(facegan.load(run))


def test_latents_are_a_function_of_seed_and_number():
    number_N = np.array([3, 10**6])
    normal = draw_latents(1, "latents", number_N, 100, "normal")
    uniform = draw_latents(1, "latents", number_N, 100, "uniform")
    np.testing.assert_array_equal(normal[1], draw_latents(1, "latents", number_N[1:], 100, "normal")[0])
    assert not np.array_equal(normal[0], normal[1])
    assert -1 < uniform.min() < -0.9 and 0.9 < uniform.max() < 1
    assert uniform.dtype == normal.dtype == np.float32


def test_a_run_and_its_snapshot_are_one_model(run):
    model = facegan.load(run)
    assert model.nimg == 32
    faces = model.sample(5, seed=2)
    assert faces.shape == (5, 16, 16, 3) and faces.dtype == np.uint8
    np.testing.assert_array_equal(facegan.load(run / "snapshots" / "nimg-000000032").sample(5, seed=2), faces)
    assert not np.array_equal(model.sample(5, seed=3), faces)
    assert not np.array_equal(facegan.load(run / "snapshots" / "nimg-000000000").sample(5, seed=2), faces)


def test_scores_are_probabilities_of_the_discriminator(run):
    model = facegan.load(run)
    (faces, scores), *rest = model.batches(7, scores=True)
    assert rest == []
    assert scores.shape == (7,) and (scores > 0).all() and (scores < 1).all()
    assert len(faces) == 7


def test_images_in_any_order_of_memory_are_scored(run):
    model = facegan.load(run)
    faces = model.sample(3)
    turned = faces[:, :, ::-1]
    faces.flags.writeable = False
    assert model.score(faces).shape == (3,)
    np.testing.assert_array_equal(model.score(turned), model.score(turned.copy()))


@pytest.mark.parametrize(("call", "message"), [
    (lambda model, faces: model.score(faces, np.zeros((3, 40))), "3 rows of attributes for 2 images"),
    (lambda model, faces: model.score(faces, np.zeros((2, 3))), r"attributes of shape \[2, 3\]"),
    (lambda model, faces: model.score(faces, np.full((2, 40), np.nan)), "finite"),
    (lambda model, faces: model.score(faces, {"Smiling": 1}), "attributes are no array"),
    (lambda model, faces: model.score(faces[:0]), r"images uint8 \[0, 16, 16, 3\]"),
    (lambda model, faces: model.score(faces / 255), "images float64"),
    (lambda model, faces: model.score(list(faces)), "images: give an array"),
    (lambda model, faces: model.score(None), "images: give an array"),
    (lambda model, faces: model.generate(styles=[[1.0], [1.0, 2.0]]), "styles are no array of numbers"),
    (lambda model, faces: model.generate(styles=np.zeros((0, model.style_layers, 16))), "styles of shape"),
    (lambda model, faces: model.generate(styles=np.zeros((1, 16)), truncation=np.ones(2)), "truncation="),
    (lambda model, faces: model.mean_styles(np.zeros((1, 40))), "without regard to attributes"),
    (lambda model, faces: model.labels(0, [0], np.zeros((1, 40))), "give names and values"),
])  # fmt: skip
def test_arrays_of_another_kind_are_refused(style_model, call, message):
    with pytest.raises(UserError, match=message):
        call(style_model, style_model.sample(2))


def test_no_truncation_left_makes_all_faces_alike(run):
    faces = facegan.load(run).sample(3, truncation=0.0)
    np.testing.assert_array_equal(faces[0], faces[2])


@pytest.mark.parametrize(("arguments", "message"), [
    ({"count": 0}, "count=0"),
    ({"count": 2.5}, "count=2.5"),
    ({"count": 1, "seed": -1}, "seed=-1"),
    ({"count": 1, "truncation": 1.5}, "truncation=1.5"),
    ({"count": 1, "attributes": {"Smiling": 1}}, "without regard to attributes"),
    ({"count": 1, "attributes": {"Smilling": 1}}, "did you mean Smiling"),
])  # fmt: skip
def test_what_cannot_be_asked_for(run, arguments, message):
    with pytest.raises(UserError, match=message):
        facegan.load(run).sample(**arguments)
