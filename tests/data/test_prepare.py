"""`facegan prepare`: CelebA as people have it, any folder of images, and everything that may be wrong with them."""

import csv
import io
import json
import shutil
import tarfile
import zipfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from rich.console import Console

from facegan.attributes import ATTRIBUTE_NAMES
from facegan.data import prepare as preparing
from facegan.data.packed import PackedDataset
from facegan.data.prepare import prepare
from facegan.errors import UserError
from facegan.evaluation.faces import faces_at
from facegan.provenance import Provenance
from tests.data.conftest import findings, labels_of, simple_face


def written(out):
    """Return {name: bytes} of a packed dataset's files."""
    return {file.name: file.read_bytes() for file in sorted(out.iterdir())}


def zipped(source, path, prefix):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(source.iterdir()):
            archive.write(file, f"{prefix}{file.name}")
    return path


def as_csv(text_file, csv_file, header, skip=0):
    """Rewrite an official annotation file as Kaggle does."""
    rows = [line.split() for line in text_file.read_text().splitlines()[skip:]]
    with csv_file.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def test_celeba_folder_with_all_its_annotations(celeba, tmp_path):
    result = prepare(celeba, tmp_path / "out", resolution=32, workers=1)
    dataset = result.dataset
    assert len(dataset) == 48 and dataset.labelled and not result.warnings
    assert dataset.files[:2] == ["000001.jpg", "000002.jpg"]
    for row in (0, 17, 47):
        attributes, identity = labels_of(row)
        known = {name: dataset.attributes[row][ATTRIBUTE_NAMES.index(name)] for name in attributes}
        assert known == attributes and np.count_nonzero(dataset.attributes[row]) == len(attributes)
        assert dataset.identities[row] == identity
        with Image.open(celeba / "img_align_celeba" / dataset.files[row]) as image:
            expected = image.resize((32, 32), Image.Resampling.LANCZOS, box=(15, 35, 163, 183))
        np.testing.assert_array_equal(dataset.images[row], np.asarray(expected))
    assert sorted(set(dataset.partitions.tolist())) == [0, 1, 2]
    assert not result.preflight.counts


def test_the_number_of_processes_changes_nothing(celeba, tmp_path):
    shutil.copytree(celeba, tmp_path / "celeba")
    images = tmp_path / "celeba" / "img_align_celeba"
    shutil.copy(images / "000002.jpg", images / "000040.jpg")  # of a person who is held out
    shutil.copy(images / "000003.jpg", images / "000041.jpg")
    (images / "000033.jpg").write_bytes(b"broken")
    for workers in (1, 3):
        prepare(tmp_path / "celeba", tmp_path / f"{workers}", resolution=16, workers=workers, preview=True)
    assert written(tmp_path / "1") == written(tmp_path / "3")
    assert findings(tmp_path / "1") == {
        "000033.jpg": [("unreadable", "set aside")],
        "000002.jpg": [("duplicate", "set aside")],
        "000041.jpg": [("duplicate", "set aside")],
    }


