"""The packed dataset: what is written is read back, damage is refused, several datasets are one view."""

import json
import shutil
import tracemalloc

import numpy as np
import pytest

from facegan.data.packed import DataView, PackedDataset, array_layout
from facegan.data.writer import PackedWriter
from facegan.errors import UserError


def images_of(count, resolution=8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, resolution, resolution, 3), np.uint8)


def write(path, images, **labels):
    with PackedWriter(path, resolution=images.shape[1], capacity=len(images)) as writer:
        writer.write(0, images)
        return writer.finish(**labels)


def test_what_is_written_is_read_back(tmp_path):
    images = images_of(5)
    attributes = np.random.default_rng(1).integers(-1, 2, (5, 40)).astype(np.int8)
    identities, partitions = np.array([7, 0, 10, 20, 2**31 - 1]), np.array([0, 1, 2, -1, 0])
    names = ["a.jpg", "b c.jpg", "sub/ü.png", "line\nbreak.jpg", "e.jpg"]
    write(tmp_path / "d", images, attributes=attributes, identities=identities, partitions=partitions, files=names)
    dataset = PackedDataset.open(tmp_path / "d")
    assert len(dataset) == 5 and dataset.resolution == 8 and dataset.labelled
    np.testing.assert_array_equal(dataset.images, images)
    np.testing.assert_array_equal(dataset.attributes, attributes)
    np.testing.assert_array_equal(dataset.identities, identities)
    np.testing.assert_array_equal(dataset.partitions, partitions)
    assert dataset.files == ["a.jpg", "b c.jpg", "sub/ü.png", "line?break.jpg", "e.jpg"]
    assert dataset.held_out().tolist() == [False, False, True, True, False]
    with pytest.raises(ValueError, match="read-only"):
        dataset.images[0] = 0


def test_rows_set_aside_leave_no_gap(tmp_path):
    images = images_of(3000, 4)
    kept = np.flatnonzero(np.random.default_rng(2).random(3000) < 0.9)
    with PackedWriter(tmp_path / "d", resolution=4, capacity=3000) as writer:
        writer.write(0, images)
        dataset = writer.finish(rows=kept)
    np.testing.assert_array_equal(dataset.images, images[kept])
    assert (tmp_path / "d" / "images.npy").stat().st_size == 128 + len(kept) * 48


def test_unknown_labels_are_the_default(tmp_path):
    dataset = write(tmp_path / "d", images_of(3))
    assert not dataset.labelled and not dataset.attributes.any() and not dataset.identities.any()
    assert dataset.partitions.tolist() == [-1] * 3 and not dataset.held_out().any()


def test_content_hash_knows_pixels_and_labels(tmp_path):
    images = images_of(4)
    hashes = {write(tmp_path / "a", images).content_hash}
    assert write(tmp_path / "b", images, files=["w", "x", "y", "z"]).content_hash in hashes
    hashes.add(write(tmp_path / "c", images, identities=np.arange(4)).content_hash)
    images[3, 7, 7, 2] ^= 1
    hashes.add(write(tmp_path / "d", images).content_hash)
    assert len(hashes) == 3


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), PackedWriter(tmp_path / "d", resolution=8, capacity=4) as writer:
        writer.write(0, images_of(4))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path):
    write(tmp_path / "d", images_of(2))
    before = (tmp_path / "d" / "dataset.json").read_bytes()
    with pytest.raises(UserError, match="nothing is overwritten"):
        PackedWriter(tmp_path / "d", resolution=8, capacity=1)
    assert (tmp_path / "d" / "dataset.json").read_bytes() == before
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="nothing is overwritten"):
        PackedWriter(tmp_path / "file", resolution=8, capacity=1)


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "d").mkdir()
    assert len(write(tmp_path / "d", images_of(2))) == 2


def test_remains_of_a_killed_writer_are_removed(tmp_path):
    (tmp_path / "d.partial" / "sub").mkdir(parents=True)
    (tmp_path / "d.partial" / "attributes.npy").write_bytes(b"old")
    (tmp_path / "d.partial" / "old.txt").write_bytes(b"old")
    (tmp_path / "d.partial" / "lock").touch()
    write(tmp_path / "d", images_of(2))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["d"]
    assert sorted(file.name for file in (tmp_path / "d").iterdir()) == [
        "attributes.npy", "dataset.json", "identities.npy", "images.npy", "names.txt", "partitions.npy",
    ]  # fmt: skip


