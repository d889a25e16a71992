"""Every kind of bad image file: converted or set aside, with its reason; one bad file never stops the rest."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from facegan.data.decode import decode_image

RAMP = np.stack(np.broadcast_arrays(*np.mgrid[0:64, 0:64] * 4, np.uint8(90)), axis=-1).astype(np.uint8)
"""Red grows downwards, green to the right."""


def decode(data, resolution=64, crop=148):
    image, found = decode_image(data, resolution, crop)
    if image is not None:
        assert image.shape == (resolution, resolution, 3) and image.dtype == np.uint8
    return image, [(finding.kind, finding.action) for finding in found]


def png_header_only(width, height):
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_a_plain_image_is_kept_as_it_is(encoded):
    image, found = decode(encoded(RAMP))
    np.testing.assert_array_equal(image, RAMP)
    assert found == []


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM"])
def test_formats(encoded, kind):
    image, found = decode(encoded(RAMP, kind))
    assert np.abs(image.astype(int) - RAMP).mean() < 4 and found == []


def test_grey(encoded):
    grey = RAMP[..., 0]
    for mode in (grey, Image.fromarray(grey).convert("1")):
        image, found = decode(encoded(mode))
        assert (image == image[..., :1]).all() and found == [("grey", "converted")]
    assert decode(encoded(grey, "JPEG"))[1] == [("grey", "converted")]


def test_palette(encoded):
    image, found = decode(encoded(Image.fromarray(RAMP).quantize(256), "GIF"))
    assert np.abs(image.astype(int) - RAMP).mean() < 20 and found == [("palette", "converted")]


def test_cmyk(encoded):
    image, found = decode(encoded(Image.fromarray(RAMP).convert("CMYK"), "JPEG", quality=95))
    assert np.abs(image.astype(int) - RAMP).mean() < 6 and found == [("CMYK", "converted")]


def test_sixteen_bits(encoded):
    image, found = decode(encoded((RAMP[..., 0].astype(np.uint16) << 8) + 255))
    np.testing.assert_array_equal(image, RAMP[..., :1].repeat(3, axis=2))
    assert found == [("16-bit", "converted")]


def test_alpha_is_laid_on_white(encoded):
    opacity = np.zeros((64, 64, 1), np.uint8)
    opacity[:, 32:] = 255
    image, found = decode(encoded(np.concatenate([RAMP, opacity], axis=2)))
    assert (image[:, :32] == 255).all()
    np.testing.assert_array_equal(image[:, 32:], RAMP[:, 32:])
    assert found == [("alpha", "converted")]


def test_a_transparent_palette_and_a_transparent_colour(encoded):
    dark = np.zeros((64, 64, 3), np.uint8)
    dark[:8] = (200, 0, 0)
    palette = Image.fromarray(dark).quantize(4)
    image, found = decode(encoded(palette, transparency=palette.getpixel((9, 60))))
    assert (image[16:] == 255).all() and found == [("palette", "converted"), ("alpha", "converted")]
    image, found = decode(encoded(dark + np.uint8(9), transparency=(9, 9, 9)))
    assert (image[16:] == 255).all() and found == [("alpha", "converted")]


@pytest.mark.parametrize(("orientation", "turns"), [(3, 2), (6, -1), (8, 1)])
def test_exif_rotation_is_undone(encoded, orientation, turns):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.rot90(RAMP, -turns)
    image, found = decode(encoded(np.ascontiguousarray(stored), "JPEG", quality=98, exif=exif))
    assert np.abs(image.astype(int) - RAMP).mean() < 4 and found == [("rotated", "converted")]
    exif[0x0112] = 1
    assert decode(encoded(RAMP, "JPEG", exif=exif))[1] == []


def test_a_rotated_aligned_image_has_the_frames_crop(encoded):
    frame = np.zeros((218, 178, 3), np.uint8)
    frame[35:183, 15:163] = 200
    exif = Image.Exif()
    exif[0x0112] = 6
    image, _ = decode(encoded(np.ascontiguousarray(np.rot90(frame)), "PNG", exif=exif), resolution=37)
    assert image[1:-1, 1:-1].min() > 190


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animated_takes_the_first_frame(encoded, kind):
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    frames[0].paste((250, 0, 0), (0, 0, 64, 32))
    image, found = decode(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert ("animated", "converted") in found
    assert image[..., 0].min() > 240 and image[..., 2].max() < 15


def test_too_small_and_enlarged(encoded):
    small = encoded(RAMP[:31, :31])
    assert decode(small)[1] == [("too small", "set aside")]
    image, found = decode(small, resolution=62)
    assert found == [("enlarged", "noted")] and image.shape == (62, 62, 3)
    assert decode(encoded(RAMP[:1]))[1] == [("too small", "set aside")]


@pytest.mark.parametrize("size", [(9000, 9000), (100_000, 100_000)])
def test_too_many_pixels_are_never_decoded(size):
    assert decode(png_header_only(*size)) == (None, [("too many pixels", "set aside")])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF"])
def test_truncated(encoded, kind):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    whole = encoded(noise, kind)
    image, found = decode(whole[: len(whole) // 2])
    assert image is None and found in ([("truncated", "set aside")], [("unreadable", "set aside")])
    if kind in ("JPEG", "PNG"):
        assert found == [("truncated", "set aside")]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"<!DOCTYPE html><html><body>Not found</body></html>",
        b"\xff\xd8\xff" + bytes(range(256)) * 4,
        b"\x89PNG\r\n\x1a\n" + b"\x13" * 500,
        b"GIF89a" + b"\xff" * 100,
        b"RIFF\x10\x00\x00\x00WEBPVP8 " + b"\x00" * 40,
        b"II*\x00\x08\x00\x00\x00\xff\xff" + b"\x01" * 60,
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EOF\n",
    ],
)
def test_unreadable(data):
    assert decode(data) == (None, [("unreadable", "set aside")])


def test_floating_point_pixels(encoded):
    assert decode(encoded(np.ones((64, 64), np.float32), "TIFF")) == (None, [("unreadable", "set aside")])


def test_fuzzed_files_never_raise(encoded):
    rng = np.random.default_rng(0)
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"):
        whole = np.frombuffer(encoded(RAMP, kind), np.uint8)
        for _ in range(40):
            damaged = whole.copy()
            damaged[rng.integers(0, len(whole), 8)] = rng.integers(0, 256, 8)
            decode(damaged.tobytes(), resolution=16)


@pytest.mark.parametrize(("bits", "factor"), [(8, 1), (10, 4), (12, 16), (14, 64), (16, 256)])
def test_sixteen_bits_are_scaled_by_those_that_are_used(encoded, bits, factor):
    image, found = decode(encoded(RAMP[..., 0].astype(np.uint16) * factor))
    np.testing.assert_array_equal(image[..., 0], RAMP[..., 0])
    assert found == [("16-bit", "converted")]


def sixteen_bit_colour(values):
    """Return a PNG of uint16 [H, W, 3], which Pillow reads and does not write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_sixteen_bit_colour_that_would_come_out_black_is_set_aside():
    image, found = decode(sixteen_bit_colour(RAMP.astype(np.uint16) * 257))
    np.testing.assert_array_equal(image, RAMP)
    assert found == [("16-bit", "converted")]
    assert decode(sixteen_bit_colour(RAMP.astype(np.uint16) * 16))[1] == [("16-bit", "set aside")]


