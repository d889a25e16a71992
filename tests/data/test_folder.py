"""Sources: folders and zips as people have them, and what is called a zip and is none."""

import os
import struct
import threading
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from facegan.data.sources import Reader, UnreadableError, find_source, list_images, read_text_file
from facegan.errors import UserError


def names(listing):
    return [file.name for file in listing.images]


def put(root, *paths, data=b"x"):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)


def make_zip(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def read_all(path):
    with Reader(path) as reader:
        return [reader.read(file) for file in list_images(path).images]


def test_a_folder_in_the_order_of_names(tmp_path):
    put(tmp_path, "b/2.JPG", "b/1.jpeg", "a/9.png", "notes.txt", ".hidden.jpg", "__MACOSX/b/._1.jpg", ".git/x.png")
    listing = list_images(tmp_path)
    assert names(listing) == ["a/9.png", "b/1.jpeg", "b/2.JPG"] and listing.others == ["notes.txt"]


def test_the_folder_common_to_all_is_no_part_of_the_name(tmp_path):
    put(tmp_path, "img/align/1.jpg", "img/align/2.jpg", "list.txt")
    assert names(list_images(tmp_path)) == ["1.jpg", "2.jpg"]
    put(tmp_path, "img/alignment/3.jpg")
    assert names(list_images(tmp_path)) == ["align/1.jpg", "align/2.jpg", "alignment/3.jpg"]


def test_packed_datasets_and_unfinished_ones_are_passed_over(tmp_path):
    put(tmp_path, "1.jpg", "packed/preview.png", "other.partial/2.jpg", "run/samples/epoch1-2.png", "sg/00000/3.png")
    put(tmp_path, "packed/dataset.json", data=b'{"format_version": 1}')
    put(tmp_path, "run/run.json", data=b'{"config": {}}')
    put(tmp_path, "sg/dataset.json", data=b'{"labels": [["00000/3.png", 0]]}')
    listing = list_images(tmp_path)
    assert names(listing) == ["1.jpg", "sg/00000/3.png"]
    assert sorted(folder for folder, _ in listing.skipped) == ["packed", "run"]
    assert names(find_source(tmp_path / "sg")) == ["3.png"], "StyleGAN's folders have a dataset.json of another kind"
    with pytest.raises(UserError, match="is a run"):
        find_source(tmp_path / "run")
    with pytest.raises(UserError, match="packed dataset already"):
        find_source(tmp_path / "packed")


def test_links_are_followed_but_not_in_circles(tmp_path):
    put(tmp_path, "real/1.jpg")
    (tmp_path / "real" / "again").symlink_to(tmp_path / "real")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "linked").symlink_to(tmp_path / "real")
    assert names(list_images(tmp_path / "source")) == ["1.jpg"]


def test_what_cannot_be_read_in_a_folder(tmp_path):
    put(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(300 << 20)
    reasons = {}
    with Reader(tmp_path) as reader:
        for file in list_images(tmp_path).images:
            try:
                reader.read(file)
            except UnreadableError as error:
                reasons[file.name] = str(error)
    assert set(reasons) == {"pipe.jpg", "gone.jpg", "huge.jpg"}
    assert "regular" in reasons["pipe.jpg"] and "No such file" in reasons["gone.jpg"] and "large" in reasons["huge.jpg"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_is_read_without_extracting(tmp_path, method):
    members = {"img/2.jpg": b"two" * 50, "img/1.jpg": os.urandom(3000), "img/": b"", "list.txt": b"x"}
    path = make_zip(tmp_path / "a.zip", members, method)
    listing = find_source(path)
    assert names(listing) == ["1.jpg", "2.jpg"] and listing.others == ["list.txt"]
    assert read_all(path) == [members["img/1.jpg"], members["img/2.jpg"]]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.zip"]


def test_names_that_lead_out_of_a_zip_are_harmless(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    path = make_zip(home / "a.zip", {"../../evil.jpg": b"1", "/etc/evil.jpg": b"2", "good.jpg": b"3"})
    assert sorted(read_all(path)) == [b"1", b"2", b"3"]
    assert [file.name for file in tmp_path.rglob("*")] == ["home", "a.zip"]


def test_bytes_before_a_zip_do_not_matter(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"1.jpg": b"one"})
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())
    assert read_all(path) == [b"one"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_damaged_in_a_zip(tmp_path, method):
    path = make_zip(tmp_path / "a.zip", {"1.jpg": os.urandom(500), "2.jpg": b"good"}, method)
    data = bytearray(path.read_bytes())
    data[200] ^= 0xFF
    path.write_bytes(data)
    first, second = list_images(path).images
    with Reader(path) as reader:
        with pytest.raises(UnreadableError):
            reader.read(first)
        assert reader.read(second) == b"good"


def change_directory(path, offset, form, value):
    """Write a field of the first entry in a zip's central directory."""
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, data.index(b"PK\x01\x02") + offset, value)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("offset", "form", "value", "says"),
    [
        (8, "<H", 1, "encrypted"),
        (10, "<H", 12, "method 12"),
        (24, "<I", 2**31, "large"),
        (24, "<I", 10, "checksum"),
        (42, "<I", 7, "damaged at this file"),
        (42, "<I", 10**9, "damaged at this file"),
    ],
    ids=["encrypted", "bzip2", "promises gigabytes", "swells", "wrong place", "place outside"],
)
def test_members_that_cannot_be_read(tmp_path, offset, form, value, says):
    path = make_zip(tmp_path / "a.zip", {"1.jpg": bytes(100_000)})
    change_directory(path, offset, form, value)
    with Reader(path) as reader, pytest.raises(UnreadableError, match=says):
        reader.read(list_images(path).images[0])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"\n<!DOCTYPE html><html><title>Google Drive - Quota exceeded</title>", "HTML page.*download"),
        (b"<HTML><HEAD>", "HTML page"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(100), "7z archive: unpack"),
        (b"Rar!\x1a\x07" + bytes(100), "rar archive"),
        (b"\x1f\x8b\x08" + bytes(100), "gzip"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "a picture: give the folder"),
        (b"no pictures at all" + bytes(100), "neither a folder nor a zip"),
    ],
)
def test_what_is_no_zip(tmp_path, data, says):
    put(tmp_path, "img_align_celeba.zip", data=data)
    with pytest.raises(UserError, match=says) as error:
        find_source(tmp_path / "img_align_celeba.zip")
    assert "img_align_celeba.zip" in str(error.value)


