"""The bytes of one image file to the pixels that the network will see, or the reason why not."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from facegan.data.colour_profile import DIRECT_MODES, to_srgb
from facegan.data.crop import Crop, crop_box
from facegan.data.preflight import Action
from facegan.errors import is_out_of_memory
from facegan.provenance import SHEET, STATEMENT, made_by_network

MAX_PIXELS = 64_000_000
"""Larger images are set aside before they are decoded: four bytes a pixel in every process."""
_USUAL_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM")
_OTHER_FORMATS = ("WEBP", "TIFF", "JPEG2000", "AVIF")
"""All that photographs come in, and no more: reading EPS, for one, runs a program."""
RESIZED_KIND = "resized"
_EXIF_ORIENTATION = 0x0112
_ALPHA_MODES = frozenset(("RGBA", "LA", "PA", "La", "RGBa"))
_MODE_KINDS = {"L": "grey", "1": "grey", "LA": "grey", "La": "grey", "P": "palette", "PA": "palette", "CMYK": "CMYK"}
_SIXTEEN_BIT_MODES = frozenset(("I;16", "I;16L", "I;16B", "I;16N", "I"))
_USUAL_DEPTHS = (8, 10, 12, 14, 16)
"""Bits that cameras and scanners use of 16."""
_DARKEST_WHITE = 64
"""A 16-bit picture in colour that stays below this, of 255, uses 14 bits or fewer: Pillow keeps the upper 8."""


class Finding(NamedTuple):
    """A problem of the file that is being decoded; see ``preflight.Problem``."""

    kind: str
    reason: str
    action: Action


class NoPhotoError(ValueError):
    """A file is no photograph that can be taken; the message says why, in words."""


class _SetAsideError(Exception):
    def __init__(self, kind: str, reason: str) -> None:
        self.finding = Finding(kind, reason, "set aside")


@contextmanager
def quiet_decoding() -> Iterator[None]:
    """Silence Pillow's warnings (odd EXIF, many pixels): what matters of them is found here anyway."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def decode_image(
    data: bytes, resolution: int, crop: Crop, *, for_scores: bool = False
) -> tuple[np.ndarray | None, list[Finding]]:
    """Return uint8 [R, R, 3] and what was found; None where the file has to be set aside. Raises only
    MemoryError.

    Of a face that is to be scored, ``for_scores``, any size and any content will do: faults must be seen.
    Converted to RGB and turned upright first; then the crop is resized by Lanczos, in one step.
    """
    findings: list[Finding] = []
    try:
        if SHEET in data:
            raise _SetAsideError("sheet of faces", "a picture that facegan made of many faces")
        image = _decode(data, resolution, crop, findings, for_scores)
        if not for_scores and _is_one_colour(image):
            raise _SetAsideError("one colour", f"nothing but {tuple(image[0, 0].tolist())}")
        return image, findings
    except _SetAsideError as found:
        return None, [found.finding]
    except Exception as error:  # a decoder meets a damaged file with any exception there is
        if is_out_of_memory(error):  # the file is not to blame
            raise
        reason = str(error) or type(error).__name__
        kind = "truncated" if "truncated" in reason.lower() else "unreadable"
        return None, [Finding(kind, reason, "set aside")]


def image_size(data: bytes) -> tuple[int, int] | None:
    """Return an image file's width and height in pixels, without decoding it; None if it tells none."""
    try:
        with quiet_decoding(), _open_image(io.BytesIO(data)) as image:
            return image.size
    except Exception as error:  # a decoder meets a damaged file with any exception there is
        if is_out_of_memory(error):
            raise
        return None


