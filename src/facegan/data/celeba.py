"""CelebA's frame and its annotation files (Liu et al., ICCV 2015), as officially published and as Kaggle's CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np

from facegan.attributes import ATTRIBUTE_COUNT, ATTRIBUTE_NAMES
from facegan.data.folder import Listing, read_text_member
from facegan.data.preflight import Problem
from facegan.errors import UserError

FRAME_WIDTH, FRAME_HEIGHT = 178, 218
"""Size of CelebA's aligned images, the frame in which a crop is given."""
Crop: TypeAlias = "int | tuple[int, int, int, int]"
"""Side of a centred square in the frame, or its left, top, right and bottom edge."""
ANNOTATIONS = {"attributes": "list_attr_celeba", "partition": "list_eval_partition", "identities": "identity_CelebA"}
"""{what it gives: the name of its file, before .txt or .csv}"""
_FOLDERS_BESIDE = (".", "Anno", "Eval", "..", "../Anno", "../Eval", "../..")
_POSITIONS = {name.lower(): position for position, name in enumerate(ATTRIBUTE_NAMES)}
_VALUES = {"1": 1, "-1": -1, "0": 0, "+1": 1, "1.0": 1, "-1.0": -1, "0.0": 0}


def is_aligned(width: int, height: int) -> bool:
    """Return whether an image has the shape of CelebA's frame, at any size, give or take a pixel of rounding."""
    return abs(width * FRAME_HEIGHT - height * FRAME_WIDTH) <= FRAME_HEIGHT


def crop_box(width: int, height: int, crop: Crop) -> tuple[float, float, float, float]:
    """Return the left, top, right, bottom edge of the crop in an image's own pixels.

    An aligned image has the frame's crop, scaled with it; any other image its largest centred square.
    """
    if not is_aligned(width, height):
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        return left, top, left + side, top + side
    left, top, right, bottom = frame_box(crop)
    x_scale, y_scale = width / FRAME_WIDTH, height / FRAME_HEIGHT
    return left * x_scale, top * y_scale, right * x_scale, bottom * y_scale


def frame_box(crop: Crop) -> tuple[float, float, float, float]:
    """Return the crop's left, top, right, bottom edge in the 178x218 frame.

    Raises:
        UserError: it is not a square inside the frame.
    """
    if isinstance(crop, int):
        left, top = (FRAME_WIDTH - crop) / 2, (FRAME_HEIGHT - crop) / 2
        box = (left, top, left + crop, top + crop)
    else:
        box = (float(crop[0]), float(crop[1]), float(crop[2]), float(crop[3]))
    side = box[2] - box[0]
    if side < 1 or side != box[3] - box[1] or min(box) < 0 or box[2] > FRAME_WIDTH or box[3] > FRAME_HEIGHT:
        raise UserError(
            f"crop {crop}: expected the side of a centred square (1 to {FRAME_WIDTH}), or left,top,right,bottom of a "
            f"square inside the {FRAME_WIDTH}x{FRAME_HEIGHT} frame, such as 15,35,163,183"
        )
    return box


@dataclass
class LabelFile:
    """One annotation file. ``values`` is int32 [rows, 40] for attributes and int32 [rows, 1] for a number.

    ``row_of`` leads from an image's name to its row; ``problems`` are those of single rows.
    """

    name: str
    values: np.ndarray
    row_of: dict[str, int]
    problems: list[Problem] = field(default_factory=list)

    def rows_for(self, names: Sequence[str]) -> np.ndarray:
        """Return int64 [N]: the row of each image, -1 for none.

        A name is looked up whole, then without its folders, then without its suffix too (CelebA's PNG edition has
        the rows of the JPEG one). A row is never given to two images.
        """
        row_N = np.array([self.row_of.get(name, -1) for name in names], np.int64)
        for simplify in (_base_name, _base_stem):
            missing = np.flatnonzero(row_N < 0).tolist()
            if not missing:
                break
            rows = {simplify(name): row for name, row in self.row_of.items()}
            found = np.array([rows.get(simplify(names[place]), -1) for place in missing], np.int64)
            _, inverse, uses = np.unique(found, return_inverse=True, return_counts=True)
            row_N[missing] = np.where((uses[inverse] == 1) & ~np.isin(found, row_N), found, -1)
        return row_N


