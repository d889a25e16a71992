"""Receipts: whole, stored, held together, and refused where they mean different things."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import facegan as facegan_module
from facegan.data.packed import PackedDataset
from facegan.data.prepare import prepare
from facegan.errors import UserError
from facegan.evaluation import evaluate as evaluate_module
from facegan.evaluation import reference as reference_module
from facegan.evaluation.evaluate import describe_protocol, evaluate, open_view, remarks
from facegan.evaluation.faces import faces_at
from facegan.evaluation.receipt import Receipt, Score, compare, read_receipt
from facegan.evaluation.reference import RealFeatures, drawn, reference_of, view_batches
from facegan.metrics.intervals import Estimate
from facegan.metrics.kernel import mean_of_pairs
from facegan.metrics.neighbours import neighbour_estimates
from facegan.perception.spaces import open_space
from facegan.randomness import Stream
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


def test_the_data_itself_scores_best_and_a_worse_copy_worse(data, space, tmp_path, monkeypatch):
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
    for name in ("view_batches", "mean_of_pairs"):  # no real face is looked at again
        monkeypatch.setattr(reference_module, name, None)
    assert receipt_of(data, space, darker).scores == worse.scores  # from the cache, the same


@pytest.mark.parametrize(("name", "mine", "verdict"), [
    ("frechet", 2.0, "better"), ("frechet", 4.0, "worse"), ("frechet", 3.2, "not distinguishable"),
    ("coverage", 2.0, "worse"), ("coverage", 4.0, "better"), ("coverage", 2.8, "not distinguishable"),
])  # fmt: skip
def test_what_differs_by_less_than_its_interval_is_not_told_apart(name, mine, verdict):
    one, other = (Receipt({}, {}, [Score(name, "a", Estimate.of(value, 0.1**2), None)], {}) for value in (mine, 3.0))
    assert [row.verdict for row in compare(one, other)] == [verdict]


@pytest.mark.parametrize(("freedom", "verdict"), [(19, "not distinguishable"), (math.inf, "worse")])
def test_few_replicates_tell_less_apart(freedom, verdict):
    estimates = (Estimate.of(value, 0.1**2, freedom=freedom) for value in (3.285, 3.0))
    one, other = (Receipt({}, {}, [Score("frechet", "a", estimate, None)], {}) for estimate in estimates)
    assert [row.verdict for row in compare(one, other)] == [verdict]


def test_limits_that_are_cut_off_do_not_narrow_a_comparison():
    estimate = Estimate.of(0.05, 0.1**2, most=1.0)
    assert (estimate.low, estimate.reach) == (0.0, pytest.approx(0.196, abs=1e-3))


def test_people_are_those_that_are_named(tmp_path):
    dataset = PackedDataset.open(write_packed(tmp_path / "d", 40, 16, identities=np.arange(1, 41, dtype=np.int32)))
    counts = {people: len(open_view([dataset], people)) for people in ("all", "training", "held-out")}
    assert counts == {"all": 40, "training": 36, "held-out": 4}


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


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"format_version": 2}',
        b'{"format_version": 1, "scores": [{}]}',
        b'{"format_version": 1, "model": {}, "protocol": {}, "made": {}, "scores": [{"name": "nose", "space": "a", '
        b'"floor": null, "extrapolated": null, '
        b'"estimate": {"value": 1, "standard_error": 1, "low": 0, "high": 2}}]}',
    ],
)
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
    np.savez_compressed(tmp_path / "half.npz", faces=np.zeros((COUNT, 16, 16, 3), np.uint8))
    (tmp_path / "half.npz").write_bytes((tmp_path / "half.npz").read_bytes()[:300])
    assert "no array of faces" in mistake("evaluate", tmp_path / "half.npz", data)
    assert "no feature space" in mistake("evaluate", data, data, "--space", "nose-net")
    assert "training, held-out" in mistake("evaluate", data, data, "--space", "random-net", "--people", "some")
    small = write_packed(tmp_path / "small", 8, 8)
    assert "px" in mistake("evaluate", small, data, "--space", "random-net", "--count", "2k")
    assert "--inception x.pth is for --space inception" in mistake("evaluate", data, data, "--inception", "x.pth")
    told = mistake("evaluate", data, data, "--space", "inception", "--inception", tmp_path / "nothing.pth")
    assert "no such file" in told
    (tmp_path / "other.pth").write_bytes(b"other weights")
    told = mistake("evaluate", data, data, "--space", "inception", "--inception", tmp_path / "other.pth")
    assert "not the network that FID is defined with" in told


def test_what_made_the_faces_needs_no_kind(data, space):
    view = open_view([PackedDataset.open(data)], "all")
    receipt = evaluate(view_batches(view), {"resolution": 16}, view, [space], count=COUNT)
    assert receipt.scores == receipt_of(data, space).scores


def test_one_person_has_no_floor(space, tmp_path):
    receipt = receipt_of(write_packed(tmp_path / "one", COUNT, 16, seed=3), space)
    assert {score.floor for score in receipt.scores} == {None} and "no floor" in describe_protocol(receipt)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Faces of another tool, 1,040 PNGs of 16 px, and the same in an array."""
    folder = tmp_path_factory.mktemp("other") / "made"
    folder.mkdir()
    faces = np.random.default_rng(5).integers(0, 256, (COUNT, 16, 16, 3), np.uint8)
    for number, face in enumerate(faces):
        Image.fromarray(face).save(folder / f"{number:05d}.png", compress_level=0)
    return folder, faces


