"""What leaves facegan says what it is, in each format; and who else says so is understood."""

import io
import struct
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from facegan import __version__, pixels
from facegan.provenance import XMP_KEY, Provenance, made_by_network

FACE = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
ONE = Provenance(
    model="celeba64", nimg=5000, sha256="ab" * 32, seed=7, first=3, truncation=0.7, attributes={"Smiling": 1.0},
    labels="prior",
)  # fmt: skip
SENTENCE = (
    f"made by a neural network: facegan {__version__}, model celeba64, 5,000 images seen, weights abababababababab, "
    f"seed 7, number 3, truncation 0.7, Smiling=1"
)
MADE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
IN_PART = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeSynthetic"


def encoded(kind, provenance):
    """Return the bytes of a picture in a format, and what Pillow finds in it."""
    if kind == "PNG":
        content = pixels.encode_png(FACE, provenance)
    elif kind == "JPEG":
        file = io.BytesIO()
        Image.fromarray(FACE).save(file, "JPEG", **provenance.save_options("JPEG"))
        content = file.getvalue()
    else:
        content = pixels.encode_animation([FACE, FACE[::-1], FACE[:, ::-1]], provenance, kind=kind, seconds=0.1)
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        return content, image


def of_xmp(packet):
    """Return {name: text} of an XMP packet's entries."""
    root = ElementTree.fromstring(packet)
    entries = {entry.tag.rpartition("}")[2]: "".join(entry.itertext()) for entry in root[0][0]}
    assert "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType" in [entry.tag for entry in root[0][0]]
    return entries


def test_a_png_says_it_before_its_pixels():
    content, image = encoded("PNG", ONE)
    assert image.info["Description"] == SENTENCE and image.info["Software"] == f"facegan {__version__}"
    entries = of_xmp(image.info[XMP_KEY])
    tool = f"facegan {__version__}"
    assert entries == {"DigitalSourceType": MADE, "description": SENTENCE, "CreatorTool": tool}
    at = content.index(XMP_KEY.encode())
    assert content[at - 4 : at] == b"iTXt" and at < content.index(b"IDAT")
    assert content[at + len(XMP_KEY) + 1] == 0  # not compressed
    np.testing.assert_array_equal(np.asarray(image), FACE)
    assert b"facegan sheet" not in content


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_jpeg_and_webp_say_it_in_xmp_and_exif(kind):
    content, image = encoded(kind, ONE)
    assert of_xmp(image.info["xmp"])["DigitalSourceType"] == MADE and b"facegan sheet" not in content
    assert image.getexif()[0x010E] == SENTENCE and image.getexif()[0x0131] == f"facegan {__version__}"


def test_a_gif_says_it_in_a_comment():
    _, image = encoded("GIF", ONE)
    assert image.info["comment"].decode() == f"{MADE}; {SENTENCE}"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_every_format_is_known_again_and_a_sheet_too(kind):
    content, image = encoded(kind, ONE)
    assert made_by_network(content, image.info) == "its metadata says so"
    sheet = encoded(kind, replace(ONE, sheet=True, count=64, model="m" * 60))[0]
    assert b"facegan sheet" in sheet and MADE.encode() in sheet
    mixed = encoded(kind, replace(ONE, sheet=True, in_part=True))[0]
    assert b"facegan sheet" in mixed and IN_PART.encode() in mixed and b"in part made by a neural network" in mixed
    assert MADE.encode() not in mixed
    assert encoded(kind, ONE)[0] == content


def test_faces_are_numbered_and_what_is_not_known_is_not_said():
    sheet = Provenance(model="dcgan", seed=1, first=10, count=4, sheet=True)
    assert sheet.sentence().endswith("model dcgan, seed 1, numbers 10 to 13")
    assert sheet.of_face(2).sentence().endswith("model dcgan, seed 1, number 12") and not sheet.of_face(2).sheet
    assert Provenance().sentence() == f"made by a neural network: facegan {__version__}"
    assert Provenance(model="dcgan").of_face(3).first is None
    assert ONE.to_dict() | {"statement": "", "software": ""} == {
        "statement": "", "digital_source_type": MADE, "software": "", "model": "celeba64",
        "weights_sha256": "ab" * 32, "nimg": 5000, "seed": 7, "first": 3, "count": 1, "truncation": 0.7,
        "attributes": {"Smiling": 1.0}, "labels": "prior",
    }  # fmt: skip


def test_a_strangers_name_does_no_harm():
    content, image = encoded("PNG", Provenance(model='<&"\x00\n>' + "é面" + "x" * 5000))
    assert of_xmp(image.info[XMP_KEY])["description"] == image.info["Description"]
    assert '<&">é面xx' in image.info["Description"] and len(content) < 3000


def text_png(key, text, **options):
    info = PngInfo()
    info.add_itxt(key, text, **options)
    file = io.BytesIO()
    Image.fromarray(FACE).save(file, "PNG", pnginfo=info)
    return file.getvalue()


def comment_jpeg(text):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\x00" + text.encode("utf-16-be")
    file = io.BytesIO()
    Image.fromarray(FACE).save(file, "JPEG", exif=exif)
    return file.getvalue()


SETTINGS = "a face\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1"


@pytest.mark.parametrize(("content", "reason"), [
    (text_png("parameters", SETTINGS), "Stable Diffusion web UI"),
    (comment_jpeg(SETTINGS), "Stable Diffusion web UI"),
    (text_png("prompt", '{"3": {"class_type": "KSampler", "inputs": {}}}'), "ComfyUI"),
    (text_png("workflow", '{"last_node_id": 9, "nodes": []}'), "ComfyUI"),
    (text_png(XMP_KEY, "<x>compositeWithTrainedAlgorithmicMedia</x>"), "its metadata"),
    (text_png(XMP_KEY, "<x>trainedAlgorithmicMedia</x>", zip=True), "its metadata"),
    (text_png("parameters", "f/2.8, 1/60 s"), None),
    (text_png("prompt", "smile, please"), None),
    (text_png("Description", SETTINGS), None),
    (text_png(XMP_KEY, "<x>http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture</x>"), None),
    (comment_jpeg("Steps of the church"), None),
])  # fmt: skip
def test_marks_of_other_tools(content, reason):
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        found = made_by_network(content, image.info)
    assert (found is None) if reason is None else reason in found


def test_a_mark_far_into_the_file_counts():
    ending = b"caBX" + b"\0" * 200_000 + b"trainedAlgorithmicMedia"
    chunk = struct.pack(">I", len(ending) - 4) + ending + b"\0\0\0\0"
    assert made_by_network(pixels.encode_png(FACE, None)[:-12] + chunk, {})
    assert made_by_network(pixels.encode_png(FACE, None), {}) is None
