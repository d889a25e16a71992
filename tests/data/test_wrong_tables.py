"""Tables that are not what they are taken for are refused or told: wrong labels are worse than none."""

import csv
import gc
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from facegan.attributes import ATTRIBUTE_NAMES
from facegan.cli.prepare import describe_held_out
from facegan.data import sources
from facegan.data.celeba import find_annotations, parse_attributes, parse_numbers
from facegan.data.held_out import held_out_warnings
from facegan.data.labels import read_labels
from facegan.data.preflight import Preflight
from facegan.data.prepare import prepare
from facegan.data.sources import find_source
from facegan.data.table import Table
from facegan.data.writer import PackedWriter
from facegan.errors import UserError

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def table(*rows):
    return "".join(",".join(map(str, row)) + "\n" for row in rows).encode()


def photos(celeba, folder, count=48, size=None, name="{:06d}.jpg"):
    folder.mkdir(parents=True)
    for number in range(1, count + 1):
        with Image.open(celeba / "img_align_celeba" / f"{number:06d}.jpg") as image:
            (image.resize(size) if size else image).save(folder / name.format(number), quality=95)
    return folder


def pack(source, tmp_path, **options):
    return prepare(source, tmp_path / "out", resolution=16, workers=1, **options)


def test_ones_and_twos_say_nothing():
    rows = [(f"{number}.jpg", 1 + number % 2, (-1) ** number) for number in range(20)]
    parsed = parse_attributes("t.csv", table(("image_id", "Male", "Smiling"), *rows))
    assert not parsed.values[:, ATTRIBUTE_NAMES.index("Male")].any()
    assert parsed.values[:, ATTRIBUTE_NAMES.index("Smiling")].all()
    assert [problem.kind for problem in parsed.problems if problem.file == "t.csv"] == ["attribute column"]