def test_faces_score_the_same_from_files_a_zip_an_array_batches_and_channels_first(pictures, data, tmp_path):
    folder, faces = pictures
    zipped = Path(shutil.make_archive(str(tmp_path / "made"), "zip", folder))
    np.save(tmp_path / "faces.npy", faces)
    np.savez(tmp_path / "faces.npz", faces)
    sources = [folder, zipped, str(tmp_path / "faces.npy"), tmp_path / "faces.npz", faces, faces.transpose(0, 3, 1, 2)]
    receipts = [facegan_module.evaluate(source, data, spaces=["random-net"]) for source in sources]
    receipts += [
        facegan_module.evaluate(given, data, spaces=["random-net"])
        for given in (iter(np.array_split(faces, 7)), (face for face in faces))
    ]
    assert len({receipt.made["faces_sha256"] for receipt in receipts}) == 1
    assert all(receipt.scores == receipts[0].scores and receipt.made["copies"] == 0 for receipt in receipts)
    assert [receipt.model["kind"] for receipt in receipts] == ["files"] * 2 + ["array"] * 6
    of_a_model = replace(receipts[0], model={}, protocol=receipts[0].protocol | {"labels": "prior"})
    assert compare(receipts[0], of_a_model), "faces of another tool were told no labels: they compare with any model's"


def test_a_collapse_is_seen_and_said(pictures, data, tmp_path):
    folder, _ = pictures
    for number in range(900):
        shutil.copy(folder / "00000.png", tmp_path / f"copy{number:03d}.png")
        shutil.copy(folder / f"{number:05d}.png", tmp_path)
    good = facegan_module.evaluate(folder, data, spaces=["random-net"])
    bad = facegan_module.evaluate(tmp_path, data, spaces=["random-net"])
    assert {row.name: row.verdict for row in compare(bad, replace(good, protocol=bad.protocol))}["frechet"] == "worse"
    assert remarks(bad) == ["900 of the 1,800 faces are exact copies of others"] and not remarks(good)
    packed = prepare(tmp_path, tmp_path / "packed", resolution=16, workers=1, hold_out="none")
    assert len(packed.dataset) == 900, "prepare sets copies aside"
    again = facegan_module.evaluate(tmp_path / "packed", data, spaces=["random-net"])
    assert again.protocol["count"] == 1800 and again.made["copies"] == 900