def _base_name(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _base_stem(name: str) -> str:
    return _base_name(name).rpartition(".")[0] or _base_name(name)


def find_annotations(source: Path, listing: Listing) -> dict[str, tuple[str, bytes]]:
    """Return {what: (name, bytes)} of the annotation files in the source or beside it, of those that are there."""
    found = {}
    for what, stem in ANNOTATIONS.items():
        wanted = [f"{stem}.txt", f"{stem}.csv"]
        inside = [path for path in listing.others if _base_name(path) in wanted]
        beside = _file_beside(source, wanted)
        if inside:
            path = min(inside, key=lambda path: (path.count("/"), wanted.index(_base_name(path))))
            found[what] = (path, read_text_member(source, path))
        elif beside is not None:
            found[what] = (str(beside), beside.read_bytes())
    return found


def _file_beside(source: Path, wanted: Sequence[str]) -> Path | None:
    home = (source if source.is_dir() else source.parent).resolve()
    places = (home / folder / name for folder in _FOLDERS_BESIDE for name in wanted)
    return next((place.resolve() for place in places if place.is_file()), None)


def parse_attributes(name: str, data: bytes) -> LabelFile:
    """Parse ``list_attr_celeba``: official text or CSV, columns in any order, found by their names.

    Rows with other than as many values as the header names, or with a value other than -1, 0 and 1, are unknown (0).

    Raises:
        UserError: no header with any of the 40 names, or no row at all.
    """
    promised, header, rows = _split_table(name, data)
    positions = [_POSITIONS.get(column.lower(), -1) for column in header]
    if max(positions, default=-1) < 0:
        raise UserError(
            f"{name}: expected a header with CelebA's attribute names, found {' '.join(header)[:60]!r}; give the file "
            f"list_attr_celeba.txt or .csv"
        )
    label_file = LabelFile(name, np.zeros((len(rows), ATTRIBUTE_COUNT), np.int32), {})
    for column, position in zip(header, positions, strict=True):
        if position < 0:
            label_file.problems.append(
                Problem(name, "unknown attribute", f"column {column!r} is none of the 40", "noted")
            )
    known = [column for column, position in enumerate(positions) if position >= 0]
    values = np.zeros((len(rows), len(header)), np.int32)
    for number, row, image in _new_rows(label_file, rows):
        if len(row) - 1 != len(header):
            reason = f"{len(row) - 1} values in {name}, expected {len(header)}: labels unknown"
            label_file.problems.append(Problem(image, "attribute count", reason, "noted"))
            continue
        try:
            values[number] = [_VALUES[value] for value in row[1:]]
        except KeyError as error:
            reason = f"value {error.args[0]!r} in {name}, expected -1 or 1: labels unknown"
            label_file.problems.append(Problem(image, "attribute value", reason, "noted"))
    if len(rows) and values.min() == 0 and values.max() == 1:
        values[values.any(axis=1)] = 2 * values[values.any(axis=1)] - 1
        label_file.problems.append(Problem(name, "0 for absent", "no -1 anywhere: 0 was read as absent", "noted"))
    label_file.values[:, [positions[column] for column in known]] = values[:, known]
    if promised is not None and promised != len(rows):
        reason = f"the first line promises {promised:,} rows, and there are {len(rows):,}"
        label_file.problems.append(Problem(name, "header count", reason, "noted"))
    return label_file


def parse_numbers(name: str, data: bytes, allowed: range, what: str) -> LabelFile:
    """Parse a file of one number for each image: ``list_eval_partition`` or ``identity_CelebA``, text or CSV.

    Numbers outside ``allowed`` are noted and become -1.
    """
    _, _, rows = _split_table(name, data)
    label_file = LabelFile(name, np.full((len(rows), 1), -1, np.int32), {})
    for number, row, image in _new_rows(label_file, rows):
        try:
            value = int(row[1])
        except (ValueError, IndexError):
            value = -1
        if len(row) == 2 and value in allowed:
            label_file.values[number] = value
        else:
            found = " ".join(row[1:])
            reason = f"{found!r} in {name}, expected a number from {allowed.start} to {allowed.stop - 1}: unknown"
            label_file.problems.append(Problem(image, f"{what} value", reason, "noted"))
    return label_file


def _new_rows(label_file: LabelFile, rows: Iterable[list[str]]) -> Iterator[tuple[int, list[str], str]]:
    """Enter each row's name; yield (number, row, name) of those not met before."""
    for number, row in enumerate(rows):
        image = row[0]
        if label_file.row_of.setdefault(image, number) == number:
            yield number, row, image
        else:
            reason = f"a second row in {label_file.name}: the first one counts"
            label_file.problems.append(Problem(image, "second row", reason, "noted"))


def _split_table(name: str, data: bytes) -> tuple[int | None, list[str], list[list[str]]]:
    """Return (count promised by the first line, column names, rows), each row beginning with its file's name.

    Raises:
        UserError: it is an HTML page, or nothing like such a table.
    """
    if b"<html" in data[:2048].lower() or data[:64].lstrip().lower().startswith(b"<!doctype"):
        raise UserError(f"{name} is an HTML page, not the annotation file: download it again")
    lines = [line for line in data.decode("utf-8-sig", errors="replace").splitlines() if line.strip()]
    is_csv = bool(lines) and "," in lines[0]
    table = (
        [[cell.strip() for cell in row] for row in csv.reader(lines)] if is_csv else [line.split() for line in lines]
    )
    promised = None
    if table and len(table[0]) == 1 and table[0][0].isdigit():
        promised = int(table.pop(0)[0])
    header: list[str] = []
    if table and _is_header(table[0]):
        header = table.pop(0)
        if is_csv:
            header = header[1:]
    if not table or len(table[0]) < 2:
        raise UserError(f"{name}: expected rows of a file name and its values, found none; download the file again")
    return promised, header, table


def _is_header(row: list[str]) -> bool:
    """Whether the row holds names: in a row of values, everything after the file's name is a number."""
    return not any(cell.lstrip("+-").replace(".", "", 1).isdigit() for cell in row[1:])