@pytest.mark.parametrize(
    ("what", "values", "said"),
    [
        ("partition", (1, 2, 3), r"13 of 40 values are no partition, such as '3'; expected 0 train, 1 valid, 2 test"),
        ("partition", (2880, 2937, 17), "40 of 40 values are no partition, such as '2880'"),
        ("partition", ("train", "train", "holdout"), "13 of 40 values are no partition, such as 'holdout'"),
        ("identities", ("Ann", "Bo", "Cy"), "40 of 40 values are no identities, such as 'Ann'"),
        ("identities", (0, 1, 2), "14 of 40 values are no identities, such as '0'"),
    ],
)
def test_numbers_that_count_in_another_way(tmp_path, what, values, said):
    rows = [(f"{number}.jpg", values[number % 3]) for number in range(40)]
    with pytest.raises(UserError, match=said):
        parse_numbers("t.csv", table(*rows), what)
    columns = {
        "image": [b"x"] * 40,
        {"partition": "split", "identities": "celeb_id"}[what]: [str(row[1]) for row in rows],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    with pytest.raises(UserError, match=f"column .* of t.parquet: {said}"):
        find_source(tmp_path / "t.parquet")


def test_empty_cells_are_unknown_and_identities_as_text_are_numbers(tmp_path):
    rows = [(f"{number}.jpg", "" if number % 2 else number + 1) for number in range(40)]
    assert parse_numbers("t.csv", table(("file", "identity"), *rows), "identities").values[:4, 0].tolist() == [
        1,
        -1,
        3,
        -1,
    ]
    columns = {"image": [b"x"] * 4, "celeb_id": ["7", None, "12", "3.0"]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    assert find_source(tmp_path / "t.parquet").rows.identities.tolist() == [7, 0, 12, 3]


def test_of_several_columns_one_has_to_be_called_so():
    data = table(("file", "age", "number"), *((f"{number}.jpg", 20, number + 1) for number in range(9)))
    with pytest.raises(UserError, match="has the columns age, number, and none is called identity or person_id"):
        parse_numbers("people.csv", data, "identities")
    for alone in (("", "file", "number"), ("file", "index", "number")):
        rows = ((n, f"{n}.jpg", n) if alone[1] == "file" else (f"{n}.jpg", n, n) for n in range(1, 9))
        assert parse_numbers("people.csv", table(alone, *rows), "identities").values[:3, 0].tolist() == [1, 2, 3]
    data = data.replace(b"number", b"Person")
    assert parse_numbers("people.csv", data, "identities").values[:3, 0].tolist() == [1, 2, 3]


def test_a_column_with_another_name_is_no_partition_and_no_identity():
    rows = [(f"{number}.jpg", number % 2) for number in range(30)]
    with pytest.raises(UserError, match="its column is called Male, and that is no partition"):
        parse_numbers("t.csv", table(("image_id", "Male"), *rows), "partition")
    with pytest.raises(UserError, match="its column is called Split, and that is no identities"):
        parse_numbers("t.csv", table(("image_id", "Split"), *rows), "identities")


def test_what_is_wrong_with_a_table_of_attributes_is_told(celeba, tmp_path):
    rows = [(f"{number}.jpg", 1, -1) for number in range(1, 9)]
    parsed = parse_attributes("t.csv", table(("file", "Male", "male"), *rows))
    assert parsed.values[:, ATTRIBUTE_NAMES.index("Male")].tolist() == [1] * 8
    assert [problem.kind for problem in parsed.problems] == ["second column"]
    with pytest.raises(UserError, match="found rows of values only"):
        parse_attributes("t.csv", table(*rows))
    (tmp_path / "t.csv").write_bytes(table(("file", "Male"), *((f"{n:06d}.jpg", 1 + n % 2) for n in range(1, 49))))
    with pytest.raises(UserError, match=r"no attributes value that fits \(Male is '2' .* in another code"):
        pack(celeba, tmp_path, attributes=tmp_path / "t.csv")


def test_names_are_found_by_what_they_look_like():
    unnamed = table(("", "Male", "Young"), ("1.jpg", 1, -1), ("2.jpg", -1, 1), ("3.jpg", -1, 1))
    assert [name for name, _ in Table("t", unnamed)] == ["1.jpg", "2.jpg", "3.jpg"]
    second = table(("", "picture of", "Male"), (0, "1.jpg", 1), (1, "2.jpg", -1), (2, "3.jpg", -1))
    assert [name for name, _ in Table("t", second)] == ["1.jpg", "2.jpg", "3.jpg"]
    last = table(("Male", "Young", "of"), (1, 1, "1.jpg"), (-1, 1, "2.jpg"), (1, 1, "3.jpg"))
    assert [name for name, _ in Table("t", last)] == ["1.jpg", "2.jpg", "3.jpg"]


def test_a_table_that_fits_a_few_images_is_doubted(celeba, tmp_path):
    (tmp_path / "one.csv").write_bytes(table(("image_id", "Male"), ("000007.jpg", 1), ("x.jpg", -1)))
    result = pack(celeba, tmp_path, attributes=tmp_path / "one.csv")
    assert any("has a row for 1 of 48 images only, such as 000007.jpg" in said.replace("img_align_celeba/", "")
               for said in result.warnings)  # fmt: skip


def test_leading_zeros_are_named(celeba, tmp_path):
    photos(celeba, tmp_path / "photos", 30)
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "Male"), *((number, 1 - 2 * (number % 2)) for number in range(1, 31))])
    with pytest.raises(UserError, match="Its numbers lack leading zeros"):
        pack(tmp_path / "photos", tmp_path, attributes=tmp_path / "t.csv")
    with (tmp_path / "t.csv").open("a", newline="") as file:
        file.write("0,1\r\n")  # numbers of rows: with zeros before them they would be names of other pictures
    with pytest.raises(UserError, match="has a row for 0 of the 30") as told:
        pack(tmp_path / "photos", tmp_path, attributes=tmp_path / "t.csv")
    assert "leading zeros" not in str(told.value)


