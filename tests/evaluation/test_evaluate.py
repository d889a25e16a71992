"""Receipts: whole, stored, held together, and refused where they mean different things."""

import json
from dataclasses import replace

import numpy as np
import pytest

from facegan.data.packed import PackedDataset
from facegan.errors import UserError
from facegan.evaluation.evaluate import evaluate, open_view
from facegan.evaluation.receipt import compare, read_receipt
from facegan.evaluation.reference import view_batches
from facegan.perception.spaces import open_space
from tests.command import facegan, mistake
from tests.conftest import write_packed

COUNT = 1040


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_packed(
        tmp_path_factory.mktemp("evaluate") / "real", COUNT, 16, identities=np.arange(COUNT, dtype=np.int32) // 2 + 1
    )


@pytest.fixture(scope="module")
def space():
    return open_space("random-net")


def receipt_of(data, space, change=lambda image_NHWC: image_NHWC, **options):
    view = open_view([PackedDataset.open(data)], "all")
    batches = (change(image_NHWC) for image_NHWC in view_batches(view))
    described = {"kind": "test", "resolution": 16}
    return evaluate(batches, described, view, [space], count=COUNT, **options)


def darker(image_NHWC):
    return (image_NHWC * 0.6).astype(np.uint8)


def test_the_data_itself_scores_best_and_a_worse_copy_worse(data, space, tmp_path):
    same, worse = receipt_of(data, space), receipt_of(data, space, darker)
    scores = {score.name: score for score in same.scores}
    assert scores["frechet"].estimate.value == pytest.approx(0, abs=1e-3)
    assert scores["coverage"].estimate.value == 1.0 and scores["precision"].estimate.value == 1.0
    assert all(score.floor is not None for score in same.scores)
    assert scores["frechet"].floor.value > scores["frechet"].estimate.value
    verdicts = {row.name: row.verdict for row in compare(worse, same)}
    assert verdicts["frechet"] == verdicts["kernel"] == verdicts["coverage"] == "worse"
    assert {row.verdict for row in compare(same, same)} == {"not distinguishable"}
    worse.save(tmp_path / "a.json")
    assert read_receipt(tmp_path / "a.json") == worse
    assert receipt_of(data, space, darker).scores == worse.scores  # from the cache, the same


def test_unlike_protocols_are_refused_and_the_field_is_named(data, space, tmp_path):
    receipt = receipt_of(data, space)
    document = json.loads(json.dumps(receipt.to_dict()))
    document["protocol"]["spaces"]["random-net"]["resize"] = "tensorflow1"
    (tmp_path / "other.json").write_text(json.dumps(document))
    with pytest.raises(UserError, match=r"spaces\.random-net\.resize: clean and tensorflow1"):
        compare(receipt, read_receipt(tmp_path / "other.json"))


def test_labels_are_part_of_the_protocol_of_models_that_take_them(data, space):
    receipt = receipt_of(data, space)
    assert receipt.protocol["labels"] == "none"
    drawn = replace(receipt, protocol=receipt.protocol | {"labels": "prior"})
    with pytest.raises(UserError, match="labels: none and prior"):
        compare(receipt, drawn)
    without = replace(receipt, model=receipt.model | {"attributes": False})
    assert {row.verdict for row in compare(without, drawn)} == {"not distinguishable"}


@pytest.mark.parametrize("content", [b"", b"[]", b'{"format_version": 2}', b'{"format_version": 1, "scores": [{}]}'])
def test_what_is_no_receipt_is_refused(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.json is no receipt"):
        read_receipt(tmp_path / "a.json")


def test_too_few_faces_are_refused_with_the_reason(data, tmp_path):
    np.save(tmp_path / "few.npy", np.zeros((500, 16, 16, 3), np.uint8))
    told = mistake("evaluate", tmp_path / "few.npy", data, "--space", "random-net")
    assert "500 generated faces are too few" in told and "at least 1,000" in told


def test_the_command_scores_arrays_and_datasets(data, tmp_path):
    view = open_view([PackedDataset.open(data)], "all")
    np.save(tmp_path / "dark.npy", darker(np.concatenate(list(view_batches(view)))))
    out = tmp_path / "receipt.json"
    done = facegan("evaluate", tmp_path / "dark.npy", data, "--space", "random-net", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "random-net" in done.stdout and "frechet" in done.stdout
    again = facegan("evaluate", data, data, "--space", "random-net", "--json")
    assert json.loads(again.stdout)["model"]["kind"] == "dataset"
    (tmp_path / "same.json").write_text(again.stdout)
    compared = facegan("compare", out, tmp_path / "same.json")
    assert compared.returncode == 0 and "worse" in compared.stdout


def test_mistakes(data, tmp_path):
    (tmp_path / "huge.npy").write_bytes(b"\x93NUMPY\x03\x00\xff\xff\xff\xff{")
    assert "no array of faces" in mistake("evaluate", tmp_path / "huge.npy", data)
    assert "no feature space" in mistake("evaluate", data, data, "--space", "nose-net")
    assert "training, held-out" in mistake("evaluate", data, data, "--space", "random-net", "--people", "some")
    small = write_packed(tmp_path / "small", 8, 8)
    assert "px" in mistake("evaluate", small, data, "--space", "random-net", "--count", "2k")
    told = mistake("evaluate", data, data, "--space", "inception", "--inception", tmp_path / "nothing.pth")
    assert "no such file" in told
    (tmp_path / "other.pth").write_bytes(b"other weights")
    told = mistake("evaluate", data, data, "--space", "inception", "--inception", tmp_path / "other.pth")
    assert "not the network that FID is defined with" in told


def test_one_person_has_no_floor(space, tmp_path):
    receipt = receipt_of(write_packed(tmp_path / "one", COUNT, 16, seed=3), space)
    assert {score.floor for score in receipt.scores} == {None}
