"""Parquet files of images, as Hugging Face's copies of CelebA have them; needs the extra ``parquet`` (pyarrow).

One column holds the images: a struct of ``bytes`` and ``path``, or bytes alone. Labels are columns by name: the 40
attributes one by one or a list of 40 called ``attributes``, ``celeb_id`` and the like, and ``split``, which the names
of the files tell otherwise (``train-00000-of-00003.parquet``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from facegan.attributes import ATTRIBUTE_COUNT, ATTRIBUTE_NAMES
from facegan.data.celeba import COLUMNS, LabelFile, attribute_positions, judge_attributes, numbers_of
from facegan.data.folder import check_size
from facegan.data.label_values import EMPTY, FALSE, OTHER, PARTITIONS, TRUE, CellCodes
from facegan.data.table import plain
from facegan.errors import UserError, brief, check_not_denied

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet

_IMAGE_COLUMNS = ("image", "img", "picture", "photo", "face", "jpg", "jpeg", "png", "webp", "bytes", "imagebytes")
_NAME_COLUMNS = ("imageid", "filename", "imagename", "name", "path", "key")
_ATTRIBUTE_LISTS = ("attributes", "attrs", "attribute")
_SPLIT = re.compile(r"(?:^|[/_.-])(train|training|valid|val|validation|test)(?=[/_.-])", re.IGNORECASE)


class ParquetPlace(NamedTuple):
    """Where an image is: file, relative to the source; row group; row within it; column, and whether it is a struct."""

    file: str
    group: int
    row: int
    column: str
    is_struct: bool


@dataclass(frozen=True)
class ParquetRows:
    """The images of some files, in order, and their labels as a table would have them.

    ``names`` are unlike each other. ``attributes`` has values int8 [N, 40]; ``partitions`` int8 [N], -1 unknown;
    ``identities`` int32 [N], 0 unknown; None where no file has such a column.
    """

    names: list[str]
    places: list[ParquetPlace]
    attributes: LabelFile | None
    partitions: np.ndarray | None
    identities: np.ndarray | None


def list_rows(source: Path, files: Sequence[Path]) -> ParquetRows:
    """Return all images of ``files``, which lie in folder ``source``. Pixels are not read.

    Raises:
        UserError: pyarrow is missing, or a file is damaged or has no column of images.
    """
    try:
        import pyarrow
    except ImportError as error:
        raise UserError(
            f"{files[0]} is a Parquet file, and pyarrow is not installed: pip install 'facegan[parquet]'"
        ) from error
    parts = []
    for file in files:
        try:
            parts.append(_read_file(source, file))
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            check_not_denied(error)
            raise UserError(f"{file} cannot be read as a Parquet file ({brief(error)}): download it again") from error
    places = [place for part in parts for place in part.places]
    if not places:
        raise UserError(f"{source}: the Parquet files hold no row")
    return ParquetRows(
        _distinct([name for part in parts for name in part.names], places),
        places,
        _attributes(str(source), parts),
        _joined([part.partitions for part in parts], -1, np.int8),
        _joined([part.identities for part in parts], 0, np.int32),
    )


@dataclass(frozen=True)
class _Part:
    names: list[str]
    places: list[ParquetPlace]
    codes: np.ndarray | None
    columns: list[str]
    partitions: np.ndarray
    identities: np.ndarray


def _read_file(source: Path, file: Path) -> _Part:
    with _open(str(file)) as parquet:
        schema = parquet.schema_arrow
        column = _image_column(file, schema)
        is_struct = _is_struct(schema.field(column).type)
        labels = [field.name for field in schema if field.name != column and _is_label(field)]
        wanted = [*labels, f"{column}.path"] if is_struct and "path" in _fields(schema.field(column).type) else labels
        table = parquet.read(columns=wanted, use_threads=False) if wanted else None
        groups = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
    count, path = sum(groups), file.relative_to(source).as_posix()
    places = [
        ParquetPlace(path, group, row, column, is_struct) for group, rows in enumerate(groups) for row in range(rows)
    ]
    found = {name: table.column(name) for name in labels} if table is not None else {}
    names = _names(found, table.column(column) if table is not None and column in table.column_names else None, count)
    codes, columns = _codes(found, count)
    return _Part(names, places, codes, columns, _partitions(found, path, count), _identities(found, path, count))


def _open(file: str) -> pyarrow.parquet.ParquetFile:
    import pyarrow.parquet

    return pyarrow.parquet.ParquetFile(file, memory_map=False)


def _fields(kind: pyarrow.DataType) -> list[str]:
    return [kind.field(number).name for number in range(kind.num_fields)]


def _is_struct(kind: pyarrow.DataType) -> bool:
    import pyarrow.types as types

    return types.is_struct(kind)


def _is_bytes(kind: pyarrow.DataType) -> bool:
    import pyarrow.types as types

    return types.is_binary(kind) or types.is_large_binary(kind)


def _image_column(file: Path, schema: pyarrow.Schema) -> str:
    """Return the column with the images: by its name, or the only one that can be it."""
    possible = [
        field.name
        for field in schema
        if _is_bytes(field.type)
        or (_is_struct(field.type) and "bytes" in _fields(field.type) and _is_bytes(field.type.field("bytes").type))
    ]
    named = [name for wanted in _IMAGE_COLUMNS for name in possible if plain(name) == wanted]
    if named:
        return named[0]
    if len(possible) != 1:
        found = ", ".join(field.name for field in schema)[:200]
        raise UserError(f"{file} has no column of images (found {found}): expected one called image")
    return possible[0]


def _is_label(field: pyarrow.Field) -> bool:
    """Return whether a column may hold labels or names; prompts and other texts are not read."""
    heading = plain(field.name)
    known = {*_NAME_COLUMNS, *_ATTRIBUTE_LISTS, *COLUMNS["partition"], *COLUMNS["identities"]}
    return heading in known or bool(attribute_positions([field.name]))


def _names(columns: dict[str, Any], images: Any, count: int) -> list[str]:
    """Return the file's name of each row, empty where none is told."""
    values = [None] * count
    if images is not None:
        import pyarrow.compute

        values = pyarrow.compute.struct_field(images, "path").to_pylist()
    if not any(values):
        named = [name for wanted in _NAME_COLUMNS for name in columns if plain(name) == wanted]
        values = columns[named[0]].to_pylist() if named else values
    return ["" if value is None else str(value).replace("\\", "/").rsplit("/", 1)[-1] for value in values]


