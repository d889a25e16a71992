"""Pictures of the report, as data URIs."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from facegan import pixels
from facegan.data.order import evenly
from facegan.provenance import Provenance

_FILM_FACES = 16
_FILM_GRIDS = 40


def data_uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def png(image_HWC: np.ndarray, provenance: Provenance) -> str:
    """Return a picture, uint8 [H, W, 3], as the data URI of a PNG that says what made it."""
    return data_uri(pixels.encode_png(image_HWC, provenance, level=9), "png")


def read_picture(path: Path) -> np.ndarray:
    """Return a PNG file as uint8 [H, W, 3].

    Raises:
        OSError, ValueError: it is missing or damaged.
    """
    with Image.open(path, formats=["PNG"]) as picture:  # what comes with a run chooses no other decoder
        return np.asarray(picture.convert("RGB"))


def png_file(path: Path, provenance: Provenance) -> str | None:
    """Return a picture file as the data URI of a PNG that says what made it; None if it is missing or damaged."""
    try:
        return png(read_picture(path), provenance)
    except (OSError, ValueError):
        return None


def film(grids: Sequence[Path], side: int, provenance: Provenance) -> str | None:
    """Return the first faces of a run's grids, one after the other, as the data URI of an animated WebP.

    Damaged grids are skipped; None if fewer than two are left.
    """
    frames = []
    for place in evenly(len(grids), _FILM_GRIDS):
        with contextlib.suppress(OSError, ValueError):
            faces = pixels.ungrid(read_picture(grids[place]), side)[:_FILM_FACES]
            frames.append(pixels.grid(faces, columns=8))
    if len(frames) < 2:
        return None
    return data_uri(
        pixels.encode_animation(frames, provenance, kind="WEBP", seconds=0.15, quality=85, method=3), "webp"
    )


def pairs(closest: Sequence[tuple[str, float, np.ndarray, np.ndarray]], shown: int = 16) -> np.ndarray:
    """Return the closest pairs of an audit as one picture: each generated face, and to its right the training face."""
    chosen = sorted(closest, key=lambda pair: pair[1])[:shown]
    faces = np.stack([face for _, _, generated, training in chosen for face in (generated, training)])
    captions = [caption for space, ratio, *_ in chosen for caption in (f"{ratio:.2f}", space[:10])]
    return pixels.grid(faces, columns=8, captions=captions)
