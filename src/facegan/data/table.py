"""Tables of labels as people have them: any usual encoding and delimiter, with a header or without."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from facegan.errors import UserError, brief

_BYTE_ORDER_MARKS = {  # UTF-32 first: its mark begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip
_DELIMITERS = "\t;,|"
_NAME_COLUMNS = ("imageid", "filename", "imagename", "imagefile", "imagepath", "imgname", "image", "img", "file",
                 "path", "picture", "photo", "name", "id")  # fmt: skip
"""Headings of the column that holds the file's name, the surest first."""
INDEX_COLUMNS = frozenset(("", "unnamed0", "index", "level0"))
"""Headings that pandas gives to a column of row numbers."""
_WORDS = frozenset(
    ("true", "false", "yes", "no", "train", "training", "valid", "val", "validation", "dev", "test", "testing")
)
_IMAGE_NAME = re.compile(r"[^.]\.[a-z][a-z0-9]{2,3}$", re.IGNORECASE)
_SAMPLED_ROWS = 50
_HEAD = 1 << 16
"""Characters at the beginning by which a table's form is known."""
_CHUNK = 1 << 20
MOST_ROWS = 4 << 20
"""Lines of a table, if no more images are there: 64 MiB of the shortest rows that there are."""


def plain(name: str) -> str:
    """Return a heading without case, spaces, separators and Unicode variants: ``Wearing Hat`` is ``wearinghat``."""
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", name).casefold())


class Table:
    """The rows of a table of labels; iterating yields (the file's name, the row's other cells).

    ``columns`` are the headings of the other cells, empty where the table has no header. ``promised_rows`` is the
    number that stands alone in the first line of CelebA's own files. ``data``: its bytes, or a file, which is read
    row by row: all cells of CelebA's 202,599 rows would take half a gigabyte.

    Raises:
        UserError: it is a web page or no table, it has no row, or more lines than ``most``.
    """

    def __init__(self, name: str, data: bytes | Path, most: int = MOST_ROWS) -> None:
        self.name, self._data = name, data
        with self._stream() as stream:
            start = stream.read(2048)
            if b"<html" in start.lower() or start[:64].lstrip().lower().startswith(b"<!doctype"):
                raise UserError(f"{name} is an HTML page, not the annotation file: download it again")
            stream.seek(0)
            self.encoding, lines = _encoding(start, stream)
        if lines > most:
            raise UserError(
                f"{name} has {lines:,} lines, and a table of these images at most {most:,}: give the table of these"
            )
        with self._text() as text:
            head = text.read(2 * _HEAD)
        self.promised_rows, self._start = _count_line(head)
        self._delimiter = _delimiter(head[self._start : self._start + _HEAD])
        sample = list(itertools.islice(self._cells(), _SAMPLED_ROWS))
        self._has_header = bool(sample) and _is_header(sample[0])
        rows = sample[1:] if self._has_header else sample
        widths = Counter(map(len, rows))
        self.width = max(widths, key=lambda width: (widths[width], width), default=0)
        if self.width < 2:
            raise UserError(f"{name}: expected rows of a file name and its values, found none; download the file again")
        header = sample[0] if self._has_header else []
        if header and len(header) == self.width - 1:  # CelebA's own files name only the values
            header = ["image_id", *header]
        self._name_place = _name_place(header, rows)
        self.columns = [cell for place, cell in enumerate(header) if place != self._name_place]

    def __iter__(self) -> Iterator[tuple[str, list[str]]]:
        for row in itertools.islice(self._cells(), int(self._has_header), None):
            while len(row) > self.width and not row[-1]:
                row.pop()
            yield (row.pop(self._name_place) if len(row) > self._name_place else ""), row

    def _cells(self) -> Iterator[list[str]]:
        with self._text() as lines:
            lines.read(self._start)
            if self._delimiter is None:
                yield from (cells for line in lines if (cells := line.split()))
                return
            try:
                for row in csv.reader(lines, delimiter=self._delimiter):
                    cells = [cell.strip() for cell in row]
                    if any(cells):
                        yield cells
            except csv.Error as error:
                raise UserError(f"{self.name} cannot be read as a table: {brief(error)}") from error

    def _stream(self) -> BinaryIO:
        return io.BytesIO(self._data) if isinstance(self._data, bytes) else self._data.open("rb")

    def _text(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(self._stream(), self.encoding, errors="replace", newline="")


def _encoding(start: bytes, stream: BinaryIO) -> tuple[str, int]:
    """Return a table's encoding, and how many lines it has at the most; ``start``: its first bytes."""
    decoder, is_utf8 = codecs.getincrementaldecoder("utf-8")(), True
    feeds = returns = 0
    while chunk := stream.read(_CHUNK):
        feeds, returns = feeds + chunk.count(b"\n"), returns + chunk.count(b"\r")
        try:
            is_utf8 = is_utf8 and decoder.decode(chunk) is not None
        except UnicodeDecodeError:
            is_utf8 = False
    return _marked_encoding(start[:2000]) or ("utf-8" if is_utf8 else "cp1252"), max(feeds, returns) + 1


def _marked_encoding(start: bytes) -> str | None:
    """Return the encoding that a byte order mark, or zeros in every second place, tell."""
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if start.startswith(mark):
            return encoding
    for encoding, zeros in (("utf-16-le", start[1::2].count(0)), ("utf-16-be", start[::2].count(0))):
        if zeros > 0.4 * len(start) / 2 and start.count(0) < 1.2 * zeros:
            return encoding
    return None


def _count_line(text: str) -> tuple[int | None, int]:
    """Return the number that stands alone in the first line, and where the lines after it begin."""
    found = re.match(r"\s*(\d{1,9})[ \t]*\r?\n", text)
    return (int(found[1]), found.end()) if found else (None, 0)


def _delimiter(text: str) -> str | None:
    """Return the delimiter that stands equally often in the first lines, None for spaces."""
    lines = [line for line in text.splitlines()[:_SAMPLED_ROWS] if line.strip()]
    if len(lines) > 1:
        lines.pop()  # it may be cut
    best = max(_DELIMITERS, key=lambda delimiter: sum(delimiter in line for line in lines))
    return best if lines and sum(best in line for line in lines) > len(lines) / 2 else None


def _is_header(row: list[str]) -> bool:
    if any(_IMAGE_NAME.search(cell) for cell in row):
        return False
    if any(plain(cell) in _NAME_COLUMNS for cell in row):
        return True
    return len(row) > 1 and not any(_is_value(cell) for cell in row[1:])


def _is_value(cell: str) -> bool:
    return not cell or cell.casefold() in _WORDS or cell.lstrip("+-").replace(".", "", 1).isdecimal()


def _name_place(header: list[str], rows: list[list[str]]) -> int:
    """Return the place of the column with the files' names: by its heading, or else by what is in it."""
    headings = [plain(cell) for cell in header]
    for name in _NAME_COLUMNS:
        if name in headings:
            return headings.index(name)
    for place in range(max(map(len, rows), default=0)):
        cells = [row[place] for row in rows if len(row) > place]
        if sum(_IMAGE_NAME.search(cell) is not None for cell in cells) > len(cells) / 2:
            return place
    is_index = len(headings) > 2 and headings[0] in INDEX_COLUMNS
    return 1 if is_index and not all(_is_value(row[1]) for row in rows if len(row) > 1) else 0
