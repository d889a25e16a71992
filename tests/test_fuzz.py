"""Damaged files for every loader: a few here, thousands in ``benchmarks/fuzz.py``; and the finds of it."""

import shutil
import sys
import zipfile

import numpy as np
import pytest
from benchmarks.fuzz import LOADERS, fuzz

from facegan import recipes
from facegan.config import RunConfig, from_dict, to_dict
from facegan.data.celeba import find_annotations, parse_attributes, parse_numbers
from facegan.data.packed import PackedDataset
from facegan.data.sources import LARGEST_TEXT, find_source
from facegan.errors import UserError

INPUTS = 200
FEW = {"keras": 80}  # each is read in a process of its own


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
@pytest.mark.parametrize("name", LOADERS)
def test_damaged_files_are_taken_or_refused_in_a_sentence(tmp_path, name):
    inputs = FEW.get(name, INPUTS)
    counts = fuzz(name, inputs, tmp_path)
    assert counts["taken"] + counts["refused"] >= inputs
    assert counts["taken"]  # the files it begins with are good ones


# Finds.


def test_a_long_broken_array_header_is_told_briefly(packed16, tmp_path):
    broken = tmp_path / "data"
    shutil.copytree(packed16, broken)
    original = (broken / "images.npy").read_bytes()
    for header in (b"\x93NUMPY\x01\x00\xff\x75" + b"x" * 30_000, b"\x93NUMPY\x01\x00\x76\x00 16, 3), }" + b"(\n" * 60):
        (broken / "images.npy").write_bytes(header + original[128:])
        with pytest.raises(UserError, match=r"images\.npy is damaged") as error:
            PackedDataset.open(broken)
        assert len(str(error.value)) < 600


def test_numbers_of_thousands_of_digits_are_no_numbers():
    digits = b"9" * 5000
    file = parse_numbers("identity_CelebA.txt", b"000001.jpg " + digits, "identities")
    assert np.array_equal(file.values, [[-1]])
    with pytest.raises(UserError, match="expected a header"):
        parse_attributes("list_attr_celeba.txt", digits + b"\n000001.jpg 1 1")


def test_a_setting_of_thousands_of_digits_is_told_briefly():
    with pytest.raises(UserError, match="batch") as error:
        from_dict(RunConfig, {"recipe": to_dict(recipes.recipe("dcgan")), "batch": "9" * 5000}, "snapshot.json")
    assert len(str(error.value)) < 2000


def test_an_array_header_of_gigabytes_is_not_read(packed16, tmp_path):
    broken = shutil.copytree(packed16, tmp_path / "data")
    original = (broken / "images.npy").read_bytes()
    (broken / "images.npy").write_bytes(b"\x93NUMPY\x03\x00\x76\x00{\xff" + original[12:])
    with pytest.raises(UserError, match=r"images\.npy is damaged.*does not begin as an array"):
        PackedDataset.open(broken)


def test_a_zip_member_without_a_name_is_passed_over(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("1.png", b"1")
        archive.writestr("x", b"2")
    content = (tmp_path / "a.zip").read_bytes()
    place = content.rindex(b"PK\x01\x02")
    short = bytearray(content[: place + 46] + content[place + 47 :])  # without the name "x" in the directory
    short[place + 28] = 0
    size = short.rindex(b"PK\x05\x06") + 12
    short[size] -= 1
    (tmp_path / "a.zip").write_bytes(short)
    assert [image.name for image in find_source(tmp_path / "a.zip").images] == ["1.png"]


def test_an_annotation_file_at_a_wrong_place_in_a_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("1.png", b"1")
        archive.writestr("identity_CelebA.txt", b"1.png 1\n")
    content = bytearray((tmp_path / "a.zip").read_bytes())
    end = content.rindex(b"PK\x05\x06")
    content[end + 16] += 100  # the directory begins later: members begin before the file
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UserError, match="download"):
        find_annotations(tmp_path / "a.zip", find_source(tmp_path / "a.zip"))


def test_an_annotation_file_of_gigabytes_is_not_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("1.png", b"1")
        archive.writestr("identity_CelebA.txt", bytes(LARGEST_TEXT + 1))
    with pytest.raises(UserError, match="no annotation file of its images"):
        find_annotations(tmp_path / "a.zip", find_source(tmp_path / "a.zip"))
