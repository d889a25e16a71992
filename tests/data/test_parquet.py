"""Hugging Face's copies of CelebA: the pixels and labels of the files that they were made from."""

import json

import numpy as np
import pytest
from PIL import Image

from facegan.attributes import ATTRIBUTE_NAMES
from facegan.data.prepare import prepare
from facegan.data.sources import find_source
from facegan.errors import UserError
from facegan.provenance import Provenance
from tests.data.conftest import SHOWN, labels_of

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

SPLITS = {"train": range(36), "valid": range(36, 40), "test": range(40, 48)}
"""As the fixture's partitions."""


def signs(number):
    attributes, _ = labels_of(number)
    return [attributes.get(name, 0) for name in ATTRIBUTE_NAMES]


def rows_of(celeba, numbers, form):
    """Return {column: values} as the copy of that name has them."""
    files = [celeba / "img_align_celeba" / f"{number + 1:06d}.jpg" for number in numbers]
    images = [{"bytes": file.read_bytes(), "path": file.name} for file in files]
    identities = [labels_of(number)[1] for number in numbers]
    match form:
        case "flwrlabs":
            columns = {name: [labels_of(number)[0][name] > 0 for number in numbers] for name in SHOWN}
            return {"image": images, "celeb_id": identities, **columns}
        case "eurecom-ds":
            attributes = [[int(sign > 0) for sign in signs(number)] for number in numbers]
            return {"image": images, "attributes": attributes}
        case "struct":
            attributes = [dict(zip(ATTRIBUTE_NAMES, signs(number), strict=True)) for number in numbers]
            return {"image": images, "attributes": attributes}
        case "tpremoli":
            columns = {name: [signs(number)[place] for number in numbers] for place, name in enumerate(ATTRIBUTE_NAMES)}
            return {"image": images, "prompt_string": ["a face; smiling"] * len(files), **columns}
    return {"image": images}


def copy_of(celeba, folder, form, group=7):
    (folder / "data").mkdir(parents=True)
    for split, numbers in SPLITS.items():
        halves = np.array_split(list(numbers), 2)
        for part, half in enumerate(halves):
            table = pyarrow.table(rows_of(celeba, half.tolist(), form))
            parquet.write_table(table, folder / "data" / f"{split}-{part:05d}-of-00002.parquet", row_group_size=group)
    (folder / "README.md").write_text("a data set")
    return folder


@pytest.mark.parametrize("form", ["flwrlabs", "eurecom-ds", "tpremoli", "nielsr", "struct"])
@pytest.mark.parametrize("workers", [1, 2])
def test_the_four_forms(celeba, tmp_path, form, workers):
    expected = prepare(celeba, tmp_path / "expected", resolution=16, workers=1).dataset
    result = prepare(copy_of(celeba, tmp_path / "copy", form), tmp_path / "out", resolution=16, workers=workers)
    dataset = result.dataset
    order = [expected.files.index(name) for name in dataset.files]
    assert sorted(order) == list(range(48))
    np.testing.assert_array_equal(dataset.images, expected.images[order])
    np.testing.assert_array_equal(dataset.partitions, expected.partitions[order])
    shown = [ATTRIBUTE_NAMES.index(name) for name in SHOWN]
    if form == "nielsr":
        assert not dataset.labelled
    else:
        np.testing.assert_array_equal(dataset.attributes[:, shown], expected.attributes[order][:, shown])
    if form == "flwrlabs":
        np.testing.assert_array_equal(dataset.identities, expected.identities[order])
    assert dataset.hold_out == ("identities" if form == "flwrlabs" else "partition")


def test_attributes_that_are_not_understood_are_told(celeba, tmp_path):
    columns = rows_of(celeba, range(4), "nielsr") | {"attributes": [[1, 0, 1]] * 4}
    parquet.write_table(pyarrow.table(columns), tmp_path / "few.parquet")
    result = prepare(tmp_path / "few.parquet", tmp_path / "out", resolution=16, workers=1)
    assert not result.dataset.labelled and "attributes" not in result.annotations
    assert any("columns of attributes hold none that is known" in warning for warning in result.warnings)


def test_labels_in_a_made_faces_own_row_are_its_own(celeba, tmp_path):
    source = tmp_path / "celeba" / "img_align_celeba"
    source.mkdir(parents=True)
    for number in range(36):
        with Image.open(celeba / "img_align_celeba" / f"{number + 1:06d}.jpg") as image:
            image.save(source / f"{number + 1:06d}.jpg", **Provenance().save_options("JPEG"))
    parquet.write_table(pyarrow.table(rows_of(source.parent, range(36), "flwrlabs")), tmp_path / "made.parquet")
    result = prepare(tmp_path / "made.parquet", tmp_path / "out", resolution=16, workers=1)
    assert "36 of 36 images say that a neural network made them: they keep the labels" in result.warnings[0]
    assert np.asarray(result.dataset.attributes).any(axis=1).all() and (result.dataset.identities > 0).all()