def test_a_folder_of_somebody_else_stays(tmp_path):
    (tmp_path / "d.partial").mkdir()
    (tmp_path / "d.partial" / "mine.txt").write_bytes(b"mine")
    with pytest.raises(UserError, match=r"d.partial, .* is not facegan's: rename it"):
        write(tmp_path / "d", images_of(2))
    assert (tmp_path / "d.partial" / "mine.txt").read_bytes() == b"mine"
    with pytest.raises(UserError, match=r"a name that ends in .partial"):
        write(tmp_path / "e.partial", images_of(2))


def test_a_link_to_an_empty_folder_is_followed(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "d").symlink_to(tmp_path / "disk")
    write(tmp_path / "d", images_of(2))
    assert len(PackedDataset.open(tmp_path / "d")) == 2 and (tmp_path / "d").is_symlink()
    assert (tmp_path / "disk" / "images.npy").is_file()


def test_where_a_disk_is_mounted_is_refused_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "disk").mkdir()
    monkeypatch.setattr("os.path.ismount", lambda path: path == tmp_path / "disk")
    with pytest.raises(UserError, match="where a disk is mounted"):
        PackedWriter(tmp_path / "disk", resolution=8, capacity=2)


def test_two_writers_of_one_dataset(tmp_path):
    with PackedWriter(tmp_path / "d", resolution=8, capacity=2) as writer:
        writer.write(0, images_of(2))
        with pytest.raises(UserError, match="another facegan"), PackedWriter(tmp_path / "d", resolution=8, capacity=1):
            pass
        assert len(writer.finish()) == 2


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "d"
    write(path, images_of(4), attributes=np.ones((4, 40), np.int8))
    return path


