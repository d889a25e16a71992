"""CelebA's frame and annotation files."""

import numpy as np
import pytest

from facegan.attributes import ATTRIBUTE_NAMES
from facegan.data.celeba import ImagePaths, parse_attributes, parse_numbers
from facegan.data.crop import crop_box, frame_box, is_aligned
from facegan.errors import UserError

HEADER = " ".join(ATTRIBUTE_NAMES) + " "


def row(name, values):
    return name + "".join(f" {value:2d}" for value in values)


def official(rows, count=None):
    return "\n".join([str(len(rows) if count is None else count), HEADER, *rows, ""]).encode()


def notes(label_file):
    return [(problem.file, problem.kind) for problem in label_file.problems]


@pytest.mark.parametrize("size", [(178, 218), (89, 109), (356, 436), (44, 54), (45, 55), (267, 327), (1024, 1254)])
def test_aligned_at_any_size(size):
    assert is_aligned(*size)


@pytest.mark.parametrize("size", [(178, 178), (218, 178), (160, 200), (1024, 1024), (178, 224), (712, 880), (640, 480)])
def test_other_shapes_are_not_aligned(size):
    assert not is_aligned(*size)


def test_the_crop_scales_with_the_frame():
    assert crop_box(178, 218, 148) == (15, 35, 163, 183)
    assert crop_box(89, 109, 148) == (7.5, 17.5, 81.5, 91.5)
    assert crop_box(356, 436, (25, 45, 153, 173)) == (50, 90, 306, 346)
    assert crop_box(200, 100, 148) == (50, 0, 150, 100)
    assert crop_box(101, 100, 148) == (0.5, 0, 100.5, 100)


@pytest.mark.parametrize("crop", [0, -5, 179, (0, 0, 10, 11), (100, 0, 190, 90), (-1, 0, 9, 10), (5, 5, 5, 5)])
def test_a_crop_outside_the_frame(crop):
    with pytest.raises(UserError, match="178x218"):
        frame_box(crop)


def test_official_attributes():
    signs = np.where(np.random.default_rng(0).random((3, 40)) < 0.5, -1, 1)
    parsed = parse_attributes("list_attr_celeba.txt", official([row(f"{i:06d}.jpg", signs[i]) for i in range(3)]))
    np.testing.assert_array_equal(parsed.values, signs)
    assert parsed.row_of == {"000000.jpg": 0, "000001.jpg": 1, "000002.jpg": 2} and not parsed.problems


def test_csv_attributes_in_another_order_with_windows_line_ends():
    order = np.random.default_rng(0).permutation(40)
    values = np.arange(40) % 3 - 1
    text = "\ufeffimage_id," + ",".join(ATTRIBUTE_NAMES[place] for place in order) + "\r\n"
    text += "000001.jpg," + ",".join(str(values[place]) for place in order) + "\r\n"
    np.testing.assert_array_equal(parse_attributes("a.csv", text.encode()).values, [values])


def test_csv_with_some_attributes_and_a_strange_one():
    parsed = parse_attributes("a.csv", b"file,Smiling,Happy,male\nx.png,1,1,-1\n")
    smiling, male = ATTRIBUTE_NAMES.index("Smiling"), ATTRIBUTE_NAMES.index("Male")
    assert parsed.values[0, smiling] == 1 and parsed.values[0, male] == -1
    assert np.count_nonzero(parsed.values) == 2
    assert notes(parsed) == [("a.csv", "unknown attribute")]


def test_bad_rows_are_unknown_and_the_rest_goes_on():
    good = [1, -1] * 20
    rows = [
        row("1.jpg", good), row("2.jpg", good[:39]), row("3.jpg", [*good, 1]), row("4.jpg", [7, *good[1:]]),
        row("1.jpg", [-value for value in good]), row("5.jpg", good),
    ]  # fmt: skip
    parsed = parse_attributes("list_attr_celeba.txt", official(rows, count=10))
    assert [parsed.values[parsed.row_of[name]].any() for name in ("1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg")] == [
        True, False, False, True, True,
    ]  # fmt: skip
    np.testing.assert_array_equal(parsed.values[parsed.row_of["4.jpg"]], [0, *good[1:]])  # only that cell is unknown
    np.testing.assert_array_equal(parsed.values[parsed.row_of["1.jpg"]], good)
    assert sorted(notes(parsed)) == sorted(
        [
            ("2.jpg", "attribute count"),
            ("3.jpg", "attribute count"),
            ("4.jpg", "attribute value"),
            ("1.jpg", "second row"),
            ("list_attr_celeba.txt", "header count"),
        ]
    )


