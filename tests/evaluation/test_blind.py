"""Blind tests: what is drawn up, what no file gives away, and what answers are worth."""

import json
import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facegan import __version__, api, pixels
from facegan.cli import blind as command
from facegan.data.packed import DataView, PackedDataset
from facegan.errors import UserError
from facegan.evaluation import blind
from facegan.evaluation.blind_answers import MADE, PHOTO, UNSURE, p_value, read_answers, result, subset_scores
from facegan.metrics.proportions import wilson
from tests.command import facegan, mistake
from tests.conftest import write_packed

SHEETS, FACES, FIRST = 3, 12, 700


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three faces each of 200 people, of whom 20 are held out."""
    identities = np.arange(600, dtype=np.int32) // 3 + 1
    return write_packed(tmp_path_factory.mktemp("blind") / "real", 600, 16, identities=identities)


@pytest.fixture(scope="module")
def view(data):
    # Three sheets of twelve need 27 people, more than one dataset has.
    rows = np.arange(300, dtype=np.int32)
    other = write_packed(data.parent / "other", 300, 16, seed=1, identities=(rows // 3 + 201).astype(np.int32))
    return DataView([PackedDataset.open(path) for path in (data, other)], held_out=True)


@pytest.fixture(scope="module")
def made():
    return np.random.default_rng(1).integers(0, 256, (27, 16, 16, 3), dtype=np.uint8)


def drawn(made, view, *, seed=0, of="model", sheets=SHEETS, faces=FACES):
    return blind.draw_up(made, view, first=FIRST, sheets=sheets, faces=faces, seed=seed, of=of)


@pytest.fixture(scope="module")
def three(made, view):
    return drawn(made, view)


def test_the_key_says_what_each_cell_shows(three, made, view):
    assert [cell.number for cell in three.cells] == list(range(1, SHEETS * FACES + 1))
    for cell, image in zip(three.cells, three.image_NHWC, strict=True):
        dataset = None if cell.dataset is None else view.datasets[cell.dataset]
        source = made[cell.place - FIRST] if dataset is None else dataset.images[cell.place]
        np.testing.assert_array_equal(image, pixels.enlarge(source[None], 3)[0])
        assert dataset is None or dataset.held_out()[cell.place]
        at = (cell.number - 1) % FACES
        columns = math.ceil(math.sqrt(1.5 * FACES))
        top, left = 8 + at // columns * (48 + 22 + 8), 8 + at % columns * (48 + 8)
        np.testing.assert_array_equal(three.sheets[cell.sheet - 1][top : top + 48, left : left + 48], image)
        under = three.sheets[cell.sheet - 1][top + 48 : top + 48 + 22, left : left + 48]
        assert under.min() < 100  # ink of its number


def test_nobody_is_shown_twice_and_no_made_face_is_chosen(three, view):
    real = [cell for cell in three.cells if not cell.made]
    people = [view.datasets[cell.dataset].identities[cell.place] for cell in real]
    assert len(set(people)) == len(people) and {cell.dataset for cell in real} == {0, 1}
    numbers = [cell.place for cell in three.cells if cell.made]
    assert numbers == list(range(FIRST, FIRST + len(numbers)))


def test_how_many_are_made_is_drawn_from_a_quarter_to_three_quarters(made, view):
    counts, orders = set(), set()
    for seed in range(60):
        test = drawn(made, view, seed=seed, sheets=1)
        counts.add(sum(cell.made for cell in test.cells))
        orders.add(tuple(cell.made for cell in test.cells))
    assert counts == set(range(3, 10)) and len(orders) > 50


def test_the_same_again_for_a_seed_and_another_for_another_model_or_seed(three, made, view):
    again = drawn(made, view)
    assert again.cells == three.cells and again.name == three.name
    for other in (drawn(made, view, seed=1), drawn(made, view, of="other")):
        assert [cell.made for cell in other.cells] != [cell.made for cell in three.cells]
        assert other.name != three.name
    assert blind.first_sample(0, "model/1.0") != blind.first_sample(0, "model/0.7")


def test_too_few_of_anything_is_refused(made, view, data):
    with pytest.raises(UserError, match="26 made faces are too few"):
        drawn(made[:26], view)
    with pytest.raises(UserError, match="20 held-out faces of different people, and 27 are needed"):
        drawn(made, DataView([PackedDataset.open(data)], held_out=True))
    with pytest.raises(UserError, match="8 px and the data 16 px"):
        drawn(made[:, ::2, ::2], view)
    with pytest.raises(UserError, match="--faces 3"):
        drawn(made, view, faces=3)
    with pytest.raises(UserError, match="--sheets 0"):
        drawn(made, view, sheets=0)


def test_no_file_gives_a_face_away(three, tmp_path):
    key = tmp_path / "key.json"
    blind.write_test(three, tmp_path / "look", key, {"seed": 0}, singles=True)
    files = [file for file in (tmp_path / "look").rglob("*") if file.is_file()]
    assert len(files) == SHEETS + SHEETS * FACES + 2
    assert len({file.stat().st_mtime_ns for file in files}) == 1
    faces = sorted((tmp_path / "look" / "faces").iterdir())
    assert len({file.stat().st_size for file in faces}) == 1
    for number, file in enumerate(faces):
        chunks = png_chunks(file.read_bytes())
        assert set(chunks) == {b"IHDR", b"IDAT", b"IEND"}
        np.testing.assert_array_equal(np.asarray(Image.open(file)), three.image_NHWC[number])
    told = []
    for number in range(1, SHEETS + 1):
        file = tmp_path / "look" / f"sheet-{number}.png"
        assert set(png_chunks(file.read_bytes())) == {b"IHDR", b"tEXt", b"iTXt", b"IDAT", b"IEND"}
        with Image.open(file) as sheet:
            told.append(sheet.text)
    assert all(text == told[0] for text in told)
    assert told[0]["Description"] == f"in part made by a neural network: facegan {__version__}"
    assert told[0]["Title"] == "facegan sheet" and "compositeSynthetic" in told[0]["XML:com.adobe.xmp"]
    note = (tmp_path / "look" / "README.txt").read_text()
    assert "photographs of real people" in note and str(sum(cell.made for cell in three.cells)) not in note
    read = blind.read_key(key)
    assert list(read.cells.values()) == three.cells and read.test == three.name
    assert read.described["seed"] == 0


def png_chunks(content):
    found, at = [], 8
    while at < len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        found.append(content[at + 4 : at + 8])
        at += 12 + length
    return found


def test_a_key_that_is_none(three, tmp_path):
    key = tmp_path / "key.json"
    with pytest.raises(UserError, match="there is no key"):
        blind.read_key(key)
    blind.write_test(three, tmp_path / "look", key, {}, singles=False)
    whole = json.loads(key.read_text())
    changes = {
        "format version": whole | {"format_version": 9},
        "cells is missing": {"format_version": 1, "test": "a"},
        "wrong kind": whole | {"cells": [whole["cells"][0] | {"made": 1}]},
        "numbered through": whole | {"cells": whole["cells"][1:]},
        "faces of one kind": whole | {"cells": whole["cells"][:1]},
    }
    for told, content in changes.items():
        key.write_text(json.dumps(content))
        with pytest.raises(UserError, match=told):
            blind.read_key(key)


def key_of(*kinds):
    """Return the key of sheets written as "mmpp": made, made, photograph, photograph."""
    cells, number = {}, 0
    for sheet, letters in enumerate(kinds, 1):
        for letter in letters:
            number += 1
            cells[number] = blind.Cell(number, sheet, letter == "m", number, None if letter == "m" else 0)
    return blind.Key("0123456789ab", {}, cells)


@pytest.mark.parametrize("text", [
    "number,answer\n1,photo\n2,made\n3,unsure\n4,photo\n",
    "# test 0123456789ab\n\nNumber;Answer\n1;REAL\n2;fake\n3;?\n4;R\n",
    "\ufeff1 1\r\n2 0\r\n3 u\r\n4: r\r\n",
    '"# test 0123456789ab",\n"1","real"\n"2","m",\n3\tUnsure\n4,photo,,\n',
])  # fmt: skip
def test_answers_as_people_and_spreadsheets_write_them(tmp_path, text):
    (tmp_path / "a.csv").write_text(text, encoding="utf-8", newline="")
    assert read_answers(tmp_path / "a.csv", key_of("mmpp")) == {1: PHOTO, 2: MADE, 3: UNSURE, 4: PHOTO}


@pytest.mark.parametrize(("text", "told"), [
    ("1,photo\n2,maybe\n3,made\n4,made", "a.csv, line 2: 'maybe' is no answer to number 2: write photo"),
    ("hello there you\n", "line 1: 'hello there you' is no answer: write a number"),
    ("1,photo\n2,made\n1,made\n", "line 3: number 1 was there before, in line 1"),
    ("1,photo\n9,made\n", "line 2: there is no face 9: the test has 1 to 8"),
    ("1,photo\n2,made\n3,\n4,made\n", "line 3: number 3 has no answer"),
    ("1,photo\n2,made\n4,made\n", "number 3 has no answer"),
    ("# test ba9876543210\n1,photo\n", "line 1: answers to test ba9876543210, and the key is 0123456789ab's"),
    ("number,answer\n1,\n2,\n", "nothing is answered"),
    ("\x00\x01", "is no answer"),
])  # fmt: skip
def test_answers_that_are_none_are_named(tmp_path, text, told):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError) as caught:
        read_answers(tmp_path / "a.csv", key_of("mmpp", "mppp"))
    assert told in str(caught.value) and "a.csv" in str(caught.value)


def test_files_that_are_no_answers(tmp_path):
    with pytest.raises(UserError, match="there are no answers at"):
        read_answers(tmp_path / "a.csv", key_of("mp"))
    (tmp_path / "a.csv").write_bytes(b"1,\xff\n")
    with pytest.raises(UserError, match="cannot be read"):
        read_answers(tmp_path / "a.csv", key_of("mp"))


def test_a_sheet_may_be_left_out(tmp_path):
    key = key_of("mmpp", "mppp")
    (tmp_path / "a.csv").write_text("1,\n2,\n3,\n4,\n5,made\n6,photo\n7,photo\n8,made\n")
    found = result("a", [read_answers(tmp_path / "a.csv", key)], key)
    assert (found.made.shown, found.made.passed, found.photographs.shown, found.photographs.passed) == (1, 0, 3, 2)


def test_the_lady_tasting_tea():
    key = key_of("mmmmpppp")
    right = dict(enumerate([MADE] * 4 + [PHOTO] * 4, 1))
    one_wrong = right | {4: PHOTO, 5: MADE}
    for answers, expected in ((right, 2 / 70), (one_wrong, 34 / 70)):
        assert result("", [answers], key).p_value == pytest.approx(expected)
    reversed_ = result("", [{number: PHOTO - answer for number, answer in right.items()}], key)
    assert reversed_.p_value == pytest.approx(2 / 70) and reversed_.accuracy == 0
    assert "taken for each other" in reversed_.sentence and "can be told apart" in result("", [right], key).sentence
    assert "no telling apart" in result("", [one_wrong], key).sentence


def test_the_scores_of_subsets_are_those_of_all_subsets():
    score_F = np.array([0, 3, 1, 1, 2, 0, 4])
    sums = [sum(subset) for subset in combinations(score_F, 3)]
    expected = np.bincount(sums, minlength=10) / len(sums)
    np.testing.assert_allclose(subset_scores(score_F, 3), expected, atol=1e-15)


def test_two_sheets_and_two_viewers_are_tested_over_all_ways_to_draw_them():
    key, answers = key_of("mpp", "mmpp"), [dict(enumerate([0, 2, 2, 0, 1, 2, 2], 1)), {1: 1, 2: 2, 3: 0}]
    first, second = np.array([1, 4, 2]), np.array([0, 1, 2, 2])
    sums = [a + sum(b) for a in first for b in combinations(second, 2)]
    expected = 7 / 3 + 2 * 5 / 4
    observed = 1 + 1
    share = np.mean([abs(found - expected) >= abs(observed - expected) for found in sums])
    assert p_value(answers, key.sheets()) == pytest.approx(share)


def test_shares_and_their_intervals():
    key = key_of("mmmmmpp")
    answers = dict(enumerate([PHOTO, MADE, UNSURE, MADE, MADE, PHOTO, UNSURE], 1))
    found = result("a", [answers], key)
    assert (found.made.passed, found.made.unsure, found.made.shown) == (1, 1, 5)
    assert (found.made.low, found.made.high) == wilson(1, 5)
    assert (found.photographs.share, found.photographs.unsure) == (0.5, 1)
    assert found.accuracy == pytest.approx((3.5 / 5 + 1.5 / 2) / 2)


def test_who_always_says_the_same_is_as_good_as_chance():
    key = key_of("mmmpppppp")
    for answer in (MADE, UNSURE, PHOTO):
        found = result("", [dict.fromkeys(key.cells, answer)], key)
        assert found.accuracy == 0.5 and found.p_value == pytest.approx(1)


def test_many_eyes_on_the_same_faces_are_not_many_faces():
    key = key_of("m" * 10 + "p" * 10)
    alike = dict(enumerate(([PHOTO] * 4 + [MADE] * 6) * 2, 1))
    one, ten = result("", [alike], key), result("", [alike] * 10, key)
    assert ten.made.share == one.made.share and ten.made.shown == 100
    assert ten.made.high - ten.made.low > 0.95 * (one.made.high - one.made.low)
    assert ten.p_value == pytest.approx(one.p_value)
    other = {number: MADE if answer == PHOTO else PHOTO for number, answer in alike.items()}
    assert result("", [alike, other], key).made.high == wilson(5, 10)[1], "whoever disagrees on every face"
    none = result("", [dict.fromkeys(key.cells, MADE)] * 10, key)
    assert none.made.high == pytest.approx(wilson(0, 10)[1])


def test_blind_answers_are_seldom_called_telling():
    generator = np.random.default_rng(0)
    key = key_of("m" * 12 + "p" * 28)
    found = [
        result("", [dict(enumerate(generator.integers(0, 3, 40).tolist(), 1))] * 2, key).p_value for _ in range(400)
    ]
    assert np.mean(np.array(found) < 0.05) <= 0.08 and np.mean(np.array(found) < 0.5) > 0.35


def test_the_command_from_faces_to_result(data, made, tmp_path):
    np.save(tmp_path / "faces.npy", made)
    look = tmp_path / "look"
    options = ("--sheets", "1", "--faces", "12", "--singles")
    done = facegan("blind", tmp_path / "faces.npy", data, "--out", look, *options)
    assert done.returncode == 0, done.stderr
    key = tmp_path / "look-key.json"
    assert str(key) in done.stdout and "real people" in done.stderr
    names = {str(file.relative_to(look)) for file in look.rglob("*") if file.is_file()}
    assert names == {"sheet-1.png", "answers.csv", "README.txt"} | {f"faces/{n:03d}.png" for n in range(1, 13)}
    described = json.loads(key.read_text())
    assert described["data"]["sha256"] == PackedDataset.open(data).content_hash and described["truncation"] == 1
    files = []
    for name, right in (("anna", True), ("ben", False)):
        text = (look / "answers.csv").read_text()
        for cell in described["cells"]:
            text = text.replace(
                f"\n{cell['number']},\n", f"\n{cell['number']},{'m' if cell['made'] is right else 'r'}\n"
            )
        files.append(tmp_path / f"{name}.csv")
        files[-1].write_text(text)
    scored = facegan("blind", "--score", files[0], "--score", files[1], "--key", key, "--json")
    assert scored.returncode == 0, scored.stderr
    counted = json.loads(scored.stdout)
    assert [row["accuracy"] for row in counted["viewers"]] == [1, 0] and counted["together"]["accuracy"] == 0.5
    assert counted["viewers"][0]["made"]["passed"] == 0 and counted["model"]["faces_sha256"]
    assert counted["viewers"][0]["p_value"] < 0.01 and counted["together"]["p_value"] == pytest.approx(1)
    shown = facegan("blind", "--score", files[0], "--key", key)
    assert "can be told apart" in shown.stdout and "anna.csv" in shown.stdout
    (tmp_path / "bad.csv").write_text("1,perhaps\n")
    assert "bad.csv, line 1" in mistake("blind", "--score", tmp_path / "bad.csv", "--key", key)
    assert "exists already" in mistake("blind", tmp_path / "faces.npy", data, "--out", look, *options)


def test_what_does_not_go_together_is_refused_before_anything_is_written(data, made, tmp_path):
    np.save(tmp_path / "faces.npy", made)
    (tmp_path / "key.json").write_text("{}")
    drawing = {"model": tmp_path / "faces.npy", "data": [data], "out": tmp_path / "look", "sheets": 1, "faces": 12}
    refused = {
        "--key FILE": {"score": [tmp_path / "a.csv"]},
        "leave MODEL": {"score": [tmp_path / "a.csv"], "key": tmp_path / "key.json", "model": tmp_path},
        "names a file twice": {"score": [tmp_path / "a.csv"] * 2, "key": tmp_path / "key.json"},
        "--out DIR": {},
        "that viewers get": drawing | {"key": tmp_path / "look" / "key" / "key.json"},
        "key.json exists already": drawing | {"key": tmp_path / "key.json"},
        "no model that could": drawing | {"truncation": 0.5},
        "--truncation 2": drawing | {"truncation": 2.0},
        "--seed -1": drawing | {"seed": -1},
        "/proc/key.json cannot be written": drawing | {"key": Path("/proc/key.json")},
        "name a new folder": drawing | {"out": Path("/")},
    }
    for told, arguments in refused.items():
        with pytest.raises(UserError) as caught:
            command.blind(**arguments)
        assert told in str(caught.value)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["faces.npy", "key.json"]


def test_a_model_is_named_in_the_key(tmp_path):
    identities = np.arange(1, 121, dtype=np.int32)
    data = write_packed(tmp_path / "data", 120, 64, identities=identities)
    options = ("--sheets", "1", "--faces", "12", "--truncation", "0.7", "--seed", "5")
    done = facegan("blind", "celeba64", data, "--out", tmp_path / "look", *options, "--json")
    assert done.returncode == 0, done.stderr
    places = json.loads(done.stdout)
    assert set(places) == {"test", "sheets", "answers", "key"}
    key = blind.read_key(tmp_path / "look-key.json")
    assert key.described["model"]["truncation"] == 0.7 and len(key.described["model"]["sha256"]) == 64
    first = next(cell for cell in key.cells.values() if cell.made)
    face = api.load("celeba64").sample(1, seed=5, first=first.place, truncation=0.7)
    columns, at = math.ceil(math.sqrt(1.5 * 12)), first.number - 1
    top, left = 8 + at // columns * (192 + 22 + 8), 8 + at % columns * (192 + 8)
    shown = np.asarray(Image.open(tmp_path / "look" / "sheet-1.png"))[top : top + 192, left : left + 192]
    np.testing.assert_allclose(shown.astype(int), pixels.enlarge(face, 3)[0].astype(int), atol=4)