@pytest.fixture(scope="module")
def layouts(celeba, tmp_path_factory):
    """The same faces in every shape that CelebA comes in."""
    root = tmp_path_factory.mktemp("layouts")
    annotations = sorted(celeba.glob("*.txt"))
    images = celeba / "img_align_celeba"

    beside = root / "beside"
    beside.mkdir()
    zipped(images, beside / "img_align_celeba.zip", "img_align_celeba/")
    for file in annotations:
        shutil.copy(file, beside)

    official = root / "official"
    for folder in ("Img", "Anno", "Eval"):
        (official / folder).mkdir(parents=True)
    zipped(images, official / "Img" / "img_align_celeba.zip", "img_align_celeba/")
    shutil.copy(celeba / "list_attr_celeba.txt", official / "Anno")
    shutil.copy(celeba / "identity_CelebA.txt", official / "Anno")
    shutil.copy(celeba / "list_eval_partition.txt", official / "Eval")

    kaggle = root / "kaggle"
    shutil.copytree(images, kaggle / "img_align_celeba" / "img_align_celeba")
    header = ["image_id", *ATTRIBUTE_NAMES]
    as_csv(celeba / "list_attr_celeba.txt", kaggle / "list_attr_celeba.csv", header, skip=2)
    as_csv(celeba / "list_eval_partition.txt", kaggle / "list_eval_partition.csv", ["image_id", "partition"])
    as_csv(celeba / "identity_CelebA.txt", kaggle / "identity_CelebA.csv", ["image_id", "identity"])

    with zipfile.ZipFile(root / "archive.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(kaggle.rglob("*.*")):
            archive.write(file, file.relative_to(kaggle).as_posix())
    return root


@pytest.mark.parametrize(
    "source",
    [
        "beside", "beside/img_align_celeba.zip", "official", "official/Img", "official/Img/img_align_celeba.zip",
        "kaggle", "kaggle/img_align_celeba", "kaggle/img_align_celeba/img_align_celeba", "archive.zip",
    ],
)  # fmt: skip
def test_every_layout_gives_the_same_dataset(celeba, layouts, tmp_path, source):
    expected = prepare(celeba, tmp_path / "expected", resolution=16, workers=1).dataset
    found = prepare(layouts / source, tmp_path / "found", resolution=16, workers=1).dataset
    assert found.content_hash == expected.content_hash and found.files == expected.files


def test_annotations_named_by_flags(celeba, tmp_path):
    images = tmp_path / "pictures"
    shutil.copytree(celeba / "img_align_celeba", images)
    assert not prepare(images, tmp_path / "plain", resolution=16, workers=1).dataset.labelled
    given = prepare(
        images,
        tmp_path / "given",
        resolution=16,
        workers=1,
        attributes=celeba / "list_attr_celeba.txt",
        partition=celeba / "list_eval_partition.txt",
        identities=celeba / "identity_CelebA.txt",
    ).dataset
    assert given.content_hash == prepare(celeba, tmp_path / "all", resolution=16, workers=1).dataset.content_hash


def test_annotations_named_by_flags_that_cannot_be_used(celeba, tmp_path):
    with pytest.raises(UserError, match=r"missing\.txt cannot be read"):
        prepare(celeba, tmp_path / "out", attributes=tmp_path / "missing.txt")
    (tmp_path / "other.txt").write_text("someone.jpg 1\n")
    with pytest.raises(
        UserError, match=r"other\.txt has a row for 0 of the 48 images.*000001\.jpg, and a row for someone\.jpg"
    ):
        prepare(celeba, tmp_path / "out", partition=tmp_path / "other.txt")
    partition = (celeba / "list_eval_partition.txt").read_text()
    (tmp_path / "no-identities.txt").write_text(partition.replace(" 1\n", " 0\n").replace(" 2\n", " 0\n"))
    with pytest.raises(UserError, match="48 of 48 values are no identities"):
        prepare(celeba, tmp_path / "out", identities=tmp_path / "no-identities.txt")
    with pytest.raises(UserError, match="48 of 48 values are no partition, such as '1001'"):
        prepare(celeba, tmp_path / "out", partition=as_other_numbers(celeba, tmp_path / "no-partition.txt"))
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.partial").exists()


def as_other_numbers(celeba, path):
    """Write the list of identities with 1000 added, none of which is a partition."""
    rows = [line.split() for line in (celeba / "identity_CelebA.txt").read_text().splitlines()]
    path.write_text("".join(f"{name} {int(number) + 1000}\n" for name, number in rows))
    return path


def test_annotations_of_other_images_beside_are_left_alone(celeba, tmp_path, encoded):
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "tom.png").write_bytes(encoded(Image.linear_gradient("L").convert("RGB")))
    shutil.copy(celeba / "list_attr_celeba.txt", tmp_path)
    result = prepare(tmp_path / "cats", tmp_path / "out", resolution=16, workers=1)
    assert not result.dataset.labelled and not result.annotations and not result.preflight.counts
    assert "list_attr_celeba.txt was not used" in result.warnings[0]
    shutil.copy(celeba / "list_attr_celeba.txt", tmp_path / "cats")
    with pytest.raises(UserError, match=r"0 of the 1 images.*tom\.png, and a row for 000001\.jpg.*--no-attributes"):
        prepare(tmp_path / "cats", tmp_path / "again", resolution=16, workers=1)
    assert not prepare(
        tmp_path / "cats", tmp_path / "again", resolution=16, workers=1, use_attributes=False
    ).annotations