@pytest.mark.parametrize("colour", ["black", "white", (9, 80, 200)])
def test_a_picture_of_one_colour_is_set_aside(encoded, colour):
    assert decode(encoded(Image.new("RGB", (64, 64), colour)))[1] == [("one colour", "set aside")]
    assert decode(encoded(Image.new("RGBA", (64, 64), (90, 90, 90, 0))))[1] == [("one colour", "set aside")]


@pytest.mark.parametrize("kind", ["WEBP", "AVIF"])
def test_newer_formats(encoded, kind):
    if kind not in Image.SAVE:
        pytest.skip(f"this Pillow cannot write {kind}")
    image, found = decode(encoded(RAMP, kind, quality=95))
    assert np.abs(image.astype(int) - RAMP).mean() < 4 and not found


def wide_gamut_profile():
    """Return an ICC profile whose green is far outside sRGB's, made of another one by scaling its green column."""
    content = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = int.from_bytes(content[128:132], "big")
    for place in range(132, 132 + 12 * tags, 12):
        name, start = bytes(content[place : place + 4]), int.from_bytes(content[place + 4 : place + 8], "big")
        if name == b"gXYZ":  # less red in green: what is called green here is a stronger one
            content[start + 8 : start + 12] = (int(0.25 * 65536)).to_bytes(4, "big")
        if name == b"desc":
            content[place + 4 : place + 8] = (0).to_bytes(4, "big")  # no name: not known as sRGB
    return bytes(content)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colours_of_an_embedded_profile_become_srgb(mode):
    colour, profile = (200, 140, 115), wide_gamut_profile()
    image = Image.new("RGB", (64, 64), colour)
    image.paste((90, 40, 20), (0, 0, 20, 20))
    picture = io.BytesIO()
    image.convert(mode, palette=Image.Palette.ADAPTIVE).save(picture, "PNG", icc_profile=profile)
    face, found = decode(picture.getvalue())
    expected = ImageCms.profileToProfile(
        image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
    )
    assert np.abs(face.astype(int) - np.asarray(expected).astype(int)).max() <= 1
    assert np.abs(face[40, 40].astype(int) - colour).max() > 5
    assert ("colour profile", "converted") in found


@pytest.mark.parametrize("profile", [b"no profile", ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()])
def test_profiles_that_change_nothing(encoded, profile):
    image = Image.new("RGB", (64, 64), (200, 140, 115))
    image.paste((90, 40, 20), (0, 0, 20, 20))
    picture = io.BytesIO()
    image.save(picture, "PNG", icc_profile=profile)
    face, found = decode(picture.getvalue())
    np.testing.assert_array_equal(face, np.asarray(image))
    assert not found


def test_a_grey_picture_with_a_colour_profile_stays_grey():
    image = Image.new("L", (64, 64), 90)
    image.paste(200, (0, 0, 20, 20))
    picture = io.BytesIO()
    image.save(picture, "PNG", icc_profile=wide_gamut_profile())
    face, _ = decode(picture.getvalue())
    assert (face[..., 0] == face[..., 1]).all() and face[40, 40, 0] == 90


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_a_damaged_exif_block_says_nothing(kind):
    image = Image.new("RGB", (64, 64), (200, 140, 115))
    image.paste((90, 40, 20), (0, 0, 20, 20))
    picture = io.BytesIO()
    image.save(picture, kind, exif=b"Exif\x00\x00no TIFF at all")
    assert decode(picture.getvalue())[0] is not None
    zero = Image.Exif()
    zero[0x0112] = 0
    picture = io.BytesIO()
    image.save(picture, kind, exif=zero.tobytes())
    assert not decode(picture.getvalue())[1]