def test_one_file_a_pattern_and_files_without_names(celeba, tmp_path):
    copy = copy_of(celeba, tmp_path / "copy", "nielsr")
    assert len(find_source(copy / "data" / "train-00000-of-00002.parquet").images) == 18
    assert len(find_source(copy / "data" / "t*").images) == 44
    with pytest.raises(UserError, match="fits some"):
        find_source(copy / "data" / "x*")
    pictures = [image["bytes"] for image in rows_of(celeba, range(5), "nielsr")["image"]]
    parquet.write_table(pyarrow.table({"jpg": pictures, "split": ["val"] * 5}), tmp_path / "plain.parquet")
    dataset = prepare(tmp_path / "plain.parquet", tmp_path / "out", resolution=16, workers=1).dataset
    columns = {"image": [{"bytes": picture, "path": None} for picture in pictures], "file_name": list("abcde")}
    parquet.write_table(pyarrow.table(columns), tmp_path / "named.parquet")
    assert [image.name for image in find_source(tmp_path / "named.parquet").images] == list("abcde")
    assert dataset.files == [f"plain.parquet:{row}" for row in range(5)] and dataset.partitions.tolist() == [1] * 5


def test_rows_that_hold_no_image_and_labels_that_mean_nothing(celeba, tmp_path):
    columns = rows_of(celeba, range(6), "tpremoli")
    columns["image"][1] = {"bytes": None, "path": "somewhere.jpg"}
    columns["image"][2] = None
    columns["image"][3] = {"bytes": b"no picture", "path": "x.jpg"}
    columns["Male"] = [1, -1, 7, None, 1, -1]
    parquet.write_table(pyarrow.table(columns), tmp_path / "odd.parquet")
    result = prepare(tmp_path / "odd.parquet", tmp_path / "out", resolution=16, workers=1)
    male = ATTRIBUTE_NAMES.index("Male")
    assert result.dataset.attributes[:, male].tolist() == [1, 1, -1]
    problems = json.loads((tmp_path / "out" / "preflight.json").read_text())["problems"]
    assert sum(problem["action"] == "set aside" for problem in problems) == 3
    assert any(problem["kind"] == "attribute value" for problem in problems)


def test_tables_are_of_the_names_in_the_rows(celeba, tmp_path):
    columns = rows_of(celeba, range(1, 9), "tpremoli")
    image = [{"bytes": row["bytes"], "path": f"{number:06d}.jpg"} for number, row in enumerate(columns["image"], 1)]
    parquet.write_table(pyarrow.table({"image": image}), tmp_path / "train-00000-of-00001.parquet")
    people = "".join(f"{number:06d}.jpg {number // 3 + 1}\n" for number in range(1, 9))
    (tmp_path / "people.txt").write_text(people)
    given = {"resolution": 16, "workers": 1, "hold_out": "none", "identities": tmp_path / "people.txt"}
    result = prepare(tmp_path / "train-00000-of-00001.parquet", tmp_path / "out", **given)
    assert result.dataset.identities.tolist() == [number // 3 + 1 for number in range(1, 9)] and not result.warnings
    (tmp_path / "people.txt").write_text(people.replace("0000", "1000"))
    with pytest.raises(UserError, match=r"there is an image 000001\.jpg, and a row for 100001\.jpg"):
        prepare(tmp_path / "train-00000-of-00001.parquet", tmp_path / "other", **given)


def test_what_is_no_parquet_file_of_images(celeba, tmp_path):
    (tmp_path / "half.parquet").write_bytes(b"PAR1 and no end")
    with pytest.raises(UserError, match=r"half\.parquet cannot be read as a Parquet file"):
        find_source(tmp_path / "half.parquet")
    parquet.write_table(pyarrow.table({"text": ["a"], "number": [1]}), tmp_path / "text.parquet")
    with pytest.raises(UserError, match=r"no column of images \(found text, number\)"):
        find_source(tmp_path / "text.parquet")
    parquet.write_table(pyarrow.table({"image": pyarrow.array([], pyarrow.binary())}), tmp_path / "empty.parquet")
    with pytest.raises(UserError, match="hold no row"):
        find_source(tmp_path / "empty.parquet")
    folder = copy_of(celeba, tmp_path / "copy", "nielsr")
    Image.linear_gradient("L").save(folder / "logo.png")
    with pytest.raises(UserError, match=r"1 images.*logo\.png.*6 Parquet files"):
        find_source(folder)