def rewrite(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


DAMAGES = {
    "no json": lambda d: (d / "dataset.json").unlink(),
    "broken json": lambda d: (d / "dataset.json").write_text('{"format_version": 1'),
    "json of another kind": lambda d: (d / "dataset.json").write_text("[1]"),
    "other version": lambda d: rewrite(d / "dataset.json", format_version=99),
    "other count": lambda d: rewrite(d / "dataset.json", count=5),
    "count of no number": lambda d: rewrite(d / "dataset.json", count="4"),
    "count true": lambda d: rewrite(d / "dataset.json", count=True),
    "negative resolution": lambda d: rewrite(d / "dataset.json", resolution=-8),
    "other resolution": lambda d: rewrite(d / "dataset.json", resolution=4),
    "images missing": lambda d: (d / "images.npy").unlink(),
    "images cut": lambda d: (d / "images.npy").write_bytes((d / "images.npy").read_bytes()[:-1]),
    "images too long": lambda d: (d / "images.npy").write_bytes((d / "images.npy").read_bytes() + b"x"),
    "header cut": lambda d: (d / "images.npy").write_bytes((d / "images.npy").read_bytes()[:50]),
    "no array": lambda d: (d / "images.npy").write_bytes(b"<html>"),
    "empty file": lambda d: (d / "partitions.npy").write_bytes(b""),
    "attributes of another type": lambda d: np.save(d / "attributes.npy", np.ones((4, 40), np.float32)),
    "attributes of another shape": lambda d: np.save(d / "attributes.npy", np.ones((4, 39), np.int8)),
    "pickled identities": lambda d: np.save(d / "identities.npy", np.array([None] * 4), allow_pickle=True),
    "partitions missing": lambda d: (d / "partitions.npy").unlink(),
    "names missing": lambda d: (d / "names.txt").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_refused(whole, tmp_path, damage):
    broken = tmp_path / "broken"
    shutil.copytree(whole, broken)
    assert len(PackedDataset.open(broken)) == 4
    DAMAGES[damage](broken)
    with pytest.raises(UserError, match="broken") as error:
        PackedDataset.open(broken)
    assert "prepare" in str(error.value)


def test_content_that_changed_since_is_noticed(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "d")
    PackedDataset.open(tmp_path / "d").verify()
    images = np.load(tmp_path / "d" / "images.npy")
    images[1, 2, 3] ^= 1
    np.save(tmp_path / "d" / "images.npy", images)
    with pytest.raises(UserError, match="changed since it was packed"):
        PackedDataset.open(tmp_path / "d").verify()


def test_names_that_do_not_match_are_refused(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "d")
    (tmp_path / "d" / "names.txt").write_text("one\ntwo\n")
    dataset = PackedDataset.open(tmp_path / "d")
    with pytest.raises(UserError, match="2 names"):
        _ = dataset.files


def test_what_is_no_packed_dataset(tmp_path):
    (tmp_path / "x.partial").mkdir()
    (tmp_path / "file").touch()
    for name, says in (("missing", "does not exist"), ("file", "is a file"), ("x.partial", "unfinished"), (".", "no")):
        with pytest.raises(UserError, match=says):
            PackedDataset.open(tmp_path / name)
    labels = {"labels": [[f"00000/img{number:08d}.png", number % 40] for number in range(40_000)]}
    (tmp_path / "dataset.json").write_text(json.dumps(labels))  # of 1.4 MB
    with pytest.raises(UserError, match="StyleGAN dataset"):
        PackedDataset.open(tmp_path)


def test_a_large_dataset_costs_no_memory(tmp_path):
    count = 202_599
    for name, (dtype, shape) in array_layout(count, 64).items():
        with (tmp_path / f"{name}.npy").open("wb") as file:
            header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            file.truncate(file.tell() + dtype.itemsize * int(np.prod(shape)))  # a hole: no disk either
    document = {"format_version": 1, "resolution": 64, "count": count, "labelled": False, "content_hash": "0" * 64}
    (tmp_path / "dataset.json").write_text(json.dumps(document))
    (tmp_path / "names.txt").write_text("")
    tracemalloc.start()
    view = DataView([PackedDataset.open(tmp_path)])
    batch = view.images(np.arange(0, count, 4000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(view) == count and batch.shape == (51, 64, 64, 3)
    assert peak < 16e6, "positions of all images and one batch, not 2.5 GB of pixels"


def test_a_view_leaves_out_held_out_people(tmp_path):
    images = images_of(6)
    dataset = write(tmp_path / "d", images, identities=np.array([10, 3, 0, 20, 7, 30]))
    training, held_out, everybody = (DataView([dataset], held_out=which) for which in (False, True, None))
    assert (len(training), len(held_out), len(everybody)) == (3, 3, 6)
    np.testing.assert_array_equal(training.images(np.array([2, 0, 0])), images[[4, 1, 1]])
    np.testing.assert_array_equal(held_out.images(np.arange(3)), images[[0, 3, 5]])
    assert held_out.identities(np.arange(3)).tolist() == [10, 20, 30]
    assert training.content_hash == dataset.content_hash


def test_a_view_of_two_datasets(tmp_path):
    one, two = images_of(4), images_of(5, seed=1)
    plus = np.ones((5, 40), np.int8)
    datasets = [
        write(tmp_path / "one", one, identities=np.array([1, 10, 2, 3])),
        write(tmp_path / "two", two, identities=np.array([20, 4, 5, 6, 7]), attributes=plus),
    ]
    view = DataView(datasets)
    everything = np.concatenate([one[[0, 2, 3]], two[1:]])
    order = np.array([6, 0, 3, 3, 2, 5, 1, 4])
    np.testing.assert_array_equal(view.images(order), everything[order])
    assert view.identities(np.arange(7)).tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert view.attributes(np.array([0, 4]))[:, 0].tolist() == [0, 1]
    assert view.labelled and len(view) == 7
    assert len({view.content_hash, DataView(datasets[::-1]).content_hash, *(d.content_hash for d in datasets)}) == 4
    with pytest.raises(IndexError):
        view.images(np.array([7]))


def test_views_that_make_no_sense(tmp_path):
    small = write(tmp_path / "small", images_of(2, 8))
    large = write(tmp_path / "large", images_of(2, 16))
    with pytest.raises(UserError, match=r"small.*8 px.*large.*16 px"):
        DataView([small, large])
    with pytest.raises(UserError, match=r"no image is held out \(no identity is known\).*--hold-out partition"):
        DataView([small], held_out=True)
    with pytest.raises(UserError, match="no dataset"):
        DataView([])
    with pytest.raises(UserError, match="given twice"):
        DataView([small, PackedDataset.open(tmp_path / "small")])
