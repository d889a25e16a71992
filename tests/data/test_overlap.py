"""The same pictures in two datasets: held out in one and trained on in the other, or counted double."""

import shutil

import numpy as np
import pytest

from facegan.data.packed import DataView, PackedDataset
from facegan.data.prepare import prepare
from facegan.errors import UserError


def packed(celeba, out, **options):
    return prepare(celeba, out, resolution=16, workers=1, **options).dataset


def test_held_out_pictures_are_never_trained_on_from_another_dataset(celeba, tmp_path):
    one = packed(celeba, tmp_path / "one", hold_out="identities")
    other = packed(celeba, tmp_path / "other", hold_out="none")
    assert 0 < one.held_out().sum() < len(one)
    for held_out in (False, True):
        with pytest.raises(UserError, match=r"share 48 pictures, and 4 of them are held out in one and trained on"):
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
    assert not shared and len(DataView([one, other])) == 30 - one.held_out().sum() + 23
    line = PackedDataset.open(tmp_path / "other")
    line.images = np.array(line.images)
    line.images[:, : line.resolution // 2] ^= 255
    copy = PackedDataset.open(tmp_path / "other")
    copy.path = tmp_path / "third"
    assert len(DataView([line, copy])) == 46