def test_other_sizes_are_resized_and_the_receipt_says_so(pictures, data, tmp_path):
    _, faces = pictures
    for number, face in enumerate(faces):
        large = Image.fromarray(face).resize((24, 24) if number % 2 else (40, 32), Image.Resampling.BICUBIC)
        large.save(tmp_path / f"{number:05d}.png", compress_level=0)
    Image.new("RGB", (9, 9)).save(tmp_path / "black.png")
    (tmp_path / "zz.png").write_bytes(b"no picture")
    receipt = facegan_module.evaluate(tmp_path, data, spaces=["random-net"])
    assert receipt.model["resized"] == {"24x24": 520, "40x32": 520, "9x9": 1} and receipt.model["resize"] == "Lanczos"
    assert receipt.model["unreadable"]["count"] == 1 and "zz.png" in remarks(receipt)[1]
    array = facegan_module.evaluate(np.zeros((COUNT, 3, 8, 8), np.uint8), data, spaces=["random-net"])
    assert array.model["resized"] == {"8x8": COUNT} and array.made["copies"] == COUNT - 1


def test_arrays_that_hold_no_faces(data):
    for wrong in (np.zeros((COUNT, 16, 16, 3), np.float32), np.zeros((COUNT, 16, 16), np.uint8), [1, 2], ["a"]):
        with pytest.raises(UserError, match=r"give uint8 \[N, R, R, 3\]"):
            facegan_module.evaluate(wrong, data)
    with pytest.raises(UserError, match="ended before"):
        facegan_module.evaluate(iter(()), data)
    with pytest.raises(UserError, match="faces are a NoneType"):
        facegan_module.evaluate(None, data)
    with pytest.raises(UserError, match="only values of 0 and 1"):
        facegan_module.evaluate(np.ones((COUNT, 16, 16, 3), np.uint8), data)


@pytest.mark.parametrize("shape", [(0, 16, 16, 3), (5, 0, 0, 3)])
def test_arrays_without_a_face(data, shape):
    with pytest.raises(UserError, match="holds no face"):
        facegan_module.evaluate(np.zeros(shape, np.uint8), data)


def test_arrays_are_cropped_as_files_are(data, tmp_path):
    real = PackedDataset.open(data)
    faces = np.random.default_rng(0).integers(0, 255, (3, 218, 178, 3), np.uint8)
    np.save(tmp_path / "faces.npy", faces)
    folder = tmp_path / "files"
    folder.mkdir()
    for number, face in enumerate(faces):
        Image.fromarray(face).save(folder / f"{number}.png")
    array, files = (faces_at(place, 3, [real]) for place in (tmp_path / "faces.npy", folder))
    np.testing.assert_array_equal(np.concatenate(list(array.batches)), np.concatenate(list(files.batches)))
    assert array.described["cropped"] == files.described["cropped"] == {"178x218": "15,35,163,183"}


def test_of_several_arrays_the_faces_are_taken_and_two_are_not_guessed(pictures, data, tmp_path):
    _, faces = pictures
    np.savez(tmp_path / "one.npz", labels=np.arange(COUNT), faces=faces)
    whole = facegan_module.evaluate(faces, data, spaces=["random-net"]).made["faces_sha256"]
    found = facegan_module.evaluate(tmp_path / "one.npz", data, spaces=["random-net"])
    assert found.made["faces_sha256"] == whole
    np.savez(tmp_path / "two.npz", real=faces, fake=faces[::-1])
    with pytest.raises(UserError, match=r"several arrays of images \(real, fake\)"):
        facegan_module.evaluate(tmp_path / "two.npz", data)


def test_what_cannot_be_read_does_not_count(pictures, data, tmp_path):
    folder, _ = pictures
    shutil.copytree(folder, tmp_path / "made")
    (tmp_path / "made" / "00003.png").write_bytes(b"no picture")
    (tmp_path / "made" / "00005.png").write_bytes(b"nor this")
    receipt = facegan_module.evaluate(tmp_path / "made", data, spaces=["random-net"], count=1030)
    assert receipt.protocol["count"] == 1030 and receipt.model["unreadable"]["count"] == 2