def decode_photo(file: BinaryIO, most_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return a whole photograph as ``decode_image`` would take it, upright and in sRGB: uint8 [H, W, 3].

    Raises:
        NoPhotoError: it is no image, or has more than ``most_pixels`` pixels.
        Exception: it is damaged; Pillow's decoders raise any there is.
    """
    try:
        with quiet_decoding(), _open_image(file) as image:
            if image.width * image.height > most_pixels:
                raise _too_many_pixels(f"{image.width:,} x {image.height:,} pixels", most_pixels)
            sixteen_bits = _has_sixteen_bits(image)
            upright = _turn_upright(image, [])
            rgb = _to_rgb(image, upright, sixteen_bits, [])
            if upright.mode not in DIRECT_MODES:
                rgb = _in_srgb(rgb, image.info.get("icc_profile"), []) or rgb
            return np.asarray(rgb)
    except _SetAsideError as found:
        raise NoPhotoError(found.finding.reason) from None


def _is_one_colour(image_HWC: np.ndarray) -> bool:
    first = image_HWC[0, 0]
    return bool((image_HWC[::16, ::16] == first).all() and (image_HWC == first).all())  # few pixels tell nearly always


def _decode(data: bytes, resolution: int, crop: Crop, findings: list[Finding], any_size: bool) -> np.ndarray:
    if not data:
        raise _SetAsideError("unreadable", "empty file")
    with _open_image(io.BytesIO(data)) as image:
        if image.width * image.height > MAX_PIXELS:
            raise _too_many_pixels(f"{image.width} x {image.height} pixels")
        if getattr(image, "is_animated", False):
            findings.append(Finding("animated", "more than one frame: the first was taken", "converted"))
        sixteen_bits = _has_sixteen_bits(image)
        upright = _turn_upright(image, findings)
        box = crop_box(upright.width, upright.height, crop)
        side = min(box[2] - box[0], box[3] - box[1])
        if any_size:
            if upright.size != (resolution, resolution):
                findings.append(Finding(RESIZED_KIND, f"{upright.width}x{upright.height}", "converted"))
        elif side < resolution / 2:
            raise _SetAsideError("too small", f"the crop is {side:.0f} px wide, less than half of {resolution} px")
        elif side < resolution:
            findings.append(Finding("enlarged", f"from a crop {side:.0f} px wide to {resolution} px", "noted"))
        rgb = _to_rgb(image, upright, sixteen_bits, findings)
        small = rgb.resize((resolution, resolution), Image.Resampling.LANCZOS, box=box)
        if upright.mode not in DIRECT_MODES:
            small = _in_srgb(small, image.info.get("icc_profile"), findings) or small
        if (reason := made_by_network(data, image.info)) is not None:
            findings.append(Finding(STATEMENT, reason, "noted"))
        return np.asarray(small)


def _has_sixteen_bits(image: Image.Image) -> bool:
    """Return whether the file has 16 bits a colour; an image that was decoded no longer tells."""
    return any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def _to_rgb(image: Image.Image, upright: Image.Image, sixteen_bits: bool, findings: list[Finding]) -> Image.Image:
    """Return the upright image in RGB, without transparency; in sRGB where its mode is one of ``DIRECT_MODES``."""
    profile = image.info.get("icc_profile")
    direct = _in_srgb(upright, profile, findings) if upright.mode in DIRECT_MODES else None
    rgb = direct or (upright if upright.mode == "RGB" else _convert(upright, findings))
    if sixteen_bits and upright.mode not in _SIXTEEN_BIT_MODES:
        _check_range(rgb, findings)
    return _onto_white(rgb, findings) if "transparency" in rgb.info else rgb


def _open_image(file: BinaryIO) -> Image.Image:
    try:
        try:
            return Image.open(file, formats=_USUAL_FORMATS)
        except Image.UnidentifiedImageError:
            return Image.open(file, formats=_other_formats())
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(str(error).split(",")[0]) from error
    except Image.UnidentifiedImageError as error:
        file.seek(0)
        start = file.read(2048)
        what = "an HTML page" if b"<html" in start.lower() else f"it begins with {start[:8]!r}"
        raise _SetAsideError("unreadable", f"not an image: {what}") from error


@cache
def _other_formats() -> tuple[str, ...]:
    """Return those of the other formats that this Pillow can read; it loads dozens of modules to find out."""
    Image.init()
    return tuple(name for name in _OTHER_FORMATS if name in Image.OPEN)


def _too_many_pixels(found: str, most: int = MAX_PIXELS) -> _SetAsideError:
    return _SetAsideError("too many pixels", f"{found}: more than {most:,}")


def _turn_upright(image: Image.Image, findings: list[Finding]) -> Image.Image:
    if image.format == "JPEG" and "exif" not in image.info:  # asking Pillow costs a tenth of decoding a small face
        return image
    try:
        orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error):  # a damaged EXIF block says nothing
        return image
    if orientation not in range(2, 9):
        return image
    findings.append(Finding("rotated", f"EXIF orientation {orientation}: turned upright", "converted"))
    return ImageOps.exif_transpose(image)


def _in_srgb(image: Image.Image, profile: bytes | None, findings: list[Finding]) -> Image.Image | None:
    """Return the image in sRGB; None where it has no profile, or is taken as it is."""
    if not profile or (found := to_srgb(image, profile)) is None:
        return None
    findings.append(Finding("colour profile", f"{found[1]}: converted to sRGB", "converted"))
    return found[0]


def _convert(image: Image.Image, findings: list[Finding]) -> Image.Image:
    """Return the image in RGB: alpha laid on white, 16 bits scaled to 8 by the bits that are used."""
    mode = image.mode
    if mode in _SIXTEEN_BIT_MODES:
        values = np.asarray(image).astype(np.int64)
        bits = next((depth for depth in _USUAL_DEPTHS if values.max() < 1 << depth), 16)
        findings.append(Finding("16-bit", f"mode {mode} of {bits} bits: scaled to 8 bits, in RGB", "converted"))
        return Image.fromarray((values >> (bits - 8)).clip(0, 255).astype(np.uint8)).convert("RGB")
    if mode == "F":
        raise _SetAsideError("unreadable", "mode F: floating-point pixels have no known range")
    kind = _MODE_KINDS.get(mode)
    if kind is not None or mode not in _ALPHA_MODES:
        findings.append(Finding(kind or "other mode", f"mode {mode}: converted to RGB", "converted"))
    if mode in _ALPHA_MODES or "transparency" in image.info:
        return _onto_white(image, findings)
    return image.convert("RGB")


def _check_range(image: Image.Image, findings: list[Finding]) -> None:
    """Note that 16 bits were cut to 8; set a picture aside whose 16 bits were not all used, and came out black."""
    brightest = int(np.asarray(image).max())
    if brightest < _DARKEST_WHITE:
        raise _SetAsideError(
            "16-bit", f"of 16 bits a colour not all are used (it reaches {brightest} of 255): scale it"
        )
    findings.append(Finding("16-bit", f"16 bits a colour: cut to 8, {image.mode}", "converted"))


def _onto_white(image: Image.Image, findings: list[Finding]) -> Image.Image:
    findings.append(Finding("alpha", f"mode {image.mode} with transparency: laid on white", "converted"))
    layer = image.convert("RGBA")
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("RGB")