def test_zero_is_unknown_beside_minus_one_and_absent_without():
    zeros, ones, minus = [0] * 39, [1] * 39, [-1] * 39
    mixed = parse_attributes("a", official([row("1.jpg", [1, *zeros]), row("2.jpg", [1, *minus])]))
    assert mixed.values[0].tolist() == [1, *zeros] and not mixed.problems
    binary = parse_attributes("a", official([row("1.jpg", [1, *zeros]), row("2.jpg", [0, *ones])]))
    assert binary.values.tolist() == [[1, *minus], [-1, *ones]]
    assert notes(binary) == [("a", "0 for absent")]


@pytest.mark.parametrize(
    "data",
    [b"", b"12\n", b"3\nlefteye_x lefteye_y\n000001.jpg 69 109\n", b"\x00\xff\xfe\x80" * 50, HEADER.encode()],
    ids=["empty", "only a count", "landmarks", "binary", "only names"],
)
def test_what_is_no_attribute_file(data):
    with pytest.raises(UserError, match="my_file"):
        parse_attributes("my_file", data)


def test_an_annotation_file_that_is_a_html_page():
    for parse in (parse_attributes, lambda name, data: parse_numbers(name, data, "partition")):
        with pytest.raises(UserError, match="HTML"):
            parse("list.txt", b"<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title>")


@pytest.mark.parametrize(
    "text",
    ["a.jpg 0\nb.jpg 2\nc.jpg 3\nd.jpg x\ne.jpg\n", "image_id,partition\na.jpg,0\nb.jpg,2\nc.jpg,3\nd.jpg,x\ne.jpg,\n"],
    ids=["txt", "csv"],
)
def test_numbers(text):
    parsed = parse_numbers("list_eval_partition", text.encode(), "partition")
    assert parsed.values[:, 0].tolist() == [0, 2, -1, -1, -1]
    assert notes(parsed) == [(f"{name}.jpg", "partition value") for name in "cde"]


def test_rows_are_found_by_name_then_base_name_then_stem():
    parsed = parse_numbers("identity", b"sub/a.jpg 1\nb.jpg 2\nc.jpg 3\nd.jpg 4\n", "identities")
    names = ["sub/a.jpg", "deep/b.jpg", "deep/c.png", "one/d.jpg", "one/d.png", "e.jpg"]
    assert parsed.match(ImagePaths(names)).row_N.tolist() == [0, 1, 2, 3, -1, -1]
    assert parsed.match(ImagePaths(["c.jpg", "c.png"])).row_N.tolist() == [2, -1], "in a folder a row is of one image"


def test_names_that_people_share_are_told_apart_by_their_folders():
    table = "".join(f"{person}/{number}.png {person}\n" for person in (1, 2) for number in (0, 1))
    parsed = parse_numbers("identity", table.encode(), "identities")
    names = ["faces/1/0.png", "faces/1/1.png", "faces/2/0.png", "other/1.png"]
    found = parsed.match(ImagePaths(names))
    assert found.row_N.tolist() == [0, 1, 2, -1] and set(found.clashes) == {3}, "1.png of no known folder has no row"
    deeper = parse_numbers("identity", table.replace("1/", "a/1/").replace("2/", "b/2/").encode(), "identities")
    assert deeper.match(ImagePaths(["1/0.png", "2/1.png"])).row_N.tolist() == [0, 3]
    upper = parse_numbers("identity", b"a.png 1\nA.png 2\n", "identities")
    assert upper.match(ImagePaths(["a.png"])).row_N.tolist() == [-1]


def test_names_match_whatever_their_case_slashes_and_unicode_form():
    parsed = parse_numbers("identity", "A.JPG 1\nsub\\b.jpg 2\nZoe\u0308.png 3\n".encode(), "identities")
    assert parsed.match(ImagePaths(["a.jpg", "sub/B.jpg", "Zo\u00eb.png"])).row_N.tolist() == [0, 1, 2]


def test_two_copies_both_have_the_labels_and_strangers_beside_them_have_none():
    parsed = parse_numbers("identity", b"1.jpg 1\n2.jpg 2\n", "identities")
    images = ["img_align_celeba/1.jpg", "img_align_celeba/2.jpg", "img_celeba/1.png", "mine/2.jpg"]
    match = parsed.match(ImagePaths(images))
    assert match.row_N.tolist() == [0, 1, 0, -1] and match.strangers == [3] and match.copies == [0, 2]
    match = parsed.match(ImagePaths(["img_align_celeba/1.jpg", "mine/2.jpg"]))
    assert match.row_N.tolist() == [0, -1] and match.strangers == [1], "no name of theirs needs to stand twice"
    match = parsed.match(ImagePaths(["one/1.jpg", "two/1.jpg"]))
    assert match.row_N.tolist() == [0, 0] and not match.strangers and match.copies == [0, 1]


