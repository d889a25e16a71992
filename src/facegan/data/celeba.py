"""CelebA's annotation files (Liu et al., ICCV 2015), as officially published and as other tools write them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from facegan.attributes import ATTRIBUTE_COUNT, ATTRIBUTE_NAMES
from facegan.data.label_values import (
    EMPTY,
    MOST_STRANGE,
    OTHER,
    PARTITIONS,
    CellCodes,
    decode_labels,
    listed,
    number_of,
)
from facegan.data.layout import ABOUT_FILE, MADE_BY
from facegan.data.preflight import Problem
from facegan.data.sources import Listing, open_table, open_table_file, read_text_file
from facegan.data.table import INDEX_COLUMNS, MOST_ROWS, Table, plain
from facegan.errors import UserError
from facegan.files import LARGEST_JSON, parse_json, read_bytes

ANNOTATIONS = {
    "attributes": ("list_attr_celeba", "CelebAMask-HQ-attribute-anno"),
    "partition": ("list_eval_partition",),
    "identities": ("identity_CelebA",),
}
"""{what it gives: the names of its file, before .txt or .csv}"""
COLUMNS = {
    "partition": frozenset(("partition", "split", "subset")),
    "identities": frozenset(
        (
            "identity",
            "identities",
            "identityid",
            "celebid",
            "celebrityid",
            "personid",
            "person",
            "subjectid",
            "subject",
        )
    ),
}
"""{what it gives: headings of its column where a table has several}"""
HEADINGS = {"partition": ("partition", "split"), "identities": ("identity", "person_id", "celeb_id")}
"""The headings of ``COLUMNS`` that messages name."""
ALLOWED = {"partition": range(3), "identities": range(1, 2**31)}
EXPECTED = {"partition": "0 train, 1 valid, 2 test", "identities": "a whole number from 1"}
KNOWN_FOLDER = re.compile(r"celeba", re.IGNORECASE)
"""In the name of a folder or zip that holds CelebA's pictures, as img_align_celeba and CelebA-HQ-img do."""
_FOLDERS_BESIDE = (".", "Anno", "Eval", "..", "../Anno", "../Eval", "../..", "../../Anno", "../../Eval")
_ROWS_AHEAD = 1 << 14
_SEVERAL = -2
"""In place of a row: several rows are meant."""
_MOST_FOLDERS = 8
"""In a name, looked at from its end."""
_POSITIONS = {plain(name): position for position, name in enumerate(ATTRIBUTE_NAMES)}


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

    def enter(self, file: str) -> int | None:
        """Return the number of a new row for ``file``, None if it has one already."""
        number = len(self.row_of)
        if self.row_of.setdefault(file, number) == number:
            return number
        self.note(file, "second row", f"another row in {self.name}: the first one counts")
        return None

    def match(self, images: ImagePaths) -> Match:
        """Return which image has which row.

        A name is looked up whole, then without its first folders, then without its suffix too (CelebA's PNG edition
        has the rows of the JPEG one); letter case, Unicode variants and the kind of slash do not matter. A name that
        several rows share gives no image a row, and in one folder a row is never given to two images. Where a folder is
        called as CelebA's, only the images in such folders have rows; otherwise images of the same name in several
        folders all have its row.
        """
        row_N = np.full(len(images), -1, np.int64)
        clashes = set[int]()
        rows = [(_plain_path(name), row) for name, row in self.row_of.items()]
        for simplify in _simplifications(rows, images.plain):
            missing = np.flatnonzero(row_N < 0)
            if not len(missing):
                break
            simpler = _rows_by_name(rows, simplify)
            named = (simplify(images.plain[place]) for place in missing.tolist())
            found_M = np.fromiter((simpler.get(name, -1) for name in named), np.int64, len(missing))
            clashes.update(missing[found_M == _SEVERAL].tolist())
            missing, found_M = missing[found_M >= 0], found_M[found_M >= 0]
            taken = images.folder_N[row_N >= 0] * len(self.row_of) + row_N[row_N >= 0]
            wanted_M = images.folder_N[missing] * len(self.row_of) + found_M
            _, which_M, uses = np.unique(wanted_M, return_inverse=True, return_counts=True)
            free_M = (uses[which_M] == 1) & ~np.isin(wanted_M, taken)
            row_N[missing[free_M]] = found_M[free_M]
            clashes.update(missing[~free_M].tolist())
        return _without_strangers(row_N, images)._replace(clashes=clashes)


