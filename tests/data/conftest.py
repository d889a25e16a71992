"""Simple faces in CelebA's layout, and images as bytes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from facegan.data.layout import IMAGES_FOLDER, file_name, write_annotations
from facegan.randomness import Stream

SHOWN = ("Bangs", "Eyeglasses", "Male", "Smiling")
"""Attributes that the fixture's annotations know; CelebA's other ones are 0."""


def simple_face(number: int, size: tuple[int, int] = (178, 218)) -> Image.Image:
    """Return a head with eyes and a mouth in colours of its own, where CelebA has them, at 178x218 or another size."""
    colour_CK = Stream(3, "simple-faces").words(np.arange(4 * number, 4 * number + 4), 3) % 256
    background, skin, hair, eyes = (tuple(map(int, colour_K)) for colour_K in colour_CK)
    image = Image.new("RGB", (178 * 4, 218 * 4), background)
    draw = ImageDraw.Draw(image)
    for box, colour in (
        ((30, 30, 148, 200), hair), ((45, 60, 133, 190), skin), ((60, 105, 78, 118), eyes), ((99, 105, 117, 118), eyes),
        ((69, 146, 108, 158), (180, 40, 40)),
    ):  # fmt: skip
        draw.ellipse([4 * side for side in box], fill=colour)
    return image.resize(size, Image.Resampling.LANCZOS)


def labels_of(number: int) -> tuple[dict[str, int], int]:
    """Return the attributes and the identity of a face of the fixture."""
    return {name: 1 if number >> place & 1 else -1 for place, name in enumerate(SHOWN)}, number // 4 + 1


@pytest.fixture(scope="session")
def celeba(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 simple faces of 12 people in CelebA's layout; read only."""
    out = tmp_path_factory.mktemp("simple") / "celeba"
    (out / IMAGES_FOLDER).mkdir(parents=True)
    for number in range(48):
        simple_face(number).save(out / IMAGES_FOLDER / file_name(number), quality=95)
    faces = [(number, *labels_of(number)) for number in range(48)]
    write_annotations(out, faces, 48, people=max(identity for _, _, identity in faces))
    return out


@pytest.fixture(scope="session")
def encoded() -> Callable[..., bytes]:
    """Return a function that encodes an image (mode, size, colour, or an array) as the bytes of a file."""

    def encode(image: Image.Image | np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
        file = io.BytesIO()
        (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, kind, **options)
        return file.getvalue()

    return encode


def findings(dataset: Path) -> dict[str, list[tuple[str, str]]]:
    """Return {file: [(kind, action)]} of a packed dataset's preflight."""
    found: dict[str, list[tuple[str, str]]] = {}
    for problem in json.loads((dataset / "preflight.json").read_text())["problems"]:
        found.setdefault(problem["file"], []).append((problem["kind"], problem["action"]))
    return found