def test_others_photos_beside_celebas_tables_are_warned_of(celeba, tmp_path):
    photos(celeba, tmp_path / "mine" / "photos", size=(120, 120))
    shutil.copy(celeba / "list_attr_celeba.txt", tmp_path / "mine")
    (said,) = [said for said in pack(tmp_path / "mine", tmp_path).warnings if "names alone" in said]
    assert "48 images have labels of list_attr_celeba.txt" in said and "120x120" in said
    photos(celeba, tmp_path / "frame" / "photos")
    shutil.copy(celeba / "list_attr_celeba.txt", tmp_path / "frame")
    result = prepare(tmp_path / "frame", tmp_path / "out2", resolution=16, workers=1)
    assert result.dataset.labelled and not any("names alone" in said for said in result.warnings)


def test_who_is_held_out_is_told_as_far_as_it_is_known(celeba, tmp_path):
    lines = [f"{number:06d}.jpg {number % 3}" for number in range(1, 49)]
    (tmp_path / "thirds.txt").write_text("\n".join(lines) + "\n")
    mixed = pack(celeba, tmp_path, partition=tmp_path / "thirds.txt", hold_out="partition").dataset
    assert "12 of the 12 people in them are trained on too" in describe_held_out(mixed)
    own = photos(celeba, tmp_path / "own")
    unknown = prepare(own, tmp_path / "b", resolution=16, workers=1, partition=tmp_path / "thirds.txt").dataset
    assert "whether the same people are in train is not known" in describe_held_out(unknown)
    clean = prepare(celeba, tmp_path / "c", resolution=16, workers=1, hold_out="partition").dataset
    assert "none of the" in describe_held_out(clean)


def test_surprises_in_who_is_held_out_are_warned_of(celeba, tmp_path):
    (tmp_path / "half.csv").write_bytes(
        table(
            ("file", "identity"), *((f"{number:06d}.jpg", number if number % 2 == 0 else "") for number in range(1, 49))
        )
    )
    said = pack(celeba, tmp_path, identities=tmp_path / "half.csv").warnings
    assert any("of 24 of 48 images the person is not known: they are trained on" in line for line in said)
    packed = PackedWriter(tmp_path / "rows", resolution=4, capacity=120)
    with packed:
        packed.write(0, np.arange(120 * 48, dtype=np.uint8).reshape(120, 4, 4, 3))
        rows = packed.finish(identities=np.arange(1, 121, dtype=np.int32))
    assert any("an identity of its own" in line for line in held_out_warnings(rows, "auto", ()))
    own = photos(celeba, tmp_path / "own")
    for name, number, expected in (("all", 1, "every image is held out"), ("none", 0, "put every image into train")):
        (tmp_path / f"{name}.csv").write_bytes(table(*((f"{row:06d}.jpg", number) for row in range(1, 49))))
        said = prepare(own, tmp_path / name, resolution=16, workers=1, partition=tmp_path / f"{name}.csv").warnings
        assert any(expected in line for line in said)


def test_only_rows_of_images_that_are_taken_are_missed(celeba, tmp_path):
    own = photos(celeba, tmp_path / "own", 20)
    (tmp_path / "t.csv").write_bytes(table(("file", "Male"), *((f"{row:06d}.jpg", 1) for row in range(1, 15))))
    found = pack(own, tmp_path, attributes=tmp_path / "t.csv", limit=10).preflight
    assert not any("image without" in kind for kind, _ in found.counts)


def test_what_the_preflight_says_of_files_that_are_no_images(celeba, tmp_path):
    own = photos(celeba, tmp_path / "own", 10)
    shutil.copy(own / "000001.jpg", own / ".hidden.jpg")
    (own / "labels.csv").write_bytes(table(("file", "Male", "Young", "Smiling"), ("000001.jpg", 1, 1, 1)))
    (own / "old.zip").write_bytes(b"PK\3\4")
    shutil.copy(own / "000001.jpg", own / "._000001.jpg")  # macOS's, not counted as hidden
    for name in ("stem.jpg", "stem.png"):
        shutil.copy(own / "000002.jpg", own / name)
    (tmp_path / "t.csv").write_bytes(
        table(("file", "Male"), *((f"{row:06d}.jpg", 1) for row in range(1, 11)), ("stem", 1))
    )
    pack(own, tmp_path, attributes=tmp_path / "t.csv")
    document = (tmp_path / "out" / "preflight.json").read_text()
    assert "could be its own and another's" in document
    assert "._000001.jpg" not in document
    for expected in ('"hidden"', '"zip in the source"', '"unused table"', "--attributes"):
        assert expected in document