class ImagePaths:
    """The paths of a source's images, made ready to be compared with the names in tables.

    ``folder_N`` int64 [N]: a number for each image's folder; ``is_celeba_N`` bool [N]: it is called as CelebA's.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        folders = [path.rpartition("/")[0] for path in paths]
        numbers = {folder: number for number, folder in enumerate(dict.fromkeys(folders))}
        self.folder_N = np.fromiter((numbers[folder] for folder in folders), np.int64, len(paths))
        known = np.array([KNOWN_FOLDER.search(folder) is not None for folder in numbers], bool)
        self.is_celeba_N = known[self.folder_N]
        self.plain = [_plain_path(path) for path in paths]

    def __len__(self) -> int:
        return len(self.plain)


class Match(NamedTuple):
    """Which row of a table belongs to each of N images."""

    row_N: np.ndarray
    """int64 [N]: the row, -1 for none."""
    strangers: list[int]
    """Images whose row was taken away, because they lie outside a folder that is called as CelebA's."""
    copies: list[int]
    """Images that share a row with another one."""
    clashes: Collection[int] = ()
    """Images without a row, because several might have it."""


def _without_strangers(row_N: np.ndarray, images: ImagePaths) -> Match:
    has_row_N = row_N >= 0
    strangers_N = has_row_N & ~images.is_celeba_N
    if not (has_row_N & images.is_celeba_N).any():
        strangers_N[:] = False
    row_N[strangers_N] = -1
    with_row = np.flatnonzero(row_N >= 0)
    _, which, uses = np.unique(row_N[with_row], return_inverse=True, return_counts=True)
    return Match(row_N, np.flatnonzero(strangers_N).tolist(), with_row[uses[which] > 1].tolist())


def _plain_path(path: str) -> str:
    path = path.replace("\\", "/")
    return path.lower() if path.isascii() else unicodedata.normalize("NFC", path).casefold()


def _simplifications(rows: Sequence[tuple[str, int]], paths: Sequence[str]) -> Iterator[Callable[[str], str]]:
    """Yield ways to look at names, from the whole of them to the least: fewer and fewer folders, then no suffix."""
    deepest = min(max((name.count("/") for name in names), default=0) for names in (paths, [name for name, _ in rows]))
    yield str
    for folders in range(min(deepest, _MOST_FOLDERS), 0, -1):
        yield partial(_tail, folders)
    yield _base_name
    yield _base_stem


def _rows_by_name(rows: Iterable[tuple[str, int]], simplify: Callable[[str], str]) -> dict[str, int]:
    """Return {simplified name: row}, _SEVERAL for a name of several rows."""
    found = dict[str, int]()
    for name, row in rows:
        if found.setdefault(simplify(name), row) != row:
            found[simplify(name)] = _SEVERAL
    return found


