"""Tars of images: WebDataset's shards, and damaged ones."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from facegan.bulk.job import Job
from facegan.bulk.shards import Shards, make
from facegan.data.packed import PackedDataset
from facegan.data.prepare import prepare
from facegan.data.sources import Reader, find_source
from facegan.errors import UserError
from facegan.evaluation.faces import faces_at
from tests.command import mistake


@pytest.fixture(scope="module")
def shards(style_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tars")
    found = Shards(Job(model=style_model, count=120), folder / "f-%03d.tar", 50)
    make(found, found.share(1, 1))
    return folder


@pytest.mark.parametrize("name", ["", "f-*.tar"])
def test_shards_are_read_as_faces_and_as_data(style_model, shards, packed16, tmp_path, name):
    faces = style_model.sample(120)
    found = faces_at(shards / name, 110, [PackedDataset.open(packed16)])
    np.testing.assert_array_equal(np.concatenate(list(found.batches)), faces[:110])
    result = prepare(shards / name, tmp_path / "packed", resolution=16, workers=1)
    np.testing.assert_array_equal(result.dataset.images, faces)
    assert result.dataset.files[50] == "f-001.tar/000050.png"
    assert "120 of 120 images say that a neural network made them" in result.warnings[0]


def test_one_shard(style_model, shards):
    listing = find_source(shards / "f-002.tar")
    assert [file.name for file in listing.images] == [f"{number:06d}.png" for number in range(100, 120)]
    with Reader(listing.source) as reader:
        picture = np.asarray(Image.open(io.BytesIO(reader.read(listing.images[3]))))
    np.testing.assert_array_equal(picture, style_model.sample(120)[103])


def test_damaged_tars_are_refused(shards, tmp_path):
    whole = (shards / "f-000.tar").read_bytes()
    with tarfile.open(shards / "f-000.tar") as archive:
        second = archive.getmembers()[1].offset
    for name, content in {
        "cut": whole[: len(whole) // 2], "headless": whole[:-1024], "empty": b"", "gzip": b"\x1f\x8b" + whole,
        "garbled": whole[:second] + bytes(range(256)) * 2 + whole[second + 512 :],
    }.items():  # fmt: skip
        path = tmp_path / f"{name}.tar"
        path.write_bytes(content)
        with pytest.raises(UserError, match=rf"{name}\.tar is (no plain tar|damaged, or cut short)"):
            find_source(path)


def test_links_and_devices_are_no_images(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, kind in (("a.png", tarfile.SYMTYPE), ("b.png", tarfile.CHRTYPE), ("c.png", tarfile.LNKTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        archive.addfile(tarfile.TarInfo("d.npy"))
    with pytest.raises(UserError, match="1 files and no image"):
        find_source(tmp_path / "a.tar")


def test_images_and_tars_side_by_side_are_refused(shards, tmp_path):
    (tmp_path / "f.tar").write_bytes((shards / "f-000.tar").read_bytes())
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    assert "holds 1 images (such as a.png) and 1 tars (such as f.tar)" in mistake("prepare", tmp_path, tmp_path / "out")