@pytest.fixture(scope="module")
def size_sources(tmp_path_factory):
    """One face at double size, full size and half size."""
    root = tmp_path_factory.mktemp("sizes")
    double = simple_face(5, (356, 436))
    for name, image in (("double", double), ("full", double.reduce(2)), ("half", double.reduce(4))):
        assert image.size == {"double": (356, 436), "full": (178, 218), "half": (89, 109)}[name]
        (root / name).mkdir()
        image.save(root / name / "face.png")
    return root


def test_half_and_double_size_have_the_same_crop(size_sources, tmp_path):
    def pack(name, crop=148, resolution=32):
        out = tmp_path / f"{name}-{crop}-{resolution}"
        return prepare(size_sources / name, out, resolution=resolution, crop=crop, workers=1)

    full = pack("full").dataset.images[0].astype(float)
    for name in ("half", "double"):
        result = pack(name)
        difference = np.abs(result.dataset.images[0] - full).mean()
        assert difference < 1.5 and not result.warnings
        assert difference < np.abs(pack(name, crop=146).dataset.images[0] - full).mean() / 2
    enlarged = pack("half", resolution=96)
    assert "1 of 1 images had to be enlarged (from a crop 74 px wide to 96 px)" in enlarged.warnings[0]
    with pytest.raises(UserError, match=r"every image was set aside.*too small"):
        pack("half", resolution=149)


def test_an_explicit_crop(size_sources, tmp_path):
    dataset = prepare(size_sources / "full", tmp_path / "d", resolution=128, crop=(25, 45, 153, 173), workers=1).dataset
    with Image.open(size_sources / "full" / "face.png") as image:
        np.testing.assert_array_equal(dataset.images[0], np.asarray(image)[45:173, 25:153])


def test_any_folder_of_images(tmp_path, encoded):
    wide = np.zeros((60, 100, 3), np.uint8)
    wide[:, 10:90], wide[:9] = 255, 128
    source = tmp_path / "pictures"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "wide.png").write_bytes(encoded(wide))
    red = np.full((50, 50, 3), (255, 0, 0), np.uint8)
    red[:5] = 0
    (source / "red.webp").write_bytes(encoded(red, "WEBP"))
    dataset = prepare(source, tmp_path / "out", resolution=20, workers=1).dataset
    assert dataset.files == ["red.webp", "sub/wide.png"] and not dataset.labelled
    assert (dataset.images[1, 5:] > 250).all(), "the largest square in the middle"
    assert dataset.images[0, 10, 10, 0] > 240 and (dataset.partitions == -1).all()


