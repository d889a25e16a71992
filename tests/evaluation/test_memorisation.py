"""The audit of copies: an exact test, replays that are caught, and new faces that are not."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from facegan.data.packed import DataView, PackedDataset
from facegan.errors import UserError
from facegan.evaluation.audit import _Closest, audit
from facegan.evaluation.memorisation import (
    Nearest,
    judge_copies,
    nearest_training,
    pixel_features,
    tail_p_value,
    worse_ranks,
)
from facegan.perception.labeller import Labeller
from facegan.randomness import Stream
from tests.command import facegan, mistake
from tests.conftest import write_packed


def test_the_p_value_is_the_share_of_shuffles():
    draws = np.random.default_rng(0)
    count, held_out, smallest, below = 30, 20, 2, 7
    hits = 0
    for _ in range(20_000):
        values = draws.permutation(count + held_out)
        limit = np.sort(values[count:])[smallest - 1]
        hits += (values[:count] < limit).sum() >= below
    assert tail_p_value(below, count, held_out, smallest) == pytest.approx(hits / 20_000, abs=0.01)
    assert tail_p_value(0, count, held_out, smallest) == 1.0
    assert tail_p_value(count, count, 1, 1) == pytest.approx(1 / (count + 1))


def faces(number, count):
    """Smooth faces of many dimensions, no two alike."""
    coarse = Stream(number, "faces").uniform(np.arange(count), 8 * 8 * 3).reshape(count, 8, 8, 3)
    return (coarse.repeat(4, 1).repeat(4, 2) * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def training():
    return faces(0, 600)


def nearest(image_NHWC, training):
    both = pixel_features(training), pixel_features(training[:, :, ::-1])
    return {"pixels": nearest_training(pixel_features(image_NHWC), both)}


@pytest.mark.parametrize("share", [0.05, 0.2, 1.0])
def test_replays_are_caught_even_when_disguised(training, share):
    new, count = faces(1, 400), round(400 * share)
    disguised = np.roll(training[:count, :, ::-1], 1, axis=2).astype(float) * 0.8 + [20, 0, 5]
    replayed = np.concatenate([disguised.astype(np.uint8), new[count:]])
    verdict = judge_copies(nearest(replayed, training), nearest(faces(2, 300), training))
    assert verdict.copies and verdict.sentence().startswith("COPIES")
    assert verdict.suspicious == pytest.approx(share, abs=0.03)


def test_new_faces_are_not_called_copies(training):
    found = [
        judge_copies(nearest(faces(10 + number, 200), training), nearest(faces(30 + number, 150), training)).p_value
        for number in range(20)
    ]
    assert np.mean(np.array(found) < 0.01) <= 0.05


def test_few_held_out_faces_find_many_copies_and_say_from_which_share_on(training):
    unseen = nearest(faces(2, 30), training)
    for share, found in ((0.0, False), (0.5, True)):
        made = np.concatenate([training[: round(400 * share)], faces(1, 400)[round(400 * share) :]])
        verdict = judge_copies(nearest(made, training), unseen)
        assert verdict.copies is found and verdict.held_out == 30
    assert verdict.detectable == pytest.approx(1 - (0.01 / 2) ** (1 / 30)) and 0.1 < verdict.detectable < 0.2
    assert "with 30 held-out faces" in judge_copies(nearest(faces(1, 400), training), unseen).sentence()


@pytest.mark.parametrize("held_out", [20, 25, 29])
def test_copies_alone_are_found_by_the_fewest_held_out_faces(training, held_out):
    for seed in range(8):  # in some of them one held-out face is the nearest in both ratio and distance
        verdict = judge_copies(nearest(training[:200], training), nearest(faces(100 + seed, held_out), training))
        assert verdict.copies and verdict.suspicious > 0.9


def test_blurred_faces_are_near_to_many_and_no_copies(training):
    smooth = torch.nn.functional.avg_pool2d(torch.from_numpy(faces(3, 300)).permute(0, 3, 1, 2).float(), 15, 1, 7)
    blurred = smooth.permute(0, 2, 3, 1).numpy().astype(np.uint8)
    assert not judge_copies(nearest(blurred, training), nearest(faces(2, 300), training)).copies


def test_failed_faces_beside_one_odd_training_face_are_no_copies():
    draws = np.random.default_rng(0)
    training = torch.from_numpy(draws.normal(size=(600, 64))).float()
    training[0] = 6.0  # an odd one, in the direction in which the generator fails
    both = training, training + 100
    real = nearest_training(torch.from_numpy(draws.normal(size=(300, 64))).float(), both)
    failed = nearest_training(torch.from_numpy(draws.normal(5.0, 2.0, size=(400, 64))).float(), both)
    assert np.median(failed.ratio_N) < real.ratio_N.min()
    assert judge_copies({"a": failed}, {"a": real}).p_value == 1.0


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A packed dataset in which every tenth of 420 people is held out."""
    path = tmp_path_factory.mktemp("audit") / "people"
    return write_packed(path, 420, 16, identities=np.arange(1, 421, dtype=np.int32))


