"""The labels of a list of images, gathered from the annotation files that are there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from facegan.attributes import ATTRIBUTE_COUNT
from facegan.data.celeba import (
    ANNOTATIONS,
    COLUMNS,
    KNOWN_FOLDER,
    Annotation,
    ImagePaths,
    LabelFile,
    Match,
    annotation_at,
    attribute_positions,
    find_annotations,
    is_of_made_faces,
    parse_attributes,
    parse_numbers,
)
from facegan.data.crop import is_aligned
from facegan.data.decode import image_size
from facegan.data.label_values import listed
from facegan.data.parquet import ParquetRows
from facegan.data.preflight import Preflight, Problem
from facegan.data.sources import ImageFile, Listing, Reader, UnreadableError, read_text_file
from facegan.data.table import Table, plain
from facegan.errors import UserError

_TEXTS_LOOKED_AT = 20


@dataclass
class Labels:
    """Labels of ``count`` images, unknown at first; shapes and values as in ``PackedDataset``.

    ``sources`` is {what: the annotation file it came from}; ``warnings`` are sentences for the user; ``for_made`` are
    those of the sources that are for made faces too: named by the user, in the image's own row, or of synth-dataset.
    """

    count: int
    sources: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    for_made: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.attributes = np.zeros((self.count, ATTRIBUTE_COUNT), np.int8)
        self.partitions = np.full(self.count, -1, np.int8)
        self.identities = np.zeros(self.count, np.int32)

    def known(self) -> np.ndarray:
        """Return int64 [N]: of how many kinds labels are known of each image."""
        return np.stack([self.attributes.any(1), self.identities > 0, self.partitions >= 0]).sum(axis=0)

    def forget_made(self, places: np.ndarray) -> None:
        """Make those labels of the made faces at ``places`` unknown that a table of photographs gave them."""
        for what, array, unknown in (
            ("attributes", self.attributes, 0), ("partition", self.partitions, -1), ("identities", self.identities, 0)
        ):  # fmt: skip
            if what not in self.for_made:
                array[places] = unknown

    def set(self, what: str, places: np.ndarray, values: np.ndarray) -> None:
        """Enter the values (int [n, 40] or [n, 1]) of the images at ``places``."""
        if what == "attributes":
            self.attributes[places] = values
        elif what == "partition":
            self.partitions[places] = values[:, 0]
        else:
            self.identities[places] = values[:, 0].clip(0)


def read_labels(
    listing: Listing, given: dict[str, Path | None], preflight: Preflight, taken: int | None = None
) -> Labels:
    """Return the labels of the listing's images; what does not fit goes to ``preflight``, of the first ``taken``.

    ``given`` names annotation files ("attributes", "partition", "identities"). Others are looked for in the source,
    and beside it where the source is called as CelebA's folders are.

    Raises:
        UserError: a given file cannot be read, is no such table, or knows none of the images; or a file in the source
            fits less than half of them.
    """
    files = listing.images
    labels = Labels(len(files))
    if listing.rows is not None:
        _labels_of_parquet(listing.rows, labels, preflight)
    paths = listing.image_paths()
    images = ImagePaths(paths)
    for what, annotation in _annotations(listing, given, labels).items():
        label_file = _parse(what, annotation)
        match = label_file.match(images)
        _check_fit(label_file, match, paths, what, annotation.place, listing.source)
        has_row = match.row_N >= 0
        labels.sources[what] = label_file.name
        if annotation.place == "given" or is_of_made_faces(annotation, listing):
            labels.for_made.add(what)
        preflight.add(label_file.problems)
        preflight.add(_unmatched(label_file, files, match, what, taken))
        values = label_file.values[match.row_N[has_row]]
        if not _any_known(what, values):
            why = next(
                (
                    f" ({problem.reason})"
                    for problem in label_file.problems
                    if problem.kind.endswith(("value", "column"))
                ),
                "",
            )
            raise UserError(
                f"{label_file.name} holds no {what} value that fits{why}; is it another of CelebA's files, or in "
                f"another code? Name the right one with --{what}"
            )
        labels.set(what, has_row, values)
        labels.warnings += _copies(match, paths, label_file.name)
        count, looked_at = np.count_nonzero(has_row[:taken]), len(has_row[:taken])
        if count < looked_at / 2:
            labels.warnings.append(
                f"{label_file.name} has a row for {count:,} of {looked_at:,} images only, such as "
                f"{paths[has_row.argmax()]}: is it the table of these?"
            )
    preflight.add(_people_in_two_partitions(labels))
    return labels


def _labels_of_parquet(rows: ParquetRows, labels: Labels, preflight: Preflight) -> None:
    """Enter the labels that stand in the files' own columns; the images are in the order of the rows."""
    if rows.attributes is not None and not rows.attributes.values.any():
        labels.warnings.append(
            "the columns of attributes hold none that is known here (40 values a row in CelebA's order, or a column or "
            "field for each name): the faces stay without"
        )
    elif rows.attributes is not None:
        labels.attributes[:] = rows.attributes.values
        labels.sources["attributes"] = "columns"
        preflight.add(rows.attributes.problems)
    if rows.partitions is not None:
        labels.partitions[:] = rows.partitions
        labels.sources["partition"] = "columns or file names"
    if rows.identities is not None:
        labels.identities[:] = rows.identities
        labels.sources["identities"] = "columns"
    labels.for_made |= labels.sources.keys()