SMILES = {"a.jpg": 1, "b.jpg": -1, "c.jpg": -1}


@pytest.mark.parametrize(
    "data",
    [
        b"image_id,Smiling\na.jpg,True\nb.jpg,False\nc.jpg,False\n",
        b"image_id,Smiling\na.jpg,yes\nb.jpg,no\nc.jpg,NO\n",
        b"image_id,Smiling\na.jpg,1.0\nb.jpg,0.0\nc.jpg,0\n",
        b"image_id;Smiling\na.jpg;1\nb.jpg;-1\nc.jpg;-1\n",
        b"image_id\tSmiling\na.jpg\t1\nb.jpg\t-1\nc.jpg\t-1\n",
        b"image_id Smiling\na.jpg 1\nb.jpg -1\nc.jpg -1\n",
        b"image_id|smiling\r\na.jpg|+1\r\nb.jpg|-1\r\nc.jpg|-1\r\n",
        "image_id,Smiling\na.jpg,1\nb.jpg,-1\nc.jpg,-1\n".encode("utf-16"),
        "image_id,Smiling\na.jpg,1\nb.jpg,-1\nc.jpg,-1\n".encode("utf-16-le"),
        "image_id,Smiling\na.jpg,1\nb.jpg,-1\nc.jpg,-1\n".encode("utf-32"),
        b",image_id,Smiling\n0,a.jpg,1\n1,b.jpg,-1\n2,c.jpg,-1\n",
        b"Unnamed: 0,File Name,smiling\n0,a.jpg,1\n1,b.jpg,0\n2,c.jpg,0\n",
        b"split,Smiling,image\ntrain,1,a.jpg\ntest,-1,b.jpg\ntest,-1,c.jpg\n",
        b'"image_id","Smiling","prompt"\n"a.jpg","1","smiling, young"\n"b.jpg","-1","two\nlines"\n"c.jpg","-1",""\n',
        b"image_id,Smiling,\na.jpg,1,\nb.jpg,-1,\nc.jpg,-1,\n",
        b"\n\nimage_id , Smiling\n\na.jpg , 1\nb.jpg , -1\nc.jpg , -1\n",
        b"image_id,Smiling,Caf\xe9\na.jpg,1,x\nb.jpg,-1,y\nc.jpg,-1,z\n",
    ],
    ids=["true", "yes", "float", "semicolon", "tab", "space", "bar", "utf-16", "no mark", "utf-32", "pandas index",
         "unnamed index", "name last", "quoted", "trailing", "spaced", "cp1252"],
)  # fmt: skip
def test_tables_as_other_tools_write_them(data):
    parsed = parse_attributes("a.csv", data)
    smiling = ATTRIBUTE_NAMES.index("Smiling")
    assert {name: int(parsed.values[row, smiling]) for name, row in parsed.row_of.items()} == SMILES


def test_each_column_is_judged_as_a_whole():
    table = b"id,Male,Young,Bald,Smiling,Bangs\n1.jpg,1,1,0,0.93,\n2.jpg,0,-1,0,0.2,1\n3.jpg,0,-1,0,0.5,-1\n"
    parsed = parse_attributes("a.csv", table)
    shown = [ATTRIBUTE_NAMES.index(name) for name in ("Male", "Young", "Bald", "Smiling", "Bangs")]
    assert parsed.values[:, shown].T.tolist() == [[1, -1, -1], [1, -1, -1], [0, 0, 0], [0, 0, 0], [0, 1, -1]]
    kinds = [kind for _, kind in notes(parsed)]
    assert kinds.count("attribute value") == 3 and {"0 for absent", "attribute column"} <= set(kinds)


def test_foreign_columns_never_spoil_a_row():
    table = b"image_id,partition,name,Male,celeb_id\n1.jpg,2,Ann,1,2880\n2.jpg,0,Bob,-1,17\n"
    assert parse_attributes("a.csv", table).values[:, ATTRIBUTE_NAMES.index("Male")].tolist() == [1, -1]
    assert parse_numbers("a.csv", table, "partition").values[:, 0].tolist() == [2, 0]
    assert parse_numbers("a.csv", table, "identities").values[:, 0].tolist() == [2880, 17]