def _distinct(names: list[str], places: list[ParquetPlace]) -> list[str]:
    """Return the names, or the places of all rows where a name is missing or stands twice."""
    if all(names) and len(set(names)) == len(names):
        return names
    count = Counter[str]()
    rows = []
    for place in places:
        rows.append(f"{place.file}:{count[place.file]}")
        count[place.file] += 1
    return rows


def _codes(columns: dict[str, Any], count: int) -> tuple[np.ndarray | None, list[str]]:
    """Return a file's attributes as codes (int8 [rows, columns]), and what the columns are called."""
    named = [name for name in columns if attribute_positions([name])]
    if named:
        return np.stack([_column_codes(columns[name]) for name in named], axis=1), named
    lists = [name for name in columns if plain(name) in _ATTRIBUTE_LISTS]
    if not lists:
        return None, []
    column = columns[lists[0]]
    if _is_struct(column.type):
        import pyarrow.compute

        fields = {name: pyarrow.compute.struct_field(column, name) for name in _fields(column.type)}
        return _codes({name: values for name, values in fields.items() if plain(name) not in _ATTRIBUTE_LISTS}, count)
    rows = column.to_pylist()
    codes = np.full((count, ATTRIBUTE_COUNT), EMPTY, np.int8)
    for number, row in enumerate(rows):
        if isinstance(row, list) and len(row) == ATTRIBUTE_COUNT:
            codes[number] = _value_codes(row)
    return codes, list(ATTRIBUTE_NAMES)


