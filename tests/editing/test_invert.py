"""A face of the model is found again in a photo of it: where it lies, and what it looks like."""

import io
import math
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image

from facegan.editing.face_search import FaceSearch, Frame, sampled
from facegan.editing.invert import Inverter, read_photo
from facegan.editing.saved_face import pictures, read_face
from facegan.errors import UserError
from facegan.report.pictures import read_picture
from tests.command import facegan, mistake


@pytest.fixture(scope="module")
def inverter(shipped):
    return Inverter(shipped)


def photo_of(face, *, side, x, y, angle, size=(300, 240)):
    """Return a face of the model, turned, in a photo with a background that is no face."""
    random = np.random.default_rng(0)
    ground = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    big = Image.fromarray(face).resize((side, side), Image.Resampling.BICUBIC)
    turned = big.rotate(-angle, Image.Resampling.BICUBIC, expand=True)
    mask = Image.new("L", big.size, 255).rotate(-angle, expand=True)
    ground.paste(turned, (round(x - turned.width / 2), round(y - turned.height / 2)), mask)
    return np.asarray(ground)


def test_a_square_of_eyes_has_them_where_celeba_has_them():
    frame = Frame.of_eyes((54.0, 76.0), (93.4, 76.0))
    assert (round(frame.x, 1), round(frame.side, 1), frame.angle) == (73.7, 148.1, 0.0)
    assert round(frame.y) == 74
    turned = Frame.of_eyes((100.0, 100.0), (100.0, 150.0))  # a face that lies on its side, looking left
    assert turned.angle == 90 and turned.side == pytest.approx(50 / 0.266)
    assert (turned.x, turned.y) == pytest.approx((100 + 0.013 * turned.side, 125))


def test_sampled_squares_are_what_pillow_cuts_out():
    random = np.random.default_rng(0)
    photo = np.asarray(Image.fromarray(random.integers(0, 256, (9, 12, 3), np.uint8)).resize((120, 90), 3))
    pixels = torch.tensor(photo).permute(2, 0, 1)[None].float()
    square = torch.tensor([[50.0, 40.0, 32.0, 0.0], [50.0, 40.0, 32.0, math.pi / 2]])
    upright, turned = sampled(pixels, square, 32).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(upright, photo[24:56, 34:66], atol=1e-2)
    np.testing.assert_allclose(turned, np.rot90(photo[24:56, 34:66], 1), atol=1e-2)


def test_a_face_of_the_model_is_found_again(inverter, shipped):
    aligned = shipped.sample(1, seed=5, first=2)[0]
    found = inverter.invert(aligned, frame=Frame(32, 32, 64), steps=60)
    assert found.psnr > 22 and not found.failed and found.attributes_kept >= 34
    np.testing.assert_array_equal(found.photo, aligned)
    np.testing.assert_array_equal(pictures(shipped, [found.face])[0], found.made)
    assert found.face.style_LW.shape == (shipped.style_layers, 256)


def test_what_is_known_of_a_model_is_computed_once(shipped, monkeypatch, tmp_path):
    monkeypatch.setenv("FACEGAN_CACHE", str(tmp_path))
    faces, made = np.random.default_rng(0).integers(0, 256, (400, 64, 64, 3), np.uint8), []
    monkeypatch.setattr(shipped, "sample", lambda *_, **__: made.append(1) or faces)
    squares = torch.rand(8, 384)
    first = FaceSearch(shipped).energy(squares)
    torch.testing.assert_close(FaceSearch(shipped).energy(squares), first, rtol=0, atol=0)
    assert len(made) == 1
    (file,) = tmp_path.rglob("*.safetensors")
    whole = file.read_bytes()
    half = len(whole) // 2
    for damaged in (whole[:1000], whole[:half] + bytes(4000) + whole[half + 4000 :]):
        file.write_bytes(damaged)
        torch.testing.assert_close(FaceSearch(shipped).energy(squares), first, rtol=0, atol=0)
        assert file.read_bytes() == whole
    assert len(made) == 3


@pytest.mark.long
def test_a_face_is_looked_for_in_a_photo(shipped):
    search = FaceSearch(shipped)
    face = shipped.sample(1, seed=5, first=4)[0]
    photo = photo_of(face, side=110, x=190, y=130, angle=15)
    pixels = torch.tensor(photo).permute(2, 0, 1)[None].float() / 127.5 - 1
    near = [
        frame for frame in search.find(pixels)
        if math.hypot(frame.x - 190, frame.y - 130) < 20 and 85 < frame.side < 140 and abs(frame.angle - 15) < 16
    ]  # fmt: skip
    assert near