def _annotations(listing: Listing, given: dict[str, Path | None], labels: Labels) -> dict[str, Annotation]:
    """Return {what: file} to be used: given ones, found ones, and further columns of the table of attributes."""
    found = find_annotations(listing.source, listing)
    beside = [what for what, annotation in found.items() if annotation.place == "beside"]
    folders = listing.source.resolve().name, *(file.path.rpartition("/")[0] for file in listing.images[:1])
    if beside and not any(KNOWN_FOLDER.search(folder) for folder in folders):
        labels.warnings.append(
            f"{found[beside[0]].name} was not used: {listing.source} is not called as a folder of CelebA (such as "
            f"img_align_celeba), so its pictures may be others. If they are CelebA's, name it with --{beside[0]}"
        )
        for what in beside:
            del found[what]
    for what in ANNOTATIONS:
        file = given.get(what)
        if file is not None:
            found[what] = annotation_at(file, "given", len(listing.images))
    table = found.get("attributes")
    if table is not None and (wanted := [what for what in COLUMNS if what not in found]):
        columns = {plain(column) for column in Table(table.name, table.data, table.most_rows).columns}
        found |= {what: table for what in wanted if columns & COLUMNS[what]}
    return found


def _any_known(what: str, values: np.ndarray) -> bool:
    """Return whether a table says anything: identities count from 1, partitions from 0, attributes are -1 or +1."""
    if what == "attributes":
        return bool(values.any())
    return bool((values > 0).any() if what == "identities" else (values >= 0).any())


def _parse(what: str, file: Annotation) -> LabelFile:
    if what == "attributes":
        return parse_attributes(file.name, file.data, file.most_rows)
    return parse_numbers(file.name, file.data, what, file.most_rows)


def _check_fit(label_file: LabelFile, match: Match, paths: Sequence[str], what: str, place: str, source: Path) -> None:
    """Refuse a table that was found and fits less than half of the images, or was given and fits none."""
    without = np.setdiff1d(np.flatnonzero(match.row_N < 0), match.strangers)
    fitting = int(np.count_nonzero(match.row_N >= 0))
    if not len(without) or fitting >= (1 if place == "given" else len(without)):
        return
    row = next(iter(label_file.row_of), "nothing")
    numbers = {_number(name) for name in label_file.row_of}
    zeros = not fitting and (_number(paths[without[0]]) or None) in numbers and "0" not in numbers
    hint = "Its numbers lack leading zeros, which a spreadsheet drops: put them back. " if zeros else ""
    said = f"--{what} {label_file.name}" if place == "given" else label_file.name
    raise UserError(
        f"{said} has a row for {fitting:,} of the {len(paths):,} images of {source}: there is an image "
        f"{paths[without[0]]}, and a row for {row}. {hint}Give the table of these images with --{what}, prepare "
        f"CelebA's own folder, or leave all labels out with --no-attributes"
    )


