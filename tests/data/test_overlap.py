"""The same pictures in two datasets: held out in one and trained on in the other, or counted double."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from facegan.data import overlap
from facegan.data.overlap import refuse_trained_on, shared_rows
from facegan.data.packed import DataView, PackedDataset
from facegan.data.prepare import prepare
from facegan.errors import UserError
from facegan.evaluation.faces import real_faces


def packed(celeba, out, **options):
    return prepare(celeba, out, resolution=16, workers=1, **options).dataset


def parts(celeba, tmp_path, *, first="identities"):
    """Pack images 1 to 30, held out by identities, and 21 to 48, of which none is held out; 10 are in both."""
    for name, numbers in (("a", range(1, 31)), ("b", range(21, 49))):
        (tmp_path / name).mkdir()
        for number in numbers:
            shutil.copy(celeba / "img_align_celeba" / f"{number:06d}.jpg", tmp_path / name)
    people = np.where(np.arange(1, 31) % 5 == 0, 10, 1)  # numbers 25 and 30 of those in both
    table = "".join(f"{number:06d}.jpg {person}\n" for number, person in enumerate(people, 1))
    (tmp_path / "people.txt").write_text(table)
    one = packed(tmp_path / "a", tmp_path / "one", identities=tmp_path / "people.txt", hold_out=first)
    other = packed(tmp_path / "b", tmp_path / "other", hold_out="none")
    return one, other


def test_held_out_pictures_are_never_trained_on_from_another_dataset(celeba, tmp_path):
    one, other = parts(celeba, tmp_path)
    training, held_out, everybody = (DataView([one, other], held_out=which) for which in (False, True, None))
    (told,) = training.warnings
    assert "share 10 pictures, such as 000021.jpg: 8 count double, and 2 that only one of them holds out" in told
    assert (len(training), len(held_out), len(everybody)) == (30 - 6 + 28 - 2, 6, 58)
    _, row_M = training.places(1)
    names = {other.files[row] for row in row_M}
    assert {"000025.jpg", "000030.jpg"} == set(other.files) - names
    reversed_names = {other.files[row] for row in DataView([other, one]).places(0)[1]}
    assert reversed_names == names, "whichever comes first"
    pixels = {image.tobytes() for image in held_out.images(np.arange(6))}
    assert not pixels & {image.tobytes() for image in training.images(np.arange(len(training)))}


def test_a_run_that_left_them_out_is_measured_by_them(celeba, tmp_path):
    one, other = parts(celeba, tmp_path)
    refuse_trained_on([one], [other, one])
    with pytest.raises(UserError, match=r"2 of the pictures that .*one holds out, such as 000025\.jpg"):
        refuse_trained_on([one], [other])


def test_what_is_shared_is_looked_for_once(celeba, tmp_path, monkeypatch):
    one, other = parts(celeba, tmp_path, first="none")
    rows = shared_rows(one, other)
    assert rows.tolist() == [[20 + number, number] for number in range(10)]
    monkeypatch.setattr(overlap, "_found_rows", None)
    assert shared_rows(one, other).tolist() == rows.tolist()


def test_most_pictures_in_both_are_refused(celeba, tmp_path):
    one = packed(celeba, tmp_path / "one", hold_out="identities")
    other = packed(celeba, tmp_path / "other", hold_out="none")
    for held_out in (False, True):
        with pytest.raises(UserError, match=r"share 48 pictures, such as 000001\.jpg: they would count double"):
            DataView([one, other], held_out=held_out)


def test_a_copy_under_another_name_counts_double(celeba, tmp_path):
    one = packed(celeba, tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "copy")
    with pytest.raises(UserError, match=r"share 48 pictures, such as 000001\.jpg: they would count double"):
        DataView([one, PackedDataset.open(tmp_path / "copy")])


def test_unlike_datasets_that_share_a_line_of_pixels_or_a_few_pictures_are_one_view(celeba, tmp_path):
    one = packed(celeba, tmp_path / "one", limit=30)
    few = tmp_path / "few"
    few.mkdir()
    for number in range(25, 48):
        shutil.copy(celeba / "img_align_celeba" / f"{number:06d}.jpg", few)
    other = packed(few, tmp_path / "other", hold_out="none")
    shared = [number for number in range(25, 31) if one.held_out()[number - 1]]
    for number, name in enumerate(other.files):  # the same pictures in part, and names that differ
        other.files[number] = f"other-{name}"
    assert not shared and len(DataView([one, other])) == 30 - one.held_out().sum() + 23
    line = PackedDataset.open(tmp_path / "other")
    line.images = np.array(line.images)
    line.images[:, : line.resolution // 2] ^= 255
    copy = PackedDataset.open(tmp_path / "other")
    copy.path, line.__dict__["files"] = tmp_path / "third", [f"line-{name}" for name in copy.files]
    assert len(DataView([line, copy])) == 46


def saved_again(celeba, folder, name="{}"):
    folder.mkdir()
    for file in sorted((celeba / "img_align_celeba").iterdir()):
        with Image.open(file) as image:
            image.save(folder / name.format(file.name), quality=60)
    return folder


def test_pictures_saved_again_are_known_by_their_names(celeba, tmp_path):
    one = packed(celeba, tmp_path / "one")
    again = packed(saved_again(celeba, tmp_path / "again"), tmp_path / "other", hold_out="none")
    assert not any(np.array_equal(*pair) for pair in zip(one.images, again.images, strict=True))
    with pytest.raises(UserError, match="share 48 pictures, such as"):
        DataView([one, again])
    flipped = tmp_path / "flipped"
    flipped.mkdir()
    for file in sorted((tmp_path / "again").iterdir()):  # other pictures with the same names
        shutil.copy(file, flipped / f"{49 - int(file.stem):06d}.jpg")
    other = packed(flipped, tmp_path / "set", hold_out="none")
    assert len(shared_rows(one, other)) < 5


def test_a_run_is_not_measured_by_what_it_was_trained_on(celeba, tmp_path):
    trained = packed(celeba, tmp_path / "trained", hold_out="none")
    measured = packed(celeba, tmp_path / "measured")
    run = tmp_path / "run"
    (run / "snapshots" / "nimg-1").mkdir(parents=True)
    (run / "run.json").write_text(
        json.dumps({"format_version": 1, "config": {"data": trained.content_hash}, "data": [str(trained.path)]})
    )
    for model in (run, run / "snapshots" / "nimg-1"):
        with pytest.raises(UserError, match=r"4 of the pictures that .*measured holds out, such as .* was trained"):
            real_faces(model, [tmp_path / "measured"])
    assert len(real_faces(run, [tmp_path / "measured"], held_out=False)) == 1
    assert len(real_faces(run, [tmp_path / "trained"])) == 1
    assert len(real_faces(run, None)) == 1
    shutil.move(tmp_path / "trained", tmp_path / "moved")
    with pytest.warns(UserWarning, match="is not there any more: it may have seen faces that are held out"):
        real_faces(run, [measured.path])
    assert len(real_faces(run, [tmp_path / "moved"])) == 1, "the same data elsewhere holds out what it held out"
    packed(celeba, tmp_path / "trained")
    with pytest.warns(UserWarning, match="has changed since"):
        real_faces(run, [trained.path])
    with pytest.raises(UserError, match=r"trained changed after .*run was trained on it"):
        real_faces(run, None)
    assert len(real_faces(run, None, held_out=False)) == 1