def test_a_photo_is_read_as_prepare_reads_it(tmp_path):
    ramp = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    assert np.array_equal(read_photo(tmp_path / "deep.png")[..., 0], (ramp >> 8).astype(np.uint8))
    Image.new("RGBA", (40, 40), (200, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (read_photo(tmp_path / "clear.png") == 255).all()
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.new("RGB", (40, 60)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_photo(tmp_path / "turned.jpg").shape == (40, 60, 3)
    Image.new("RGB", (40, 40)).save(tmp_path / "large.png")
    with pytest.raises(UserError, match="40 x 40 pixels: more than 1,000"):
        read_photo(tmp_path / "large.png", most_pixels=1000)


def test_a_photo_starts_no_program(tmp_path, monkeypatch):
    """Pillow gives PostScript to Ghostscript."""
    monkeypatch.setattr(subprocess, "check_call", lambda *_, **__: pytest.fail("a program was started"))
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n%%EOF\n"
    with pytest.raises(UserError, match=r"this file cannot be read as an image \(not an image"):
        read_photo(io.BytesIO(script), "this file")
    (tmp_path / "epoch0-0.png").write_bytes(script)
    with pytest.raises(OSError, match="cannot identify"):
        read_picture(tmp_path / "epoch0-0.png")


def test_what_is_no_photo_is_refused(tmp_path, dcgan_run, style_run):
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    Image.new("RGB", (20, 20)).save(tmp_path / "small.png")
    Image.new("RGB", (200, 200)).save(tmp_path / "grey.png")
    assert "cannot be read as an image" in mistake("invert", "celeba64", tmp_path / "a.jpg")
    assert "20 x 20 pixels" in mistake("invert", "celeba64", tmp_path / "small.png")
    assert "does not exist" in mistake("invert", "celeba64", tmp_path / "none.png")
    Image.new("RGB", (60, 4000)).save(tmp_path / "strip.png")
    assert "60 x 4000 pixels: crop" in mistake("invert", "celeba64", tmp_path / "strip.png")
    with pytest.raises(UserError, match="give a photo"):
        read_photo(tmp_path)
    for eyes, says in (("1,2,3", "four numbers"), ("9,9,5,9", "left eye"), ("900,900,990,900", "outside")):
        assert says in mistake("invert", "celeba64", tmp_path / "grey.png", "--eyes", eyes, "--out", tmp_path / "o.png")
    out = ("--out", tmp_path / "o.png")
    assert "has no styles" in mistake("invert", dcgan_run, tmp_path / "grey.png", *out)
    assert "no directions" in mistake("invert", style_run, tmp_path / "grey.png", "--attr", "Smiling=1", *out)


def test_the_command(shipped, tmp_path):
    Image.fromarray(shipped.sample(1, seed=5, first=2)[0]).resize((178, 178)).save(tmp_path / "a.png")
    face = tmp_path / "a.safetensors"
    done = facegan(
        "invert", "celeba64", tmp_path / "a.png", "--eyes", "65,91,112,91", "--steps", 40, "--attr", "Smiling=2",
        "--out", tmp_path / "o.png", "--face", face,
    )  # fmt: skip
    assert done.returncode == 0 and "dB" in done.stderr, done.stderr
    assert read_face(face, shipped).origin.edited == "of a photo"
    with Image.open(tmp_path / "o.png") as picture:
        assert picture.width == 3 * 130 + 2 and "in part made by a neural network" in picture.info["Description"]
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(tmp_path / "noise.png")
    done = facegan(
        "invert",
        "celeba64",
        tmp_path / "noise.png",
        "--eyes",
        "23,33,41,33",
        "--steps",
        10,
        "--out",
        tmp_path / "n.png",
    )
    assert done.returncode == 1 and done.stderr.splitlines()[-2].startswith("failed: ")


def test_a_flat_square_holds_no_face(inverter):
    grey = np.full((90, 90, 3), 128, np.uint8)
    grey[::2] += 6
    assert inverter.invert(grey, frame=Frame(45, 45, 64), steps=10).failed


def test_a_misspelt_attribute_is_told_before_the_search(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(tmp_path / "noise.png")
    told = mistake("invert", "celeba64", tmp_path / "noise.png", "--attr", "Smile=2", "--out", tmp_path / "o.png")
    assert "did you mean Smiling" in told
    assert not (tmp_path / "o.png").exists()
