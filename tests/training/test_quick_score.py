"""The quick score: what it is, what it sees, and which scores are never held against each other."""

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save

import facegan
from facegan import api
from facegan.config import RunConfig
from facegan.data.packed import DataView, PackedDataset
from facegan.errors import UserError
from facegan.perception.labeller import shipped
from facegan.runs.folder import RunFolder
from facegan.runs.overview import overview, reclaimable
from facegan.runs.retention import best_of, kept, scores
from facegan.training import quick_score as module
from facegan.training.quick_score import (
    COMPONENTS,
    QuickReference,
    quick_score,
    reference_of,
    score_faces,
    score_images,
)
from facegan.training.schedule import Schedule
from tests.conftest import small_recipe, train, write_packed

COUNT = 160


@pytest.fixture(scope="module")
def faces():
    """Twice as many faces of the shipped model as are scored: of no real person."""
    return facegan.load("celeba64").sample(2 * COUNT, seed=3)


@pytest.fixture(scope="module")
def reference(faces):
    return QuickReference.of(View(faces[COUNT:]))


class View:
    """Images as a dataset shows them."""

    content_hash = "ab" * 32

    def __init__(self, image_NHWC):
        self._images = image_NHWC

    def __len__(self):
        return len(self._images)

    def images(self, index_N):
        return self._images[index_N]


@pytest.fixture(scope="module")
def features(faces):
    return shipped().features(faces).double().numpy()


def score(image_NHWC, reference):
    return score_images(iter(np.array_split(image_NHWC, 3)), reference)


def test_the_reference_has_the_moments_of_the_data(features, reference):
    own_ND = features[COUNT:]
    on_NK = own_ND @ reference.components_DK
    assert np.allclose(on_NK.mean(0), reference.mean_K) and np.allclose(
        np.cov(on_NK.T, ddof=0), reference.covariance_KK, atol=1e-9
    )
    # No 64 directions hold more of the variance.
    values = np.linalg.eigvalsh(np.cov(own_ND.T, ddof=0))
    assert np.isclose(np.trace(reference.covariance_KK), values[-COMPONENTS:].sum())


def test_the_score_is_the_frechet_distance(faces, features, reference):
    same = score(faces[COUNT:], reference)
    assert same == pytest.approx(0, abs=1e-3)  # but for N - 1 in place of N
    # Of one face repeated, the covariance is 0 and the trace of the data's own remains.
    one = score(faces[:1].repeat(20, 0), reference)
    apart_K = features[0] @ reference.components_DK - reference.mean_K
    assert one == pytest.approx((apart_K**2).sum() + np.trace(reference.covariance_KK), rel=1e-4)


def blurred(image_NHWC, radius):
    pixels = torch.from_numpy(image_NHWC).permute(0, 3, 1, 2).float()
    means = torch.nn.functional.avg_pool2d(pixels, 2 * radius + 1, 1, radius, count_include_pad=False)
    return means.permute(0, 2, 3, 1).round().to(torch.uint8).numpy()


def noisy(image_NHWC, size):
    noise = np.random.default_rng(0).normal(0, size, image_NHWC.shape)
    return np.clip(image_NHWC + noise, 0, 255).round().astype(np.uint8)


@pytest.mark.parametrize("change", [
    lambda faces, step: blurred(faces, step),
    lambda faces, step: noisy(faces, 12 * step),
    lambda faces, step: faces[np.arange(COUNT) % (COUNT >> 2 * step)],  # 40, then 10 of the faces again and again
], ids=["blur", "noise", "repeats"])  # fmt: skip
def test_worse_faces_score_higher(faces, reference, change):
    plain = score(faces[:COUNT], reference)
    little, much = (score(change(faces[:COUNT], step), reference) for step in (1, 2))
    assert 1.1 * plain < little < much / 1.1


def test_a_dropped_mode_scores_higher(faces, reference):
    male_N = shipped().logits(faces[:COUNT])[:, facegan.attributes.attribute_index("Male")] > 0
    assert 20 < male_N.sum() < COUNT - 20
    without = faces[:COUNT][np.resize(np.flatnonzero(~male_N), COUNT)]
    again = faces[:COUNT][np.arange(COUNT) % (~male_N).sum()]  # as many, of both
    assert score(without, reference) > 1.2 * score(again, reference)


def test_a_run_is_scored_by_faces_that_stay_the_same(reference):
    recipe = small_recipe("dcgan")
    generator = api.build("dcgan", resolution=16).generator.eval()
    one, again, other = (
        quick_score(generator, RunConfig(recipe=recipe, seed=seed), reference, 70) for seed in (0, 0, 1)
    )
    assert one == again != other
    parts = list(score_faces(generator, RunConfig(recipe=recipe), 70))
    assert [part.shape for part in parts] == [(64, 16, 16, 3), (6, 16, 16, 3)]