def test_half_a_zip(tmp_path):
    path = make_zip(tmp_path / "a.zip", {f"{number}.jpg": os.urandom(100) for number in range(20)})
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(UserError, match=r"only part of a zip.*1,500 bytes.*download it again"):
        find_source(path)


def test_a_folder_round_the_zip(tmp_path):
    make_zip(tmp_path / "img_align_celeba.zip", {"img_align_celeba/1.jpg": b"1"})
    put(tmp_path, "list_attr_celeba.txt")
    assert find_source(tmp_path).source == tmp_path / "img_align_celeba.zip"
    make_zip(tmp_path / "other.zip", {"1.jpg": b"1"})
    assert find_source(tmp_path).source == tmp_path / "img_align_celeba.zip"
    (tmp_path / "img_align_celeba.zip").rename(tmp_path / "third.zip")
    with pytest.raises(UserError, match=r"several zips.*other.zip.*third.zip"):
        find_source(tmp_path)


def test_nothing_to_be_found(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        find_source(tmp_path / "missing")
    with pytest.raises(UserError, match="found nothing"):
        find_source(tmp_path)
    put(tmp_path, "1.heic", "2.heic")
    with pytest.raises(UserError, match=r"2 other files \(\.heic\)"):
        find_source(tmp_path)


def test_reading_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "img.zip")
    outcome = []

    def look():
        try:
            find_source(tmp_path / "img.zip")
        except UserError as error:
            outcome.append(error)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(5)
    assert outcome, "a pipe was waited for"


def test_the_content_tells_where_the_suffix_does_not(tmp_path, encoded):
    image = Image.new("RGB", (8, 8))
    for name, kind in (
        ("a.jpg_large", "JPEG"),
        ("b.jpg?w=640", "PNG"),
        ("c", "WEBP"),
        ("d.bin", "BMP"),
        ("e.x", "TIFF"),
    ):
        put(tmp_path, name, data=encoded(image, kind))
    put(tmp_path, "README", "f.notes", data=b"no picture")
    put(tmp_path, "g", data=b"8BPS\x00\x01 and so on")
    listing = list_images(tmp_path)
    assert names(listing) == ["a.jpg_large", "b.jpg?w=640", "c", "d.bin", "e.x"]
    assert listing.unsupported == ["g"] and sorted(listing.others) == ["README", "f.notes"]
    path = make_zip(tmp_path / "a.zip", {file.name: (tmp_path / file.name).read_bytes() for file in listing.images})
    assert names(list_images(path)) == names(listing)


def test_a_zip_made_on_windows(tmp_path):
    data = encoded_directory = make_zip(
        tmp_path / "a.zip", {"CelebA_img_1.jpg": b"1", "CelebA_Anno_list_attr_celeba.txt": b"x"}
    )
    content = encoded_directory.read_bytes()
    for name in (b"CelebA_img_1.jpg", b"CelebA_Anno_list_attr_celeba.txt"):
        content = content.replace(
            name, name.replace(b"CelebA_img_", b"CelebA\\img\\").replace(b"CelebA_Anno_", b"CelebA\\Anno\\")
        )
    data.write_bytes(content)
    listing = list_images(data)
    assert names(listing) == ["1.jpg"] and listing.images[0].path == "CelebA/img/1.jpg"
    assert listing.others == ["CelebA/Anno/list_attr_celeba.txt"]
    assert read_all(data) == [b"1"] and read_text_file(data, "CelebA/Anno/list_attr_celeba.txt") == b"x"


def test_masks_are_no_faces(tmp_path):
    put(tmp_path, "CelebA-HQ-img/0.jpg", "CelebAMask-HQ-mask-anno/0/00000_hair.png")
    listing = list_images(tmp_path)
    assert names(listing) == ["0.jpg"] and listing.skipped == [("CelebAMask-HQ-mask-anno", "masks, and no faces")]


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    put(tmp_path, "many/1.jpg", "few/2.jpg")
    scandir = os.scandir

    def failing(path="."):
        if Path(path).name == "many":
            raise OSError(5, "Input/output error", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", failing)
    listing = list_images(tmp_path)
    assert names(listing) == ["2.jpg"] and listing.unlisted == [("many", "Input/output error")]
    with pytest.raises(UserError, match=r"many.*cannot be listed: Input/output error"):
        find_source(tmp_path / "many")
