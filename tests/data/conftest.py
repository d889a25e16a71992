"""Drawn faces in CelebA's layout, and images as bytes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facegan.data.drawn_dataset import write_drawn_dataset


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 drawn faces of 12 people in CelebA's layout; read only."""
    out = tmp_path_factory.mktemp("drawn") / "celeba"
    write_drawn_dataset(out, 48, seed=3, workers=1)
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
