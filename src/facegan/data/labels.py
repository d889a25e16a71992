"""The labels of a list of images, gathered from the annotation files that are there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from facegan.attributes import ATTRIBUTE_COUNT
from facegan.data.celeba import (
    ANNOTATIONS,
    LabelFile,
    find_annotations,
    parse_attributes,
    parse_numbers,
    read_annotation,
)
from facegan.data.folder import Listing
from facegan.data.preflight import Preflight, Problem
from facegan.errors import UserError

_LARGEST_IDENTITY = 2**31 - 1


@dataclass
class Labels:
    """Labels of ``count`` images, unknown at first; shapes and values as in ``PackedDataset``.

    ``sources`` is {what: the annotation file it came from}.
    """

    count: int
    sources: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.attributes = np.zeros((self.count, ATTRIBUTE_COUNT), np.int8)
        self.partitions = np.full(self.count, -1, np.int8)
        self.identities = np.zeros(self.count, np.int32)


def read_labels(listing: Listing, given: dict[str, Path | None], preflight: Preflight) -> Labels:
    """Return the labels of the listing's images; what does not fit goes to ``preflight``.

    ``given`` names annotation files ("attributes", "partition", "identities"); others are looked for in the source
    and beside it, where a file that knows none of the images is taken to belong to others.

    Raises:
        UserError: a given file cannot be read, is no such table, or knows none of the images.
    """
    names = [file.name for file in listing.images]
    labels = Labels(len(names))
    found = find_annotations(listing.source, listing)
    for what in ANNOTATIONS:
        file = given.get(what)
        if file is not None:
            found[what] = (str(file), read_annotation(file))
        if what not in found:
            continue
        label_file = _parse(what, *found[what])
        row_N = label_file.rows_for(names)
        has_row = row_N >= 0
        if not has_row.any():
            if file is not None:
                raise UserError(f"--{what} {file} has no row for any image of {listing.source}, such as {names[0]}")
            continue
        labels.sources[what] = label_file.name
        preflight.add(label_file.problems)
        preflight.add(_unmatched(label_file, names, row_N, what))
        values = label_file.values[row_N[has_row]]
        if not _any_known(what, values):
            raise UserError(
                f"{label_file.name} holds no {what} value that fits; is it another of CelebA's files? "
                f"Name the right one with --{what}"
            )
        if what == "attributes":
            labels.attributes[has_row] = values
        elif what == "partition":
            labels.partitions[has_row] = values[:, 0]
        else:
            labels.identities[has_row] = values[:, 0].clip(0)
    preflight.add(_people_in_two_partitions(labels))
    return labels


def _any_known(what: str, values: np.ndarray) -> bool:
    """Return whether a table says anything: identities count from 1, partitions from 0, attributes are -1 or +1."""
    if what == "attributes":
        return bool(values.any())
    return bool((values > 0).any() if what == "identities" else (values >= 0).any())


def _parse(what: str, name: str, data: bytes) -> LabelFile:
    if what == "attributes":
        return parse_attributes(name, data)
    return parse_numbers(name, data, range(3) if what == "partition" else range(1, _LARGEST_IDENTITY + 1), what)


def _unmatched(label_file: LabelFile, names: list[str], row_N: np.ndarray, what: str) -> Iterator[Problem]:
    file = Path(label_file.name).name
    for place in np.flatnonzero(row_N < 0):
        yield Problem(names[place], f"image without {what} row", f"no row in {file}: unknown", "noted")
    used = set(row_N.tolist())
    for name, row in label_file.row_of.items():
        if row not in used:
            yield Problem(name, f"{what} row without image", f"a row in {file}, and no such image", "noted")


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
