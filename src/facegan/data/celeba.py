"""CelebA's annotation files (Liu et al., ICCV 2015), as officially published and as Kaggle's CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from facegan.attributes import ATTRIBUTE_COUNT, ATTRIBUTE_NAMES
from facegan.data.folder import LARGEST_TEXT, Listing, read_text_member
from facegan.data.preflight import Problem
from facegan.errors import UserError, brief
from facegan.files import read_bytes

ANNOTATIONS = {"attributes": "list_attr_celeba", "partition": "list_eval_partition", "identities": "identity_CelebA"}
"""{what it gives: the name of its file, before .txt or .csv}"""
_FOLDERS_BESIDE = (".", "Anno", "Eval", "..", "../Anno", "../Eval", "../..")
_POSITIONS = {name.lower(): position for position, name in enumerate(ATTRIBUTE_NAMES)}
_VALUES = {"1": 1, "-1": -1, "0": 0, "+1": 1, "1.0": 1, "-1.0": -1, "0.0": 0}


@dataclass
class LabelFile:
    """One annotation file. ``values`` is int8 [rows, 40] for attributes and int32 [rows, 1] for a number.

    ``row_of`` leads from an image's name to its row; ``problems`` are those of single rows.
    """

    name: str
    values: np.ndarray
    row_of: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def note(self, file: str, kind: str, reason: str) -> None:
        """Add a problem that is only noted."""
        self.problems.append(Problem(file, kind, reason, "noted"))

    def enter(self, table: Iterable[list[str]]) -> Iterator[tuple[int, list[str]]]:
        """Enter the name of each row in ``row_of``; yield (number, row) of those with a new name."""
        for number, row in enumerate(table):
            if self.row_of.setdefault(row[0], number) == number:
                yield number, row
            else:
                self.note(row[0], "second row", f"another row in {self.name}: the first one counts")

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
            found[what] = (str(beside), read_annotation(beside))
    return found


def _file_beside(source: Path, wanted: Sequence[str]) -> Path | None:
    home = (source if source.is_dir() else source.parent).resolve()
    places = (home / folder / name for folder in _FOLDERS_BESIDE for name in wanted)
    return next((place.resolve() for place in places if place.is_file()), None)


def read_annotation(file: Path) -> bytes:
    """Return the bytes of an annotation file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return read_bytes(file.resolve(), LARGEST_TEXT)
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read ({brief(error)}): expected an annotation file of CelebA") from error


def parse_attributes(name: str, data: bytes) -> LabelFile:
    """Parse ``list_attr_celeba``: official text or CSV, columns in any order, found by their names.

    Rows with other than as many values as the header has names, or with a value other than -1, 0 and 1, are unknown
    (0). Where a file has no -1 at all, 0 is read as absent.

    Raises:
        UserError: no header with any of the 40 names, or no row at all.
    """
    table = _Table(name, data)
    positions = [_POSITIONS.get(column.lower(), -1) for column in table.header]
    if max(positions, default=-1) < 0:
        raise UserError(
            f"{name}: expected a header with CelebA's attribute names, found {' '.join(table.header)[:60]!r}; give the "
            f"file list_attr_celeba.txt or .csv"
        )
    label_file = LabelFile(name, np.zeros((table.row_count, ATTRIBUTE_COUNT), np.int8))
    values = np.zeros((table.row_count, len(positions)), np.int8)
    for number, row in label_file.enter(table):
        if len(row) - 1 != len(positions):
            reason = f"{len(row) - 1} values in {name}, expected {len(positions)}: labels unknown"
            label_file.note(row[0], "attribute count", reason)
            continue
        try:
            values[number] = [_VALUES[value] for value in row[1:]]
        except KeyError as error:
            reason = f"value {error.args[0]!r} in {name}, expected -1 or 1: labels unknown"
            label_file.note(row[0], "attribute value", reason)
    if values.min() == 0 and values.max() == 1:
        known = values.any(axis=1)
        values[known] = 2 * values[known] - 1
        label_file.note(name, "0 for absent", "there is no -1: 0 was read as absent")
    for column, position in enumerate(positions):
        if position < 0:
            label_file.note(name, "unknown attribute", f"column {table.header[column]!r} is none of the 40: left out")
        else:
            label_file.values[:, position] = values[:, column]
    if table.promised_rows not in (None, table.row_count):
        reason = f"the first line says {table.promised_rows:,} rows, and there are {table.row_count:,}"
        label_file.note(name, "header count", reason)
    return label_file


def parse_numbers(name: str, data: bytes, allowed: range, what: str) -> LabelFile:
    """Parse a file of one number for each image: ``list_eval_partition`` or ``identity_CelebA``, text or CSV.

    Numbers outside ``allowed`` are noted and become -1.

    Raises:
        UserError: there is no row.
    """
    table = _Table(name, data)
    label_file = LabelFile(name, np.full((table.row_count, 1), -1, np.int32))
    for number, row in label_file.enter(table):
        value = int(row[1]) if len(row) == 2 and row[1].isdecimal() and len(row[1]) < 10 else -1
        if value in allowed:
            label_file.values[number] = value
        else:
            found = " ".join(row[1:])
            reason = f"{found!r} in {name}, expected a number from {allowed.start} to {allowed.stop - 1}: unknown"
            label_file.note(row[0], f"{what} value", reason)
    return label_file


class _Table:
    """Lines of an annotation file, official text or CSV: iterating gives each row's cells, the file's name first.

    Read line by line: all cells of CelebA's 202,599 rows at once would take half a gigabyte.
    """

    def __init__(self, name: str, data: bytes) -> None:
        if b"<html" in data[:2048].lower() or data[:64].lstrip().lower().startswith(b"<!doctype"):
            raise UserError(f"{name} is an HTML page, not the annotation file: download it again")
        self._lines = [line for line in data.decode("utf-8-sig", errors="replace").splitlines() if line.strip()]
        self.promised_rows = None
        if self._lines and self._lines[0].strip().isdecimal() and len(self._lines[0].strip()) < 10:
            self.promised_rows = int(self._lines.pop(0))
        self._is_csv = bool(self._lines) and "," in self._lines[0]
        self.header: list[str] = []
        first = next(iter(self), [])
        if first and not any(cell.lstrip("+-").replace(".", "", 1).isdecimal() for cell in first[1:]):
            self.header = first[1:] if self._is_csv else first
            del self._lines[0]
        if not self._lines or len(next(iter(self))) < 2:
            raise UserError(f"{name}: expected rows of a file name and its values, found none; download the file again")

    @property
    def row_count(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[list[str]]:
        if self._is_csv:
            return ([cell.strip() for cell in row] for row in csv.reader(self._lines))
        return (line.split() for line in self._lines)
