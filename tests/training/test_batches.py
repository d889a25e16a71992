"""The attributes that go with the real images of a step."""

import hashlib

import numpy as np
import pytest

from facegan.attributes import ATTRIBUTE_COUNT
from facegan.config import RunConfig
from facegan.data.packed import DataView, PackedDataset
from facegan.data.writer import PackedWriter
from facegan.errors import UserError
from facegan.runs.folder import RunFolder
from facegan.training.batches import BatchSource
from facegan.training.engine import Engine
from facegan.training.labels import kept_attributes, label_faces, prepare_labels, run_labels
from tests.conftest import small_recipe


@pytest.fixture(scope="module")
def half_labelled(tmp_path_factory):
    """Twenty images, of which the first ten have attributes."""
    path = tmp_path_factory.mktemp("data") / "half"
    labels = np.where(np.arange(20 * ATTRIBUTE_COUNT).reshape(20, -1) % 3 == 0, 1, -1).astype(np.int8)
    labels[10:] = 0
    with PackedWriter(path, resolution=16, capacity=20) as writer:
        images = np.arange(20, dtype=np.uint8)[:, None, None, None] * np.ones((1, 16, 16, 3), np.uint8)
        writer.write(0, images)
        writer.finish(attributes=labels, identities=np.ones(20, np.int32))
    return DataView([PackedDataset.open(path)])


def labeller(image_NHWC):
    """Return logits that are the image's brightness."""
    return np.repeat(image_NHWC[:, 0, 0, :1].astype(np.float32) / 10, ATTRIBUTE_COUNT, axis=1)


def test_a_share_loses_all_labels_and_the_others_any_part():
    count = 4000
    kept_NA = kept_attributes(np.ones((count, ATTRIBUTE_COUNT)), 0, np.arange(count), 0.2)
    share_N = kept_NA.mean(1)
    assert set(np.unique(kept_NA)) == {0, 1}
    assert (share_N == 0).mean() == pytest.approx(0.2 + 0.8 / 41, abs=0.02)  # a drawn share near 0 keeps none either
    assert kept_NA.mean() == pytest.approx(0.8 / 2, abs=0.02)
    assert np.histogram(share_N[share_N > 0], bins=4, range=(0, 1.0001))[0].min() > 0.15 * count
    np.testing.assert_array_equal(kept_attributes(np.ones((3, 40)), 0, np.arange(5, 8), 0.2), kept_NA[5:8])
    assert (kept_attributes(np.ones((50, 40)), 0, np.arange(50), 1.0) == 0).all()


def test_what_a_training_withholds_is_what_it_always_was():
    kept_NA = kept_attributes(np.ones((512, ATTRIBUTE_COUNT)), 3, np.arange(100, 612), 0.2)
    assert kept_NA.sum() == 8667
    digest = hashlib.sha256(kept_NA.tobytes()).hexdigest()
    assert digest == "ebb49789658ae4c75090d65e91a1f42bd16afd305bd85ca3685fc111d5d83035"  # of facegan 0.1.0


def test_faces_without_labels_get_the_labellers_and_others_keep_theirs(half_labelled):
    labels_MA = label_faces(half_labelled, labeller)
    np.testing.assert_array_equal(labels_MA[:10], half_labelled.attributes(np.arange(10)))
    np.testing.assert_allclose(labels_MA[10:, 0], np.tanh(np.arange(10, 20) / 20), atol=1e-3)  # 2 sigmoid(x) - 1


def test_labels_are_kept_for_the_runs_life(tmp_path, half_labelled):
    recipe, file = small_recipe("style-s", attributes=True), tmp_path / "labels.safetensors"
    first = run_labels(file, half_labelled, recipe, labeller)
    again = run_labels(file, half_labelled, recipe, None)
    np.testing.assert_array_equal(first, again)
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(UserError, match=r"labels\.safetensors is damaged"):
        run_labels(file, half_labelled, recipe, labeller)
    assert run_labels(tmp_path / "none", half_labelled, small_recipe("style-s"), labeller) is None
    own = small_recipe("style-s", attributes=True, pseudo_labels=False)
    assert run_labels(tmp_path / "none", half_labelled, own, labeller) is None
    assert not (tmp_path / "none").exists()


def test_a_run_goes_on_with_its_own_labels_or_not_at_all(tmp_path, half_labelled):
    recipe = small_recipe("style-s", attributes=True)
    folder, forked = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "forked")
    for run in (folder, forked):
        run.create({})
    prepare_labels(folder, half_labelled, recipe, labeller, None)
    prepare_labels(folder, half_labelled, recipe, None, None)
    prepare_labels(forked, half_labelled, recipe, None, folder)  # a fork takes them over
    assert forked.labels.read_bytes() == folder.labels.read_bytes()
    assert forked.read()["labels_sha256"] == folder.read()["labels_sha256"]
    good = folder.labels.read_bytes()
    run_labels(tmp_path / "others", half_labelled, recipe, lambda faces: -labeller(faces))
    folder.labels.write_bytes((tmp_path / "others").read_bytes())
    with pytest.raises(UserError, match="is not what the run began with"):
        prepare_labels(folder, half_labelled, recipe, labeller, None)
    folder.labels.unlink()
    with pytest.raises(UserError, match="is missing"):
        prepare_labels(folder, half_labelled, recipe, labeller, None)
    folder.labels.write_bytes(good)
    folder.create({name: value for name, value in folder.read().items() if name != "labels_sha256"})  # of 0.1.0
    folder.snapshot(8).mkdir()
    prepare_labels(folder, half_labelled, recipe, None, None)
    assert folder.read()["labels_sha256"] == forked.read()["labels_sha256"]
    unfinished = RunFolder(tmp_path / "unfinished")  # a start that failed left labels of other data
    unfinished.create({})
    unfinished.labels.write_bytes((tmp_path / "others").read_bytes())
    prepare_labels(unfinished, half_labelled, recipe, labeller, None)
    assert unfinished.labels.read_bytes() == good


def test_a_batch_has_the_attributes_of_its_images(half_labelled):
    recipe = small_recipe("style-s", attributes=True, label_dropout=0.0, flip=False)
    config, engine = RunConfig(recipe=recipe, batch=8), Engine(accelerator="cpu")
    source = BatchSource(half_labelled, config, engine, engine_dtype())
    index_N = np.arange(40)
    batch = source.batch(index_N)
    place_N = np.rint((batch.image_NCHW[:, 0, 0, 0].numpy() + 1) * 127.5).astype(int)  # brightness is the place
    own_NA, found_NA = half_labelled.attributes(place_N), batch.attributes_NA.numpy()
    assert (found_NA[place_N >= 10] == 0).all()
    kept = found_NA != 0
    np.testing.assert_array_equal(found_NA[kept], own_NA[kept])
    assert 0.3 < kept[place_N < 10].mean() < 0.7
    unlabelled = BatchSource(half_labelled, RunConfig(recipe=small_recipe("dcgan")), engine, engine_dtype())
    assert unlabelled.batch(index_N).attributes_NA is None


def engine_dtype():
    import torch

    return torch.float32