def _column_codes(column: Any) -> np.ndarray:
    """Return the codes (int8 [rows]) of a column of Arrow, of numbers, truth values or texts."""
    import pyarrow.types as types

    if column.null_count == 0 and (types.is_boolean(column.type) or types.is_integer(column.type)):
        value_N = column.to_numpy()
        if value_N.dtype == bool:
            return np.where(value_N, TRUE, FALSE).astype(np.int8)
        return np.where(np.isin(value_N, (-1, 0, 1)), value_N, OTHER).astype(np.int8)
    return _value_codes(column.to_pylist())


def _value_codes(values: list[Any]) -> np.ndarray:
    code_of, truth = CellCodes(), {True: TRUE, False: FALSE}
    return np.array(
        [
            truth[value] if isinstance(value, bool) else EMPTY if value is None else code_of[str(value)]
            for value in values
        ],
        np.int8,
    )


def _partitions(columns: dict[str, Any], path: str, count: int) -> np.ndarray:
    found = [name for name in columns if plain(name) in COLUMNS["partition"]]
    if found:
        return numbers_of(f"column {found[0]} of {path}", "partition", _texts(columns[found[0]])).astype(np.int8)
    split = _SPLIT.search(path)
    return np.full(count, PARTITIONS[split[1].lower()] if split else -1, np.int8)


def _identities(columns: dict[str, Any], path: str, count: int) -> np.ndarray:
    found = [name for name in columns if plain(name) in COLUMNS["identities"]]
    if not found:
        return np.zeros(count, np.int32)
    return numbers_of(f"column {found[0]} of {path}", "identities", _texts(columns[found[0]])).clip(0)


def _texts(column: Any) -> list[str]:
    return ["" if value is None else str(value) for value in column.to_pylist()]


def _attributes(name: str, parts: list[_Part]) -> LabelFile | None:
    """Return the attributes of all files, judged as one table."""
    columns = list(dict.fromkeys(column for part in parts for column in part.columns))
    if not columns:
        return None
    rows = []
    for part in parts:
        codes = np.full((len(part.places), len(columns)), EMPTY, np.int8)
        if part.codes is not None:
            codes[:, [columns.index(column) for column in part.columns]] = part.codes
        rows.append(codes)
    codes = np.concatenate(rows)
    label_file = LabelFile(name, np.zeros((len(codes), ATTRIBUTE_COUNT), np.int8))
    strange = np.count_nonzero((codes == OTHER).any(axis=1))
    if strange:
        label_file.note(name, "attribute value", f"{strange:,} rows have values other than -1, 0 and 1: unknown")
    positions = attribute_positions(columns)
    judged = judge_attributes(label_file, codes, columns)
    label_file.values[:, list(positions.values())] = judged[:, list(positions)]
    return label_file


def _joined(arrays: list[np.ndarray], unknown: int, dtype: type[np.generic]) -> np.ndarray | None:
    joined = np.concatenate(arrays).astype(dtype)
    return joined if (joined != unknown).any() else None


class GroupReader:
    """Reads images of Parquet files in a folder; the row group it read last is kept."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self._kept: tuple[str, int] | None = None
        self._images: Any = None

    def read(self, place: ParquetPlace) -> bytes:
        """Return the bytes of one image.

        Raises:
            OSError, ValueError: it cannot be read, or it is larger than any photograph.
        """
        import pyarrow

        try:
            if self._kept != (place.file, place.group):
                self._kept, self._images = None, None  # never two groups in memory
                with _open(str(self.source / place.file)) as parquet:
                    table = parquet.read_row_group(place.group, columns=[place.column], use_threads=False)
                self._kept, self._images = (place.file, place.group), table.column(place.column)
            image = self._images[place.row].as_py()
        except (pyarrow.ArrowException, IndexError, KeyError) as error:
            raise ValueError(f"damaged in the Parquet file ({brief(error)})") from error
        data = image.get("bytes") if place.is_struct and image is not None else image
        if not isinstance(data, bytes):
            raise ValueError("there are no bytes of it in the Parquet file")
        check_size(len(data))
        return data