def test_a_source_of_zips(tmp_path):
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.writestr("inner.zip", b"PK\3\4")
    with pytest.raises(UserError, match=r"zips in it are not looked into: unpack it"):
        pack(tmp_path / "outer.zip", tmp_path)


def test_a_preview_of_photographs_is_no_face(celeba, tmp_path):
    prepare(celeba, tmp_path / "set", resolution=16, workers=1, preview=tmp_path / "preview.png")
    own = photos(celeba, tmp_path / "own", 5)
    shutil.copy(tmp_path / "preview.png", own)
    result = pack(own, tmp_path)
    assert len(result.dataset) == 5 and result.preflight.counts["sheet of faces", "set aside"] == 1
    assert np.asarray(result.dataset.images).shape == (5, 16, 16, 3)


def many_rows(count):
    """Return list_attr_celeba.txt of so many faces, whose first attribute has the parity of their number."""
    rest = " -1" * 39
    rows = "".join(f"{number:07d}.jpg {1 if number % 2 else -1:2d}{rest}\n" for number in range(count))
    return f"{count}\n{' '.join(ATTRIBUTE_NAMES)}\n{rows}".encode()


@pytest.mark.parametrize("packing", ["folder", "zip"])
def test_a_table_larger_than_what_is_held_in_memory(tmp_path, monkeypatch, packing):
    monkeypatch.setattr(sources, "LARGEST_TEXT", 8_000)
    content, names = many_rows(100), [f"{number:07d}.jpg" for number in range(100)]
    if packing == "folder":
        source = tmp_path / "celeba"
        source.mkdir()
        (source / "list_attr_celeba.txt").write_bytes(content)
        for name in names:
            (source / name).write_bytes(b"")
    else:
        source = tmp_path / "celeba.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for name in ("list_attr_celeba.txt", *names):
                archive.writestr(name, content if name.endswith("txt") else b"")
    listing = find_source(source)
    assert not isinstance(find_annotations(source, listing)["attributes"].data, bytes)
    labels = read_labels(listing, {}, Preflight("x"))
    assert labels.attributes[:, 0].tolist() == [-1, 1] * 50
    np.testing.assert_array_equal(labels.attributes, parse_attributes("t", content).values)
    (copy,) = [find_annotations(source, listing)["attributes"].data]
    del listing
    gc.collect()
    assert copy.exists() == (packing == "folder"), "the copy of what is in a zip goes with the listing"


def test_a_table_of_other_images_than_these_is_refused_by_its_size(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "LARGEST_TEXT", 8_000)
    (tmp_path / "celeba").mkdir()
    (tmp_path / "celeba" / "1.jpg").write_bytes(b"")
    table = tmp_path / "celeba" / "list_attr_celeba.txt"
    table.write_bytes(many_rows(100))
    with pytest.raises(UserError, match=r"has 13,\d+ bytes, and a table of 1 images has at most 8,000"):
        find_annotations(tmp_path / "celeba", find_source(tmp_path / "celeba"))
    with pytest.raises(UserError, match=r"t has 103 lines, and a table of these images at most 50"):
        parse_attributes("t", many_rows(100), most=50)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_file_is_read_as_bytes_are(tmp_path, encoding):
    content = "image_id;Male;Smiling\r\n" + "".join(f"{n}-\u00e9.jpg;{n % 2};1\r\n" for n in range(99))
    data = content.encode(encoding)
    (tmp_path / "t").write_bytes(data)
    whole, streamed = Table("t", data), Table("t", tmp_path / "t")
    assert list(whole) == list(streamed) == [(f"{n}-\u00e9.jpg", [str(n % 2), "1"]) for n in range(99)]
    assert list(streamed) == list(whole), "it is read again from its beginning"
