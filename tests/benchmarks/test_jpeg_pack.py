"""Packed datasets as JPEG sheets, and back."""

import numpy as np
import pytest
from PIL import features

from facegan.data.packed import DataView, PackedDataset
from facegan.data.writer import PackedWriter
from facegan.errors import UserError
from facegan.randomness import Stream


def smooth(count, side, seed):
    coarse = Stream(seed, "smooth").uniform(np.arange(count), 4 * 4 * 3).reshape(count, 4, 4, 3)
    return (coarse.repeat(side // 4, 1).repeat(side // 4, 2) * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A labelled dataset of more faces than a sheet holds, and a small one that knows nothing."""
    folder = tmp_path_factory.mktemp("two")
    for name, count, side in (("a", 300, 16), ("b", 5, 32)):
        labels = {}
        if name == "a":
            number_N = np.arange(count)
            labels = {
                "attributes": np.where(Stream(0, "l").uniform(number_N, 40) < 0.5, 1, -1),
                "identities": 1 + number_N % 20,
                "partitions": number_N % 3,
                "files": [f"{number:06d}.jpg" for number in number_N],
            }
        with PackedWriter(folder / name, resolution=side, capacity=count) as writer:
            writer.write(0, smooth(count, side, seed=count))
            writer.finish(**labels)
    return [folder / "a", folder / "b"]


@pytest.mark.parametrize("codec", ["jpeg", "avif"])
def test_what_comes_back_is_the_same_but_for_rounding(two, tmp_path, codec):
    from jpeg_pack import pack, unpack

    if codec == "avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    made = pack(two, tmp_path / "pack", 10_000_000, codec)
    assert made.quality == 95
    assert made.faces == 305
    assert made.psnr > 30
    assert made.bytes == sum(file.stat().st_size for file in (tmp_path / "pack").iterdir())
    for path, again in zip(two, unpack(tmp_path / "pack", tmp_path / "back"), strict=True):
        before, after = PackedDataset.open(path), PackedDataset.open(again)
        after.verify()
        for name in ("attributes", "identities", "partitions"):
            np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
        assert after.files == before.files
        assert after.labelled == before.labelled
        assert len(DataView([after])) == len(DataView([before]))  # held-out people stay held out
        error_N = np.abs(after.images.astype(int) - before.images).mean((1, 2, 3))
        other_N = np.abs(np.roll(after.images, 1, 0).astype(int) - before.images).mean((1, 2, 3))
        assert error_N.max() < 12 < other_N.min()  # every face at its own place
    with pytest.raises(UserError, match="exists already"):
        unpack(tmp_path / "pack", tmp_path / "back")


def test_less_room_is_paid_for_in_quality(two, tmp_path):
    from jpeg_pack import pack

    whole = pack(two, tmp_path / "whole", 10_000_000)
    most = int(whole.bytes * 0.95)
    less = pack(two, tmp_path / "less", most)
    assert less.bytes <= most
    assert (less.quality, less.psnr) < (whole.quality, whole.psnr)
    with pytest.raises(UserError, match="are needed even at quality 40"):
        pack(two, tmp_path / "none", 20_000)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("damage", ["sheets.bin", "labels.npz", "pack.json"])
def test_a_damaged_pack_is_refused(two, tmp_path, damage):
    from jpeg_pack import pack, unpack

    pack(two[1:], tmp_path / "pack", 10_000_000)
    file = tmp_path / "pack" / damage
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(UserError, match="is no pack, or damaged"):
        unpack(tmp_path / "pack", tmp_path / "back")
    assert not (tmp_path / "back" / "b").exists()