def test_a_reference_is_kept_and_tied_to_its_data_and_network(tmp_path, packed16, monkeypatch):
    view, file, said = DataView([PackedDataset.open(packed16)]), tmp_path / "reference.safetensors", []
    made = reference_of(file, view, said.append)
    assert said == [50]
    found = reference_of(file, view, said.append)
    assert said == [50] and np.array_equal(found.components_DK, made.components_DK)
    assert np.array_equal(found.mean_K, made.mean_K) and np.array_equal(found.covariance_KK, made.covariance_KK)
    other = DataView([PackedDataset.open(write_packed(tmp_path / "other", 20, 16, seed=1))])
    assert reference_of(file, other, said.append).data == other.content_hash and said == [50, 20]
    good = file.read_bytes()
    arrays = load(good)
    strange = save(arrays | {"mean_K": np.full(COMPONENTS, np.nan)})
    for content in (b"", good[:-8], b"\xff" * 100, strange, save(arrays | {"network": np.zeros(64, np.uint8)})):
        file.write_bytes(content)
        assert QuickReference.load(file, other.content_hash) is None
    file.write_bytes(good)
    assert QuickReference.load(file, other.content_hash) is not None
    monkeypatch.setattr(module, "shipped", lambda: type("Newer", (), {"sha256": "00" * 32}))
    assert QuickReference.load(file, other.content_hash) is None
    with pytest.raises(UserError, match="cannot be written"):
        monkeypatch.undo()
        reference_of(file / "beneath-a-file", view)


def test_which_snapshots_stay():
    nimgs, known = [0, 10, 20, 30, 40, 50], {10: 5.0, 20: 3.0, 30: 3.0, 50: 4.0}
    assert best_of(nimgs, known) == 30  # the later of equals
    assert (best_of(nimgs, {}), best_of([], {})) == (50, None)
    assert kept(nimgs, known, newest=1) == {50, 30}
    assert kept(nimgs, {}, newest=2) == {40, 50}
    assert kept(nimgs, {}, newest=1, every=25) == {0, 30, 50}
    assert kept([], {}, newest=3) == set()


# Runs.


class Events:
    def __init__(self):
        self.seen = []

    def event(self, kind, **fields):
        self.seen.append((kind, fields))

    def progress(self, *_):
        pass


def run(data, folder, images, score_count):
    events = Events()
    schedule = Schedule(images=images, log_every=8, sample_every=48, snapshot_every=8, keep=9, score_count=score_count)
    train([data], folder, small_recipe("dcgan"), batch=8, schedule=schedule, precision="float32", threads=1,
          conv="direct", listener=events)  # fmt: skip
    return [fields for kind, fields in events.seen if kind == "reference"]


def state_of(folder, nimg, **changes):
    """Return a snapshot's state, after ``changes``."""
    file = RunFolder(folder).snapshot(nimg) / "snapshot.json"
    contents = json.loads(file.read_text())
    contents["state"] |= changes
    file.write_text(json.dumps(contents))
    return contents["state"]


def lines_of(folder):
    return [json.loads(line) for line in RunFolder(folder).log.read_text().splitlines()]


def test_a_run_of_version_1_goes_on_with_new_scores_only(tmp_path, packed16):
    folder = tmp_path / "run"
    assert run(packed16, folder, 24, 0) == []  # a run without scores, made into one of version 0.1.0
    assert not RunFolder(folder).quick_reference.exists()
    for nimg in (0, 8, 16, 24):
        state_of(folder, nimg, score=1e-6 * (1 + nimg))
    old = [json.dumps({"nimg": line["nimg"], "score": 1e-6}) for line in lines_of(folder) if "D_loss" in line]
    RunFolder(folder).log.write_text(RunFolder(folder).log.read_text() + old[-1] + "\n")
    (folder / "score-reference.safetensors").write_bytes(b"old")
    assert scores(RunFolder(folder)) == {}
    before = overview(RunFolder(folder))
    assert (before.quick_score, before.best) == (None, "nimg-000000024")

    assert run(packed16, folder, 72, 4) == [{"faces": 50}]
    assert run(packed16, folder, 80, 4) == []  # the reference is kept
    assert sorted(scores(RunFolder(folder))) == [32, 40, 48, 56, 64, 72, 80]
    for nimg in (32, 80):
        state = state_of(folder, nimg)
        assert "score" not in state and state["quick_score_faces"] == 4
    logged = {line["nimg"]: line["quick_score"] for line in lines_of(folder) if "quick_score" in line}
    assert logged == pytest.approx(scores(RunFolder(folder)), rel=1e-5)
    after = overview(RunFolder(folder))
    assert after.quick_score == min(scores(RunFolder(folder)).values()) and int(after.best[5:]) >= 32
    assert not (folder / "incidents.jsonl").exists()  # 1e-6 was no best that it rose from
    assert (folder / "score-reference.safetensors").read_bytes() == b"old"


def test_scores_of_another_count_or_network_are_others(tmp_path, packed16):
    folder = tmp_path / "run"
    run(packed16, folder, 16, 4)
    run(packed16, folder, 32, 6)
    assert sorted(scores(RunFolder(folder))) == [24, 32]
    state_of(folder, 24, quick_score_network="of an older facegan", quick_score=0.0)
    assert sorted(scores(RunFolder(folder))) == [32]
    run(packed16, folder, 40, 0)
    assert not [name for name in state_of(folder, 40) if "score" in name]  # no snapshot has another's score
    doomed = {item.path.name for item in reclaimable(RunFolder(folder))}
    assert doomed == {f"nimg-{nimg:09d}" for nimg in (0, 8, 16, 24)}


def test_one_face_is_no_set_of_faces(tmp_path, packed16):
    for count in (1, -5):
        with pytest.raises(UserError, match="--score-faces"):
            run(packed16, tmp_path / "run", 8, count)