@pytest.mark.long
def test_the_command_tells_a_replay_from_new_faces(people, tmp_path):
    data = PackedDataset.open(people)
    training = DataView([data])
    np.save(tmp_path / "replay.npy", training.images(np.arange(200))[:, :, ::-1])
    new = PackedDataset.open(write_packed(tmp_path / "new", 200, 16, seed=8))
    caught = facegan("audit", tmp_path / "replay.npy", people, "--gallery", tmp_path / "closest.png")
    assert caught.returncode == 1 and "COPIES: about" in caught.stdout
    with Image.open(tmp_path / "closest.png") as picture:
        assert picture.width == 8 * 18 + 2 and picture.text["Title"] == "facegan sheet"
        assert picture.text["Description"].startswith("in part made by a neural network")
    limits = [line for line in caught.stdout.splitlines() if "set the limit" in line]
    assert len(limits) == len(set(limits)) == 4, "one line for each limit that 42 held-out faces tell apart"
    assert "add --force" in mistake("audit", tmp_path / "replay.npy", people, "--gallery", tmp_path / "closest.png")
    clean = facegan("audit", new.path, people, "--json")
    assert clean.returncode == 0 and json.loads(clean.stdout)["copies"] is False


def test_without_held_out_people_nothing_can_be_said(packed16, tmp_path):
    np.save(tmp_path / "faces.npy", np.zeros((10, 16, 16, 3), np.uint8))
    assert "is held out" in mistake("audit", tmp_path / "faces.npy", packed16)


def test_with_few_faces_to_train_on_nothing_can_be_said(tmp_path):
    few = write_packed(tmp_path / "few", 60, 16, identities=np.where(np.arange(60) < 20, 1, 10))
    with pytest.raises(UserError, match="20 faces to train on, and at least 21 are needed"):
        audit(iter([]), {"resolution": 16}, 200, [PackedDataset.open(few)], [], Labeller())


def test_other_data_than_the_models_is_said_and_another_resolution_refused(people, tmp_path):
    data, batches = [PackedDataset.open(people)], [np.zeros((200, 16, 16, 3), np.uint8)]
    found = audit(iter(batches), {"resolution": 16, "data": "another"}, 200, data, [], Labeller())
    assert found.other_data
    told = {"resolution": 16, "data": DataView(data).content_hash}
    assert not audit(iter(batches), told, 200, data, [], Labeller()).other_data
    more = [*data, PackedDataset.open(write_packed(tmp_path / "more", 60, 16, seed=3))]
    told = {"resolution": 16, "data": DataView(more).content_hash}
    assert not audit(iter(batches), told, 200, more[::-1], [], Labeller()).other_data, "named in another order"
    told = {"resolution": 16, "data": DataView(data).content_hash}
    with pytest.raises(UserError, match="the faces have 32 px and the data 16 px"):
        audit(iter(batches), {"resolution": 32}, 200, data, [], Labeller())
    with pytest.raises(UserError, match="199 faces are too few"):
        audit(iter(batches), told, 199, data, [], Labeller())


def test_the_closest_of_parts_are_the_closest_of_all():
    draws = np.random.default_rng(0)
    held_out = Nearest(draws.random(20), draws.random(20), np.zeros(20, np.int64))
    all_of = Nearest(draws.random(300), draws.random(300), draws.integers(0, 50, 300))
    image_NHWC = draws.integers(0, 256, (300, 2, 2, 3), dtype=np.uint8)
    closest = _Closest(held_out, 24)
    for part in np.split(np.arange(300), [7, 40, 190]):
        closest.add(image_NHWC[part], Nearest(*(values_N[part] for values_N in all_of)))
    expected = worse_ranks(all_of, held_out)[0].argsort(kind="stable")[:24]  # many share a place: the earlier ones
    np.testing.assert_array_equal(closest.image_PHWC, image_NHWC[expected])
    np.testing.assert_array_equal(closest.ratio_P, all_of.ratio_N[expected])
    np.testing.assert_array_equal(closest.index_P, all_of.index_N[expected])
