"""Do people's eyes take made faces for photographs? Sheets that mix both, and the key to them.

How many faces of a sheet are made is drawn at random, so that counting does not help; so is their order. Both kinds go
the same way from uint8 [R, R, 3] to the sheet. Each photograph is of another person, held out of all training.

Legend: N faces on all sheets, M made faces, R pixels a side.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import textwrap
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facegan import pixels
from facegan.data.packed import DataView
from facegan.errors import UserError, brief
from facegan.files import read_json, write_text
from facegan.provenance import Provenance
from facegan.randomness import Stream

FORMAT_VERSION = 1
LEAST_FACES, MOST_FACES, MOST_SHEETS = 4, 200, 20
ENLARGED = 3
_FIRST_BELOW = 10**9
_CAPTION = 18
_PADDING = 8
_LARGEST_KEY = 1 << 22
_ON_SHEETS = Provenance(sheet=True, in_part=True)
"""That a sheet holds both kinds, and nothing by which its made faces could be made again."""

ACCEPTED = "photo (or real, r, 1), made (or fake, m, 0) or unsure"
NOTE = (
    "The sheets hold photographs of real people. CelebA is for non-commercial research, and its terms forbid "
    "publishing its photographs or handing them on: keep this folder within your group, and delete it when you are "
    "done."
)


@dataclass(frozen=True)
class Cell:
    """One face of a test."""

    number: int
    """From 1; the sheets are numbered through."""
    sheet: int
    """From 1."""
    made: bool
    place: int
    """A made face's sample number, or a photograph's row in its dataset."""
    dataset: int | None
    """Which of the datasets a photograph is from, from 0; None of a made face."""


@dataclass(frozen=True)
class BlindTest:
    """The pictures of a test, and what is on them."""

    sheets: list[np.ndarray]
    """uint8 [H, W, 3] each."""
    image_NHWC: np.ndarray
    """uint8 [N, 2R, 2R, 3]: the faces one by one, as they are on the sheets."""
    cells: list[Cell]

    @property
    def name(self) -> str:
        """Twelve hexadecimal digits that tell this test from others, and nothing about its faces."""
        return hashlib.sha256(self.image_NHWC.tobytes()).hexdigest()[:12]


@dataclass(frozen=True)
class Key:
    """What the faces of a test are; read back from its file."""

    test: str
    described: dict[str, Any]
    """Model, data, seed, truncation."""
    cells: dict[int, Cell]
    """By number."""

    def sheets(self) -> list[list[Cell]]:
        """Return the cells of each sheet."""
        found: dict[int, list[Cell]] = {}
        for cell in self.cells.values():
            found.setdefault(cell.sheet, []).append(cell)
        return [found[sheet] for sheet in sorted(found)]


def first_sample(seed: int, of: str) -> int:
    """Return the sample number of a test's first made face: anywhere in the seed, so that viewers have not seen
    these faces before, in another test either. ``of``: as for ``draw_up``."""
    return int(Stream(seed, f"blind-first/{of}").below(np.zeros(1, np.int64), _FIRST_BELOW)[0])


def most_of_a_kind(sheets: int, faces: int) -> int:
    """Return how many made faces, or photographs, ``sheets`` sheets of ``faces`` faces can need."""
    return sheets * (3 * faces // 4)


def check_size(sheets: int, faces: int) -> None:
    """Refuse a test that cannot be drawn up.

    Raises:
        UserError: ``sheets`` or ``faces`` out of range.
    """
    if not 1 <= sheets <= MOST_SHEETS:
        raise UserError(f"--sheets {sheets}: choose from 1 to {MOST_SHEETS}")
    if not LEAST_FACES <= faces <= MOST_FACES:
        raise UserError(f"--faces {faces}: choose from {LEAST_FACES} to {MOST_FACES} on a sheet")


def draw_up(
    made_MHWC: np.ndarray, photographs: DataView, *, first: int, sheets: int, faces: int, seed: int, of: str
) -> BlindTest:
    """Return a test of ``sheets`` sheets with ``faces`` faces each.

    ``made_MHWC``: uint8 [M, R, R, 3], at least ``most_of_a_kind`` faces, the first of them sample number ``first``.
    ``photographs``: held-out people. ``of``: what is tested, such as the model's hash; other models get other orders,
    so that one test's answers are of no use in another.

    Raises:
        UserError: too few made faces or people, or another resolution.
    """
    check_size(sheets, faces)
    most = most_of_a_kind(sheets, faces)
    if len(made_MHWC) < most:
        raise UserError(f"{len(made_MHWC)} made faces are too few for {sheets} sheets of {faces}: give {most}")
    if made_MHWC.shape[1] != photographs.resolution:
        raise UserError(
            f"the faces have {made_MHWC.shape[1]} px and the data {photographs.resolution} px: prepare the data at the "
            "model's resolution"
        )
    stream = f"blind/{of}/{photographs.content_hash}"
    shown = _people(photographs, most, seed, stream)
    least = math.ceil(faces / 4)
    counts = least + Stream(seed, f"{stream}/count").below(np.arange(sheets), 3 * faces // 4 - least + 1)
    origin: dict[int, tuple[int, int]] = {}  # position in the view: (dataset, row)
    for number in range(len(photographs.datasets)):
        origin |= {int(at): (number, int(row)) for at, row in zip(*photographs.places(number), strict=True)}
    cells: list[Cell] = []
    images, made, real = [], 0, 0
    for sheet, count in enumerate(counts):
        for rank in Stream(seed, f"{stream}/order").permutation(sheet, faces):
            number = len(cells) + 1
            if rank < count:
                images.append(made_MHWC[made])
                cells.append(Cell(number, sheet + 1, True, first + made, None))
                made += 1
            else:
                images.append(photographs.images(shown[real : real + 1])[0])
                dataset, row = origin[int(shown[real])]
                cells.append(Cell(number, sheet + 1, False, row, dataset))
                real += 1
    image_NHWC = pixels.enlarge(np.stack(images), ENLARGED)
    return BlindTest([_sheet(image_NHWC, sheet * faces, faces) for sheet in range(sheets)], image_NHWC, cells)


def _people(photographs: DataView, count: int, seed: int, stream: str) -> np.ndarray:
    """Return int64 [count]: positions of one photograph each of as many people, in random order."""
    order = Stream(seed, f"{stream}/people").permutation(0, len(photographs))
    person = photographs.identities(order)
    _, earliest = np.unique(np.where(person > 0, person, -1 - order), return_index=True)  # unknown: each its own
    if len(earliest) < count:
        raise UserError(
            f"the data has {len(earliest)} held-out faces of different people, and {count} are needed, one for each "
            "photograph: choose fewer --sheets or --faces, or give more data, prepared with --identities"
        )
    return order[np.sort(earliest)[:count]]


def _sheet(image_NHWC: np.ndarray, start: int, faces: int) -> np.ndarray:
    captions = [str(number) for number in range(start + 1, start + faces + 1)]
    columns = math.ceil(math.sqrt(1.5 * faces))  # as wide as a screen
    part_FHWC = image_NHWC[start : start + faces]
    return pixels.grid(part_FHWC, columns=columns, padding=_PADDING, captions=captions, caption_size=_CAPTION)


def write_test(test: BlindTest, folder: Path, key: Path, described: Mapping[str, Any], *, singles: bool) -> list[Path]:
    """Write the sheets, a file for the answers and a word to viewers into ``folder``, and the key outside of it.

    Returns the sheets' files. All files of the folder bear one time; faces of their own (``singles``) have one size,
    since a small file would be a smooth face, and no metadata. ``described``: JSON values about model and data, for
    the key.
    """
    write_text(key, _key_text(test, described))
    written = []
    for number, sheet in enumerate(test.sheets, 1):
        written.append(folder / f"sheet-{number}.png")
        pixels.save_png(written[-1], sheet, _ON_SHEETS)
    faces = [folder / "faces" / f"{cell.number:03d}.png" for cell in test.cells] if singles else []
    for file, image in zip(faces, test.image_NHWC, strict=False):
        pixels.save_png(file, image, None, compressed=False)
    texts = {
        folder / "answers.csv": f"# test {test.name}\n# answer each number with {ACCEPTED}\nnumber,answer\n"
        + "".join(f"{cell.number},\n" for cell in test.cells),
        folder / "README.txt": _for_viewers(len(written), test, singles),
    }
    for file, text in texts.items():
        write_text(file, text)
    now = time.time()
    for file in [*written, *faces, *texts]:
        os.utime(file, (now, now))
    return written


def _for_viewers(sheets: int, test: BlindTest, singles: bool) -> str:
    names = "sheet-1.png" if sheets == 1 else f"sheet-1.png to sheet-{sheets}.png"
    return (
        f"Some of the faces on {names} are photographs of people, the others were made\n"
        "by a program. How many, and which, was drawn at random. Say for each number which it is.\n\n"
        f"Write into answers.csv, behind each number: {ACCEPTED}.\n"
        "A sheet that is begun must be answered to its end; a sheet may be left out.\n"
        + ("faces/ holds the same faces one by one, under the same numbers.\n" if singles else "")
        + f"\n{textwrap.fill(NOTE, 100)}\n\ntest {test.name}\n"
    )


def _key_text(test: BlindTest, described: Mapping[str, Any]) -> str:
    head = {"format_version": FORMAT_VERSION, "test": test.name, **described}
    cells = ",\n".join(f"  {json.dumps(asdict(cell))}" for cell in test.cells)
    return json.dumps(head, indent=1).removesuffix("\n}") + f',\n "cells": [\n{cells}\n ]\n}}\n'


def read_key(path: Path) -> Key:
    """Return the key in a file.

    Raises:
        UserError: there is none, or it is damaged.
    """
    try:
        found = dict(read_json(path, _LARGEST_KEY))
        if found["format_version"] != FORMAT_VERSION:
            raise ValueError(f"its format version is {found['format_version']!r:.40}")
        cells = [Cell(**row) for row in found.pop("cells")]
        for cell in cells:
            if {type(cell.number), type(cell.sheet), type(cell.place)} != {int} or type(cell.made) is not bool:
                raise ValueError("a cell has a field of the wrong kind")
        key = Key(str(found["test"]), found, {cell.number: cell for cell in cells})
    except FileNotFoundError:
        raise UserError(f"there is no key at --key {path}: give the JSON file that facegan blind wrote") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"--key {path} is no key of facegan blind ({brief(error)})") from None
    both = all({cell.made for cell in sheet} == {True, False} for sheet in key.sheets())
    if sorted(key.cells) != list(range(1, len(cells) + 1)) or not both:
        raise UserError(
            f"--key {path} is damaged: its cells are not numbered through, or a sheet has faces of one kind"
        )
    return key