def _number(path: str) -> str:
    """Return the number that a file is called, without leading zeros; empty if it has another name."""
    stem = path.rpartition("/")[2].partition(".")[0]
    return (stem.lstrip("0") or "0") if stem.isdecimal() else ""


def by_name_alone(listing: Listing, labels: Labels, reader: Reader) -> Iterator[str]:
    """Yield a warning where images have labels of CelebA's own tables for their names, and look like others.

    Their folder is not called as CelebA's, and the first of them has not the shape of its aligned images.
    """
    tables = {what: name for what, name in labels.sources.items() if _is_celebas(name) and what not in labels.for_made}
    has_labels_N = labels.attributes.any(1) | (labels.identities > 0) | (labels.partitions >= 0)
    if not tables or not has_labels_N.any() or listing.rows is not None:
        return
    first = listing.images[has_labels_N.argmax()]
    if KNOWN_FOLDER.search(f"{listing.source.resolve().name}/{first.path.rpartition('/')[0]}"):
        return
    try:
        size = image_size(reader.read(first))
    except UnreadableError:
        return
    if size is not None and not is_aligned(*size):
        count, names = np.count_nonzero(has_labels_N), listed(sorted(set(tables.values())))
        yield (
            f"{count:,} images have labels of {names} for their names alone, and {first.path} is {size[0]}x{size[1]}, "
            f"which is not the shape of CelebA's 178x218: if they are other photos, prepare them with --no-attributes"
        )


def _is_celebas(table: str) -> bool:
    return any(Path(table).stem in stems for stems in ANNOTATIONS.values())


def unused_tables(listing: Listing, used: Collection[str]) -> set[str]:
    """Return the files of a source that are tables with several of CelebA's attributes, and are not ``used``.

    Only a few texts are looked at: a source may have one for each image.
    """
    texts = (path for path in sorted(listing.others) if path.lower().endswith((".csv", ".txt", ".tsv")))
    found = set()
    for path in islice((path for path in texts if path not in used), _TEXTS_LOOKED_AT):
        with suppress(UserError):
            if len(attribute_positions(Table(path, read_text_file(listing.source, path)).columns)) > 2:
                found.add(path)
    return found


def _copies(match: Match, paths: Sequence[str], table: str) -> Iterator[str]:
    if match.strangers:
        names = listed([paths[place] for place in match.strangers])
        yield (
            f"{len(match.strangers):,} images carry names of {table} and lie outside CelebA's folder ({names}): they "
            f"have no labels"
        )
    if match.copies:
        names = listed([paths[place] for place in match.copies])
        yield (
            f"{len(match.copies):,} images share a name with one in another folder ({names}): they have the same "
            f"labels, and the same faces may be in there twice"
        )


def _unmatched(
    label_file: LabelFile, files: Sequence[ImageFile], match: Match, what: str, taken: int | None
) -> Iterator[Problem]:
    table = Path(label_file.name).name
    for place in np.flatnonzero(match.row_N[:taken] < 0).tolist():
        reason = f"no row in {table}: unknown"
        if place in match.clashes:
            reason = f"a row in {table} could be its own and another's: unknown"
        yield Problem(files[place].name, f"image without {what} row", reason, "noted")
    used = set(match.row_N.tolist())
    for name, row in label_file.row_of.items():
        if row not in used:
            yield Problem(name, f"{what} row without image", f"a row in {table}, and no such image", "noted")


def _people_in_two_partitions(labels: Labels) -> list[Problem]:
    known = (labels.identities > 0) & (labels.partitions >= 0)
    pairs = np.unique(np.stack([labels.identities[known], labels.partitions[known]], axis=1), axis=0)
    people, uses = np.unique(pairs[:, 0], return_counts=True)
    problems = []
    for person in people[uses > 1]:
        where = ", ".join(str(partition) for partition in pairs[pairs[:, 0] == person, 1])
        problems.append(
            Problem(f"identity {person}", "identity in two partitions", f"found in partitions {where}", "noted")
        )
    return problems
