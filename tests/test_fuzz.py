"""Damaged files for every loader: a few here, thousands in ``benchmarks/fuzz.py``; and the finds of it."""

import sys

import numpy as np
import pytest
from benchmarks.fuzz import LOADERS, fuzz

from facegan import recipes
from facegan.config import RunConfig, from_dict, to_dict
from facegan.data.celeba import parse_attributes, parse_numbers
from facegan.data.packed import PackedDataset
from facegan.errors import UserError

INPUTS = 200


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
@pytest.mark.parametrize("name", LOADERS)
def test_damaged_files_are_taken_or_refused_in_a_sentence(tmp_path, name):
    counts = fuzz(name, INPUTS, tmp_path)
    assert counts["taken"] + counts["refused"] >= INPUTS
    assert counts["taken"]  # the files it begins with are good ones


# Finds.


def test_a_long_broken_array_header_is_told_briefly(packed16, tmp_path):
    import shutil

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
    file = parse_numbers("identity_CelebA.txt", b"000001.jpg " + digits, range(1, 10_178), "identity")
    assert np.array_equal(file.values, [[-1]])
    with pytest.raises(UserError, match="expected a header"):
        parse_attributes("list_attr_celeba.txt", digits + b"\n000001.jpg 1 1")


def test_a_setting_of_thousands_of_digits_is_told_briefly():
    with pytest.raises(UserError, match="batch") as error:
        from_dict(RunConfig, {"recipe": to_dict(recipes.recipe("dcgan")), "batch": "9" * 5000}, "snapshot.json")
    assert len(str(error.value)) < 2000
