"""uint8 <-> [-1, 1], grids, PNG files and films. ``image`` is uint8 NHWC or float NCHW in [-1, 1]."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facegan.files import replaced
from facegan.provenance import Provenance

if TYPE_CHECKING:
    import torch


def to_float(image_NHWC: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Return float NCHW in [-1, 1] (channels-last in memory) of uint8 NHWC: 0 -> -1, 255 -> 1."""
    import torch

    image = image_NHWC.to(torch.float32).mul_(1.0 / 127.5).sub_(1.0)
    return image.to(dtype or torch.float32).permute(0, 3, 1, 2)


def to_uint8(image_NCHW: torch.Tensor) -> np.ndarray:
    """Return uint8 NHWC of float NCHW in [-1, 1]: the inverse of ``to_float``; rounds, and clips what lies outside."""
    import torch

    scaled = image_NCHW.detach().to(torch.float32).add(1.0).mul_(127.5).round_().clamp_(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def grid(
    image_NHWC: np.ndarray,
    *,
    columns: int | None = None,
    padding: int = 2,
    captions: Sequence[str] | None = None,
    caption_size: int = 10,
) -> np.ndarray:
    """Return one uint8 [H, W, 3] picture of the images row by row, near square unless ``columns`` is given.

    ``captions`` puts one short line of text, ``caption_size`` pixels high, under each image.
    """
    count, height, width, _ = image_NHWC.shape
    columns = min(count, columns or math.ceil(math.sqrt(count)))
    rows = math.ceil(count / columns)
    caption_height = caption_size + 4 if captions is not None else 0
    cell_height, cell_width = height + caption_height + padding, width + padding
    canvas = np.full((rows * cell_height + padding, columns * cell_width + padding, 3), 255, np.uint8)
    places = (divmod(place, columns) for place in range(count))
    corners = [(padding + row * cell_height, padding + column * cell_width) for row, column in places]
    for (top, left), image_HWC in zip(corners, image_NHWC, strict=True):
        canvas[top : top + height, left : left + width] = image_HWC
    if captions is None:
        return canvas
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=caption_size)
    for (top, left), caption in zip(corners, captions, strict=False):
        draw.text((left + width / 2, top + height + 1), caption, fill=(0, 0, 0), font=font, anchor="ma")
    return np.asarray(picture)


def ungrid(picture_HWC: np.ndarray, side: int, *, padding: int = 2) -> np.ndarray:
    """Return uint8 [N, side, side, 3]: the images that ``grid`` put into a picture, row by row."""
    pitch = side + padding
    tops, lefts = (range(padding, size - side + 1, pitch) for size in picture_HWC.shape[:2])
    return np.stack([picture_HWC[top : top + side, left : left + side] for top in tops for left in lefts])


def enlarge(image_NHWC: np.ndarray, factor: int) -> np.ndarray:
    """Return uint8 [N, factor * H, factor * W, 3]: each image by itself, bicubic."""
    _, height, width, _ = image_NHWC.shape
    size = (factor * width, factor * height)
    return np.stack([np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)) for image in image_NHWC])


def encode_png(image_HWC: np.ndarray, provenance: Provenance | None, *, level: int = 6) -> bytes:
    """Return a picture, uint8 [H, W, 3], as a PNG that says what made it; ``level``: 0, none, to 9 of compression.

    ``provenance``: None of real faces, and where a file must not tell.
    """
    file = io.BytesIO()
    options = {} if provenance is None else provenance.save_options("PNG")
    Image.fromarray(image_HWC).save(file, "PNG", compress_level=level, **options)
    return file.getvalue()


def save_png(path: Path, image_HWC: np.ndarray, provenance: Provenance | None, *, compressed: bool = True) -> None:
    """Write a PNG as ``encode_png`` makes it, whole or not at all.

    Where it is not ``compressed``, files of images of one size have one size too.
    """
    content = encode_png(image_HWC, provenance, level=6 if compressed else 0)
    with replaced(path, synced=False) as partial:
        partial.write_bytes(content)


def encode_animation(
    pictures: Sequence[np.ndarray], provenance: Provenance | None, *, kind: str, seconds: float, **options: Any
) -> bytes:
    """Return pictures as an animation: see ``save_animation``. ``kind``: GIF or WEBP; ``options``: of Pillow's."""
    frames = [Image.fromarray(picture) for picture in pictures]
    durations = [round(seconds * 1000)] * (len(frames) - 1) + [round(seconds * 4000)]
    said = {} if provenance is None else provenance.save_options(kind)
    file = io.BytesIO()
    frames[0].save(file, kind, save_all=True, append_images=frames[1:], duration=durations, loop=0, **said, **options)
    return file.getvalue()


def save_animation(
    path: Path, pictures: Sequence[np.ndarray], provenance: Provenance | None, *, seconds: float
) -> None:
    """Write uint8 [H, W, 3] pictures of one size as an animated GIF or WebP, each for so many seconds, the last for
    four times as long; endless. It says what made it, in ``provenance``."""
    content = encode_animation(pictures, provenance, kind=path.suffix[1:].upper(), seconds=seconds)
    with replaced(path, synced=False) as partial:
        partial.write_bytes(content)