def test_one_bad_file_never_stops_the_rest(tmp_path, encoded):
    good = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    files = {
        "good.png": encoded(good),
        "good_again.png": encoded(good),
        "grey.png": encoded(good[..., 0]),
        "truncated.jpg": encoded(good, "JPEG")[:900],
        "html.jpg": b"<html>not here</html>",
        "tiny.png": encoded(good[:5, :5]),
        "small.png": encoded(good[:12, :12]),
        "phone.HEIC": b"not read",
    }
    source = tmp_path / "source"
    source.mkdir()
    for name, data in files.items():
        (source / name).write_bytes(data)
    result = prepare(source, tmp_path / "out", resolution=16, workers=1)
    assert result.dataset.files == ["good.png", "grey.png", "small.png"]
    assert findings(tmp_path / "out") == {
        "good_again.png": [("duplicate", "set aside")],
        "grey.png": [("grey", "converted")],
        "truncated.jpg": [("truncated", "set aside")],
        "html.jpg": [("unreadable", "set aside")],
        "tiny.png": [("too small", "set aside")],
        "small.png": [("enlarged", "noted")],
        "phone.HEIC": [("unsupported format", "set aside")],
    }
    summary = json.loads((tmp_path / "out" / "preflight.json").read_text())
    assert (summary["examined"], summary["kept"]) == (7, 3)
    reasons = {problem["file"]: problem["reason"] for problem in summary["problems"]}
    assert "good.png" in reasons["good_again.png"] and "HTML" in reasons["html.jpg"]
    console = Console(file=io.StringIO(), width=140)
    console.print(result.preflight.table())
    table = console.file.getvalue()
    assert "3 of 7 images kept" in table and all(
        kind in table for kind in ("duplicate", "grey", "truncated", "html.jpg")
    )


def test_odd_annotations_are_noted_and_listed(celeba, tmp_path):
    source = tmp_path / "celeba"
    shutil.copytree(celeba, source)
    attributes = (source / "list_attr_celeba.txt").read_text().splitlines()
    attributes[0] = "202599"
    attributes[2] += " 1"
    del attributes[6]
    (source / "list_attr_celeba.txt").write_text("\n".join(attributes) + "\n000999.jpg" + "  1" * 40 + "\n")
    partition = (source / "list_eval_partition.txt").read_text().splitlines()
    partition[1], partition[2] = "000002.jpg 2", "000003.jpg 7"
    (source / "list_eval_partition.txt").write_text("\n".join(partition))
    dataset = prepare(source, tmp_path / "out", resolution=16, workers=1).dataset
    assert len(dataset) == 48, "labels never cost an image"
    assert [bool(dataset.attributes[row].any()) for row in range(6)] == [False, True, True, True, False, True]
    assert dataset.partitions[:4].tolist() == [0, 2, -1, 0]
    found = findings(tmp_path / "out")
    assert found == {
        "list_attr_celeba.txt": [("0 for absent", "noted"), ("header count", "noted")],
        "000001.jpg": [("attribute count", "noted")],
        "000005.jpg": [("image without attributes row", "noted")],
        "000999.jpg": [("attributes row without image", "noted")],
        "000003.jpg": [("partition value", "noted")],
        "identity 1": [("identity in two partitions", "noted")],
    }


def test_a_partial_download_is_summed_up(celeba, tmp_path):
    source = tmp_path / "celeba"
    shutil.copytree(celeba, source)
    with (source / "list_eval_partition.txt").open("a") as file:
        file.writelines(f"{number:06d}.jpg 0\n" for number in range(1000, 6000))
    result = prepare(source, tmp_path / "out", resolution=16, workers=1)
    document = json.loads((tmp_path / "out" / "preflight.json").read_text())
    assert document["counts"] == [{"kind": "partition row without image", "action": "noted", "count": 5000}]
    assert len(document["problems"]) == 1000 and result.preflight.table().row_count == 1


def test_limit_takes_the_first_and_blames_nobody(celeba, tmp_path):
    result = prepare(celeba, tmp_path / "out", resolution=16, limit=5, workers=1)
    assert result.dataset.files == [f"{number:06d}.jpg" for number in range(1, 6)]
    assert result.preflight.examined == 5 and not result.preflight.counts