def test_a_crop_of_what_is_scored_is_told(data, tmp_path):
    random = np.random.default_rng(7)
    for number in range(COUNT):
        size = (218, 178, 3) if number else (30, 20, 3)
        Image.fromarray(random.integers(0, 256, size, np.uint8)).save(tmp_path / f"{number:05d}.jpg", quality=10)
    receipt = facegan_module.evaluate(tmp_path, data, spaces=["random-net"])
    assert receipt.model["cropped"] == {"178x218": "15,35,163,183", "20x30": "0,5,20,25"}
    assert "of 178x218 only 15,35,163,183" in remarks(receipt)[0]


def test_how_protocols_differ_is_told_in_words(data, space, tmp_path):
    one = receipt_of(data, space)
    other = replace(one, protocol=one.protocol | {"spaces": {"nose-net": {"weights": "a"}}, "count": 5})
    with pytest.raises(UserError) as told:
        compare(one, other)
    assert "count: 1040 and 5" in str(told.value) and "spaces.nose-net: only in the second" in str(told.value)
    assert "{" not in str(told.value)


def test_few_pictures_may_be_meant_for_training(data, tmp_path):
    for number in range(20):
        Image.fromarray(np.full((16, 16, 3), number, np.uint8)).save(tmp_path / f"{number}.png")
    done = facegan("evaluate", tmp_path, data, "--space", "random-net")
    assert done.returncode == 2 and f"facegan prepare {tmp_path} OUT" in done.stderr


def test_of_very_many_faces_pairs_are_drawn_and_the_receipt_says_so(data, space, monkeypatch):
    whole = receipt_of(data, space, darker)
    assert "pairs" not in whole.protocol and "of these faces against" not in describe_protocol(whole)
    monkeypatch.setattr(evaluate_module, "MOST_PAIRED", 600)
    part = receipt_of(data, space, darker)
    assert part.protocol["pairs"] == {
        "generated": 600, "real": COUNT, "drawn": "Philox order, seed 0, stream pairs"
    }  # fmt: skip
    assert "600 of these faces against 1,040 real ones" in describe_protocol(part)
    with pytest.raises(UserError, match="pairs: only in the second"):
        compare(whole, part)
    values = [{score.name: score.estimate for score in receipt.scores} for receipt in (whole, part)]
    assert values[0]["frechet"] == values[1]["frechet"], "it looks at no pairs"
    features_ND = torch.cat(
        [
            space.features(darker(image_NHWC))
            for image_NHWC in view_batches(open_view([PackedDataset.open(data)], "all"))
        ]
    )
    reference = reference_of(open_view([PackedDataset.open(data)], "all"), "all", space)
    found = neighbour_estimates(drawn(features_ND, 600), reference.features_MD)
    assert all(values[1][name] == estimate for name, estimate in found.items())
    assert values[1]["kernel"].value == pytest.approx(values[0]["kernel"].value, rel=0.2)


def test_what_is_drawn_is_in_philox_order_and_the_same_for_any_number(monkeypatch):
    features_ND = torch.arange(1000.0)[:, None]
    few, more = (set(drawn(features_ND, most).flatten().tolist()) for most in (100, 300))
    order = Stream(0, "pairs").permutation(0, 1000)
    assert few == set(order[:100].tolist()) and few < more and drawn(features_ND, 1000) is features_ND
    monkeypatch.setattr(reference_module, "MOST_PAIRED_REAL", 100)
    real = RealFeatures(features_ND, np.zeros(1000, np.int32))
    assert set(real.paired.flatten().tolist()) == few and len(real.radii) == 100
    assert real.pairs == mean_of_pairs(drawn(features_ND, 100))
    assert real.gaussian.mean_D.item() == pytest.approx(499.5), "all of them"