def _tail(folders: int, path: str) -> str:
    """Return a path's name with its last so many folders, or as many as it has."""
    return "/".join(path.rsplit("/", folders + 1)[-folders - 1 :])


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _base_name(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _base_stem(name: str) -> str:
    return _base_name(name).rpartition(".")[0] or _base_name(name)


class Annotation(NamedTuple):
    """An annotation file: its name and bytes, and whether it was named, is in the source, or lies beside it.

    ``data`` of a large one is its path; ``most_rows``: more are refused.
    """

    name: str
    data: bytes | Path
    place: str
    most_rows: int = MOST_ROWS


def find_annotations(source: Path, listing: Listing) -> dict[str, Annotation]:
    """Return {what: file} of the annotation files in the source or beside it, of those that are there."""
    found = {}
    for what, stems in ANNOTATIONS.items():
        wanted = [f"{stem}.{suffix}" for stem in stems for suffix in ("txt", "csv")]
        inside = [path for path in listing.others if _base_name(path) in wanted]
        beside = _file_beside(source, wanted)
        if inside:
            path = min(inside, key=lambda path: (path.count("/"), wanted.index(_base_name(path))))
            data = open_table(listing, path)
            found[what] = Annotation(path, data, "inside", most_rows(len(listing.images)))
        elif beside is not None:
            found[what] = annotation_at(beside, "beside", len(listing.images))
    return found


def most_rows(images: int) -> int:
    """Return how many rows a table of so many images may have: it may be of all, where only some are there."""
    return max(MOST_ROWS, 4 * images)


def annotation_at(file: Path, place: str, images: int) -> Annotation:
    """Return the annotation file at a path, of so many images.

    Raises:
        UserError: it cannot be read, or is larger than a table of these can be.
    """
    return Annotation(str(file), open_table_file(file, images, str(file)), place, most_rows(images))


def is_of_made_faces(annotation: Annotation, listing: Listing) -> bool:
    """Return whether a found table is synth-dataset's own: its ``about.json`` lies beside it."""
    try:
        if annotation.place == "beside":
            content = read_bytes(Path(annotation.name).with_name(ABOUT_FILE), LARGEST_JSON)
        else:
            content = read_text_file(listing.source, f"{_folder(annotation.name)}/{ABOUT_FILE}".lstrip("/"))
        about = parse_json(content[:LARGEST_JSON])
    except (OSError, ValueError, UserError):
        return False
    return isinstance(about, dict) and str(about.get("made_by")).startswith(MADE_BY)


def _file_beside(source: Path, wanted: Sequence[str]) -> Path | None:
    home = (source if source.is_dir() else source.parent).resolve()
    places = (home / folder / name for folder in _FOLDERS_BESIDE for name in wanted)
    return next((place.resolve() for place in places if place.is_file()), None)


def parse_attributes(name: str, data: bytes | Path, most: int = MOST_ROWS) -> LabelFile:
    """Parse a table of attributes: columns in any order, found by their names; what is not understood is unknown.

    See ``label_values.decode_labels`` for the values. Columns that are none of the 40 do not matter.

    Raises:
        UserError: no header with any of the 40 names, no row at all, or more than ``most``.
    """
    table = Table(name, data, most)
    positions = attribute_positions(table.columns)
    if not positions:
        found = repr(" ".join(table.columns)[:60]) if table.columns else "rows of values only"
        raise UserError(
            f"{name}: expected a header with CelebA's attribute names, found {found}; give "
            f"the file list_attr_celeba.txt or .csv"
        )
    label_file = LabelFile(name, np.zeros((0, ATTRIBUTE_COUNT), np.int8))
    codes = np.empty((0, len(positions)), np.int8)
    code_of = CellCodes()
    for file, cells in table:
        number = label_file.enter(file)
        if number is None:
            continue
        if number >= len(codes):
            more = np.full((max(_ROWS_AHEAD, len(codes) // 2), len(positions)), EMPTY, np.int8)
            codes = np.concatenate([codes, more])
        if len(cells) != len(table.columns):
            reason = f"{len(cells)} values in {name}, expected {len(table.columns)}: labels unknown"
            label_file.note(file, "attribute count", reason)
            continue
        codes[number] = row = [code_of[cells[place]] for place in positions]
        if OTHER in row:
            place = list(positions)[row.index(OTHER)]
            reason = f"{table.columns[place]} is {cells[place]!r:.40} in {name}, expected -1 or 1: unknown"
            label_file.note(file, "attribute value", reason)
    count = len(label_file.row_of)
    judged = judge_attributes(label_file, codes[:count], [table.columns[place] for place in positions])
    label_file.values = np.zeros((count, ATTRIBUTE_COUNT), np.int8)
    label_file.values[:, list(positions.values())] = judged
    known = frozenset[str]().union(*COLUMNS.values())
    for place, column in enumerate(table.columns):
        if place not in positions and plain(column) in _POSITIONS:
            label_file.note(name, "second column", f"column {column!r}: another is called so too, and the first counts")
        elif place not in positions and plain(column) not in known:
            label_file.note(name, "unknown attribute", f"column {column!r} is none of the 40: left out")
    if table.encoding == "cp1252":
        label_file.note(name, "encoding", "not UTF-8: read as Windows-1252")
    if table.promised_rows not in (None, count):
        reason = f"the first line says {table.promised_rows:,} rows, and there are {count:,}"
        label_file.note(name, "header count", reason)
    return label_file


def attribute_positions(columns: Sequence[str]) -> dict[int, int]:
    """Return {place of a column: number of the attribute it is called after}."""
    found: dict[int, int] = {}
    for place, column in enumerate(columns):
        position = _POSITIONS.get(plain(column), -1)
        if position >= 0 and position not in found.values():
            found[place] = position
    return found


def judge_attributes(label_file: LabelFile, codes: np.ndarray, columns: Sequence[str]) -> np.ndarray:
    """Return int8 [rows, columns] of a table's codes and note how its values were read."""
    values, zero_is_absent, unusable = decode_labels(codes)
    if zero_is_absent:
        reason = f"0 was read as absent: there is no -1 in {listed([columns[place] for place in zero_is_absent])}"
        label_file.note(label_file.name, "0 for absent", reason)
    for place in unusable:
        reason = f"column {columns[place]!r} holds other values than -1 and 1, 0 and 1, true and false: left out"
        label_file.note(label_file.name, "attribute column", reason)
    return values


def parse_numbers(name: str, data: bytes | Path, what: str, most: int = MOST_ROWS) -> LabelFile:
    """Parse a table of one number for each image, or such a column of a larger table: partitions or identities.

    Numbers that are not allowed are noted and become -1; train, valid and test are 0, 1 and 2.

    Raises:
        UserError: there is no row, several columns of which none is called so, too many numbers are not allowed, or
            there are more than ``most`` rows.
    """
    table = Table(name, data, most)
    place = next((place for place, column in enumerate(table.columns) if plain(column) in COLUMNS[what]), None)
    possible = [place for place, column in enumerate(table.columns) if plain(column) not in INDEX_COLUMNS]
    if place is None and len(possible) == 1:
        place = possible[0]
        heading = plain(table.columns[place])
        if heading in _POSITIONS or any(heading in names for other, names in COLUMNS.items() if other != what):
            raise UserError(
                f"{name}: its column is called {table.columns[place]}, and that is no {what}: is it another?"
            )
    if place is None and possible:
        there, wanted = listed([table.columns[place] for place in possible], 5), " or ".join(HEADINGS[what])
        raise UserError(
            f"{name} has the columns {there}, and none is called {wanted}: give the one with the {what} such a heading"
        )
    values: list[str] = []
    label_file = LabelFile(name, np.zeros((0, 1), np.int32))
    for file, cells in table:
        if label_file.enter(file) is not None:
            values.append(" ".join(cells) if place is None else "".join(cells[place : place + 1]))
    numbers = numbers_of(name, what, values)
    for file, cell, number in zip(label_file.row_of, values, numbers, strict=True):
        if number < 0:
            label_file.note(file, f"{what} value", f"{cell!r:.60} in {name}, expected {EXPECTED[what]}: unknown")
    label_file.values = numbers[:, None]
    return label_file


def numbers_of(name: str, what: str, cells: Sequence[str]) -> np.ndarray:
    """Return int32 [N]: the partitions or identities that cells of table or file ``name`` tell, -1 unknown.

    Raises:
        UserError: more than a tenth of the cells, and more than two, are neither empty nor what is expected.
    """
    allowed, words, code_of = ALLOWED[what], PARTITIONS if what == "partition" else None, CellCodes()
    numbers = np.array([number_of(cell, allowed, words) for cell in cells], np.int32)
    strange = [cells[place] for place in np.flatnonzero(numbers < 0).tolist() if code_of[cells[place]] != EMPTY]
    if len(strange) > max(2, MOST_STRANGE * len(cells)):
        raise UserError(
            f"{name}: {len(strange):,} of {len(cells):,} values are no {what}, such as {strange[0]!r:.40}; expected "
            f"{EXPECTED[what]}. Is it another table, or are they counted in another way?"
        )
    return numbers
