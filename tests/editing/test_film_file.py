"""Films are written picture by picture, each in its place, and last as long as they should."""

import weakref
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facegan.editing.film_file import save_film
from facegan.provenance import Provenance

PROVENANCE = Provenance(model="test", nimg=1, sha256="0" * 64)


@pytest.mark.parametrize("suffix", [".webp", ".gif", ".avif"])
def test_pictures_are_asked_for_one_by_one_and_kept_in_order(tmp_path: Path, suffix, monkeypatch):
    fromarray = Image.fromarray
    alive: set[int] = set()
    most = 0

    def counted(picture):
        nonlocal most
        made, level = fromarray(picture), int(picture[0, 0, 0])
        alive.add(level)
        weakref.finalize(made, alive.remove, level)
        most = max(most, len(alive))
        return made

    monkeypatch.setattr(Image, "fromarray", counted)
    levels = np.linspace(0, 240, 40).round().astype(int)
    file = tmp_path / f"film{suffix}"
    save_film(file, (np.full((32, 32, 3), level, np.uint8) for level in levels), PROVENANCE, count=40, rate=20)
    assert most <= 5
    with Image.open(file) as film:
        assert film.n_frames == 40
        for number, level in enumerate(levels):
            film.seek(number)
            assert abs(int(np.asarray(film.convert("RGB"))[16, 16, 0]) - level) <= 3


@pytest.mark.parametrize(("suffix", "rate", "milliseconds"), [(".webp", 60, 2000), (".avif", 60, 2000),
                                                              (".webp", 120, 1000), (".gif", 50, 2400)])  # fmt: skip
def test_films_last_as_long_as_asked(tmp_path: Path, suffix, rate, milliseconds):
    pictures = (np.full((16, 16, 3), 2 * number, np.uint8) for number in range(120))
    file = tmp_path / f"film{suffix}"
    save_film(file, pictures, PROVENANCE, count=120, rate=rate)
    with Image.open(file) as film:
        lasts = 0
        for number in range(film.n_frames):
            film.seek(number)
            film.load()
            lasts += film.info["duration"]
    assert lasts == milliseconds