def test_preview(celeba, tmp_path):
    result = prepare(celeba, tmp_path / "out", resolution=16, workers=1, preview=True)
    assert result.preview == tmp_path / "out" / "preview.png"
    with Image.open(result.preview) as image:
        np.testing.assert_array_equal(np.asarray(image)[2:18, 20:36], result.dataset.images[1])
    assert prepare(celeba, tmp_path / "b", resolution=16, workers=1, preview=tmp_path / "p.png").preview.exists()
    assert not (tmp_path / "b" / "preview.png").exists()


def test_progress_counts_every_image(celeba, tmp_path):
    seen = []
    prepare(celeba, tmp_path / "out", resolution=16, workers=2, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (48, 48) and seen == sorted(seen) and len(seen) > 1


def test_a_full_disk_is_noticed_before_the_start(celeba, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10**12, 10**12, 10**6))
    with pytest.raises(UserError, match=r"needs 0\.00 GB for 48 images at 64 px and .* has 0\.00 GB free"):
        prepare(celeba, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_on_the_way(celeba, tmp_path, monkeypatch):
    path_open = Path.open

    def open_until_full(self, mode="r", *arguments, **options):
        if mode == "r+b" and self.name == "images.npy":
            raise OSError(28, "No space left on device")
        return path_open(self, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", open_until_full)
    with pytest.raises(UserError, match=r"No space left on device.*make room"):
        prepare(celeba, tmp_path / "out", workers=1)
    assert list(tmp_path.iterdir()) == []


def test_values_out_of_range(celeba, tmp_path):
    for wrong in ({"resolution": 3}, {"resolution": 5000}, {"limit": 0}, {"workers": 0}, {"crop": 500}):
        with pytest.raises(UserError, match=f"{next(iter(wrong))} {next(iter(wrong.values()))}"):
            prepare(celeba, tmp_path / "out", **wrong)


def test_an_existing_dataset_is_not_overwritten(celeba, tmp_path):
    prepare(celeba, tmp_path / "out", resolution=16, limit=2, workers=1)
    before = written(tmp_path / "out")
    with pytest.raises(UserError, match="nothing is overwritten"):
        prepare(celeba, tmp_path / "out", resolution=16, workers=1)
    assert written(tmp_path / "out") == before


def held(dataset):
    return dataset.hold_out, np.flatnonzero(dataset.held_out()).tolist()


def test_who_is_held_out(celeba, tmp_path):
    """48 faces of 12 people, four each; people 1 to 9 are in train, 10 in valid, 11 and 12 in test."""

    def pack(name, **options):
        return prepare(tmp_path / "celeba", tmp_path / name, resolution=16, workers=1, **options).dataset

    shutil.copytree(celeba, tmp_path / "celeba")
    assert held(pack("a")) == ("identities", [36, 37, 38, 39])
    by_partition = pack("b", hold_out="partition")
    assert held(by_partition) == ("partition", list(range(36, 48)))
    assert held(pack("c", hold_out="none")) == ("none", [])
    by_picture = pack("d", hold_out="pictures")
    assert 0 < len(held(by_picture)[1]) < 15
    (tmp_path / "celeba" / "identity_CelebA.txt").unlink()
    without = pack("e")
    assert held(without) == held(by_partition)
    with pytest.raises(UserError, match="identity_CelebA"):
        pack("f", hold_out="identities")
    (tmp_path / "celeba" / "list_eval_partition.txt").unlink()
    assert held(pack("g")) == ("none", [])
    with pytest.raises(UserError, match="list_eval_partition"):
        pack("h", hold_out="partition")
    with pytest.raises(UserError, match="expected auto, identities, partition, pictures or none"):
        pack("i", hold_out="some")
    assert len({dataset.content_hash for dataset in (by_partition, by_picture, without)}) == 3
    by_partition.verify()


def test_pictures_held_out_stay_held_out_when_others_come(tmp_path, encoded):
    source = tmp_path / "source"
    source.mkdir()
    for number in range(150):
        picture = np.random.default_rng(number).integers(0, 256, (16, 16, 3), np.uint8)
        (source / f"{number}.png").write_bytes(encoded(picture))
    few = prepare(source, tmp_path / "few", resolution=16, workers=1, limit=110).dataset
    many = prepare(source, tmp_path / "many", resolution=16, workers=1).dataset
    names = [{dataset.files[row] for row in held(dataset)[1]} for dataset in (few, many)]
    assert few.hold_out == many.hold_out == "pictures" and names[0] == names[1] & set(few.files) and len(names[0]) > 3
    names_file = few.path / "names.txt"
    few.verify()
    held_out = few.files[int(np.flatnonzero(few.held_out())[0])]
    names_file.write_text(names_file.read_text().replace(held_out, few.files[int(np.flatnonzero(~few.held_out())[0])]))
    with pytest.raises(UserError, match="changed since it was packed"):  # names decide who is held out
        PackedDataset.open(few.path).verify()


def test_made_faces_are_known_and_get_no_labels(celeba, tmp_path, encoded):
    source = tmp_path / "celeba"
    shutil.copytree(celeba, source)
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", "... digitalsourcetype/trainedAlgorithmicMedia ...")
    with Image.open(source / "img_align_celeba" / "000002.jpg") as image:
        image.save(source / "img_align_celeba" / "000002.png", pnginfo=info)
    (source / "img_align_celeba" / "000002.jpg").unlink()
    info.add_text("Software", "facegan sheet")
    Image.linear_gradient("L").save(source / "grid.png", pnginfo=info)
    result = prepare(source, tmp_path / "out", resolution=16, workers=1)
    labelled = np.asarray(result.dataset.attributes).any(axis=1)
    assert np.flatnonzero(~labelled).tolist() == [1] and result.dataset.identities[1] == 0
    assert "1 of 48 images say that a neural network made them: they get no labels from tables" in result.warnings[0]
    assert ("sheet of faces", "set aside") in findings(tmp_path / "out")["grid.png"]
    table = source / "list_attr_celeba.txt"
    named = prepare(source, tmp_path / "named", resolution=16, workers=1, attributes=table).dataset
    assert np.asarray(named.attributes)[1].any() and named.identities[1] == 0  # that table was not named


def test_labels_that_were_made_for_made_faces_are_kept(celeba, tmp_path):
    source = tmp_path / "celeba"
    shutil.copytree(celeba, source)
    for file in (source / "img_align_celeba").iterdir():
        with Image.open(file) as image:
            image.save(file, **Provenance().save_options("JPEG"))
    about = source / "about.json"

    def labelled(name, place=source):
        result = prepare(place, tmp_path / name, resolution=16, workers=1)
        return int(np.asarray(result.dataset.attributes).any(axis=1).sum()), result.warnings[0]

    assert labelled("without")[0] == 0
    for name, content in (("broken", "{"), ("other", '{"made_by": "hand"}'), ("list", "[1]")):
        about.write_text(content)
        assert labelled(name)[0] == 0, name
    about.write_text(json.dumps({"made_by": "facegan synth-dataset: no photograph"}))
    count, warning = labelled("whole")
    assert count == 48 and "they keep the labels of identity_CelebA.txt, list_attr_celeba.txt" in warning
    assert labelled("images", source / "img_align_celeba")[0] == 48
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
        for file in sorted(source.rglob("*.*")):
            archive.write(file, f"made/{file.relative_to(source)}")
    assert labelled("zip", tmp_path / "made.zip")[0] == 48


def test_a_preview_says_what_its_faces_are(celeba, tmp_path):
    prepare(celeba, tmp_path / "real", resolution=16, workers=1, preview=True)
    with Image.open(tmp_path / "real" / "preview.png") as picture:
        assert picture.text["Title"] == "facegan sheet" and "Description" not in picture.text
    assert b"neural" not in (tmp_path / "real" / "dataset.json").read_bytes()
    source = tmp_path / "mixed"
    shutil.copytree(celeba / "img_align_celeba", source)
    with Image.open(source / "000002.jpg") as image:
        image.save(source / "000002.jpg", **Provenance().save_options("JPEG"))
    prepare(source, tmp_path / "some", resolution=16, workers=1, preview=True)
    with Image.open(tmp_path / "some" / "preview.png") as picture:
        assert picture.text["Description"].startswith("in part made by a neural network")


def test_of_copies_the_one_whose_person_is_known_is_kept(celeba, tmp_path):
    source = tmp_path / "celeba"
    shutil.copytree(celeba, source)
    (source / "backup").mkdir()
    for file in sorted((source / "img_align_celeba").iterdir())[:45]:
        shutil.copy(file, source / "backup" / file.name)
    alone, doubled = (
        prepare(folder, tmp_path / name, resolution=16, workers=1).dataset
        for folder, name in ((celeba, "alone"), (source, "doubled"))
    )
    assert alone.identities.tolist() == doubled.identities.tolist()
    np.testing.assert_array_equal(alone.images, doubled.images)
    np.testing.assert_array_equal(alone.held_out(), doubled.held_out())
    assert doubled.source_counts().sum() == len(alone) + 45


def test_line_ends_in_a_file_name(tmp_path, encoded):
    source = tmp_path / "faces"
    source.mkdir()
    for name in ("a.png", "odd\rname.png", "odd\nname.png"):
        simple_face(len(name) + ("\n" in name)).save(source / name)
    dataset = prepare(source, tmp_path / "out", resolution=16, workers=1).dataset
    assert sorted(dataset.files) == ["a.png", "odd?name.png", "odd?name.png"]


def test_an_odd_crop_is_read_back_as_it_was(celeba, tmp_path):
    dataset = prepare(celeba, tmp_path / "out", resolution=64, crop=147, workers=1).dataset
    assert dataset.crop == (15.5, 35.5, 162.5, 182.5)
    scored = faces_at(celeba / "img_align_celeba", 48, [dataset])
    np.testing.assert_array_equal(np.concatenate(list(scored.batches))[0], dataset.images[0])


def test_tables_that_would_not_be_read_are_refused(celeba, tmp_path):
    with pytest.raises(UserError, match=r"--no-attributes reads no table at all, and --identities .* names one"):
        prepare(celeba, tmp_path / "out", use_attributes=False, identities=celeba / "identity_CelebA.txt")


def test_a_limit_that_takes_no_held_out_person_is_named_before_the_work(celeba, tmp_path, monkeypatch):
    monkeypatch.setattr(preparing, "decode_all", lambda *_: pytest.fail("images are decoded"))
    with pytest.raises(UserError, match="--limit 20 takes the first images only"):
        prepare(celeba, tmp_path / "out", resolution=16, hold_out="partition", limit=20)


def test_an_image_is_the_example_where_all_are_set_aside(tmp_path, encoded):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a-note.txt").write_text("notes")
    for number in range(2):
        (tmp_path / "in" / f"{number}.png").write_bytes(encoded(np.zeros((8, 8, 3), np.uint8)))
    with pytest.raises(UserError, match=r"every image was set aside, such as 0\.png"):
        prepare(tmp_path / "in", tmp_path / "out", resolution=256, workers=1)


def test_patterns_name_parquet_files_or_tars(tmp_path, celeba):
    with pytest.raises(UserError, match=r"fits 48 files, such as 000001.jpg: a pattern names Parquet files or tars"):
        prepare(celeba / "img_align_celeba" / "*", tmp_path / "out")
    with tarfile.open(tmp_path / "faces-0.tar", "w") as tar:
        tar.add(celeba / "img_align_celeba", "a")
    assert len(prepare(tmp_path / "faces-*", tmp_path / "out", resolution=16, workers=1).dataset) == 48
    assert len(prepare(celeba / "img_align_celeb[a]", tmp_path / "two", resolution=16, workers=1).dataset) == 48
