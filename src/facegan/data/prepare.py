"""From files of faces to a packed dataset: `facegan prepare`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facegan.attributes import ATTRIBUTE_COUNT
from facegan.data.celeba import (
    ANNOTATIONS,
    Crop,
    LabelFile,
    find_annotations,
    frame_box,
    parse_attributes,
    parse_numbers,
)
from facegan.data.folder import Listing, find_source
from facegan.data.packed import PackedDataset
from facegan.data.preflight import Preflight, Problem
from facegan.data.workers import Job, Outcome, decode_all
from facegan.data.writer import PackedWriter
from facegan.errors import UserError
from facegan.pixels import grid, save_png

_PREVIEW_FACES = 64
_LARGEST_IDENTITY = 2**31 - 1


@dataclass(frozen=True)
class PrepareResult:
    """The dataset made, what was found on the way, the annotation files used, and what deserves a warning."""

    dataset: PackedDataset
    preflight: Preflight
    annotations: dict[str, str]
    warnings: list[str]
    preview: Path | None


@dataclass
class _Labels:
    """Labels of all listed images, in their order; see ``PackedDataset``."""

    attributes: np.ndarray
    partitions: np.ndarray
    identities: np.ndarray
    sources: dict[str, str]


def prepare(
    source: Path | str,
    out: Path | str,
    *,
    resolution: int = 64,
    crop: Crop = 148,
    attributes: Path | None = None,
    partition: Path | None = None,
    identities: Path | None = None,
    workers: int | None = None,
    limit: int | None = None,
    preview: bool | Path = False,
    progress: Callable[[int, int], None] | None = None,
) -> PrepareResult:
    """Pack the images of ``source`` (a folder or zip) into folder ``out`` and return it opened.

    The result does not depend on ``workers`` (processes; one for each core by default). ``limit`` takes the first
    images by name only. ``preview`` writes a contact sheet, to ``out/preview.png`` or to the given file.
    ``progress`` is called with (images done, images in all).

    Raises:
        UserError: the source, an annotation file, ``out`` or a value cannot be used; nothing is left behind.
    """
    out = Path(out)
    _check_values(resolution, crop, workers, limit)
    listing = find_source(Path(source))
    names = [file.name for file in listing.images]
    files = listing.images[:limit]
    preflight = Preflight(str(listing.source), examined=len(files))
    labels = _read_labels(
        listing, names, {"attributes": attributes, "partition": partition, "identities": identities}, preflight
    )
    writer = PackedWriter(out, resolution=resolution, capacity=len(files))
    _check_space(out, len(files), resolution)
    with writer:
        job = Job(listing.source.resolve(), resolution, crop, writer.images_file.resolve(), writer.image_offset(0))
        outcomes: list[Outcome] = []
        for share in decode_all(job, files, workers or os.cpu_count() or 1):
            outcomes += share
            if progress is not None:
                progress(len(outcomes), len(files))
        outcomes.sort()
        rows = _kept_rows(outcomes, names, preflight)
        preflight.kept = len(rows)
        preflight.save(writer.folder / "preflight.json")
        dataset = writer.finish(
            rows=rows,
            attributes=labels.attributes[rows],
            identities=labels.identities[rows],
            partitions=labels.partitions[rows],
            files=[names[row] for row in rows],
            description={
                "source": listing.source.name,
                "crop": list(frame_box(crop)),
                "annotations": {what: Path(name).name for what, name in labels.sources.items()},
            },
        )
    preview_file = None
    if preview:
        preview_file = out / "preview.png" if preview is True else Path(preview)
        save_png(preview_file, contact_sheet(dataset))
    return PrepareResult(dataset, preflight, labels.sources, _warnings(preflight, outcomes), preview_file)


def contact_sheet(dataset: PackedDataset) -> np.ndarray:
    """Return uint8 [H, W, 3]: up to 64 faces from all over the dataset, as the network will see them."""
    rows = np.unique(np.linspace(0, len(dataset) - 1, _PREVIEW_FACES).round().astype(np.int64))
    return grid(dataset.images[rows])


def _check_values(resolution: int, crop: Crop, workers: int | None, limit: int | None) -> None:
    if not 4 <= resolution <= 1024:
        raise UserError(f"--resolution {resolution}: expected 4 to 1024 pixels, such as 64")
    frame_box(crop)
    for flag, value in (("--workers", workers), ("--limit", limit)):
        if value is not None and value < 1:
            raise UserError(f"{flag} {value}: expected 1 or more")


def _check_space(out: Path, count: int, resolution: int) -> None:
    needed = count * (resolution * resolution * 3 + ATTRIBUTE_COUNT + 64) + (1 << 20)
    place = next(folder for folder in out.resolve().parents if folder.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise UserError(
            f"{out} needs {needed / 1e9:.2f} GB for {count:,} images at {resolution} px and {place} has "
            f"{free / 1e9:.2f} GB free: make room, or give another place or a smaller --resolution or --limit"
        )


def _read_labels(listing: Listing, names: list[str], given: dict[str, Path | None], preflight: Preflight) -> _Labels:
    count = len(names)
    labels = _Labels(
        np.zeros((count, ATTRIBUTE_COUNT), np.int8), np.full(count, -1, np.int8), np.zeros(count, np.int32), {}
    )
    found = find_annotations(listing.source, listing)
    for what in ANNOTATIONS:
        file = given[what]
        if file is not None:
            found[what] = (str(file), _read_given(f"--{what}", file))
        if what not in found:
            continue
        label_file = _parse(what, *found[what])
        row_N = label_file.rows_for(names)
        has_row = row_N >= 0
        if not has_row.any():
            if file is not None:
                raise UserError(f"{file} has no row for any image of {listing.source}, such as {names[0]}")
            continue  # lies beside the images by chance and belongs to others
        labels.sources[what] = label_file.name
        preflight.add(label_file.problems)
        preflight.add(_unmatched(label_file, names, row_N, what))
        values = label_file.values[row_N[has_row]]
        if what == "attributes":
            labels.attributes[has_row] = values
        elif what == "partition":
            labels.partitions[has_row] = values[:, 0]
        else:
            labels.identities[has_row] = values[:, 0].clip(0)
    preflight.add(_people_in_two_partitions(labels))
    return labels


def _read_given(flag: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{flag} {file} cannot be read: {error.strerror}; give the annotation file") from error


def _parse(what: str, name: str, data: bytes) -> LabelFile:
    if what == "attributes":
        return parse_attributes(name, data)
    return parse_numbers(name, data, range(3) if what == "partition" else range(1, _LARGEST_IDENTITY + 1), what)


def _unmatched(label_file: LabelFile, names: list[str], row_N: np.ndarray, what: str) -> list[Problem]:
    file = Path(label_file.name).name
    problems = [
        Problem(names[place], f"image without {what} row", f"no row in {file}: unknown", "noted")
        for place in np.flatnonzero(row_N < 0)
    ]
    used = set(row_N.tolist())
    return problems + [
        Problem(name, f"{what} row without image", f"a row in {file}, and no such image", "noted")
        for name, row in label_file.row_of.items()
        if row not in used
    ]


def _people_in_two_partitions(labels: _Labels) -> list[Problem]:
    known = (labels.identities > 0) & (labels.partitions >= 0)
    pairs = np.unique(np.stack([labels.identities[known], labels.partitions[known]], axis=1), axis=0)
    people, uses = np.unique(pairs[:, 0], return_counts=True)
    return [
        Problem(
            f"identity {person}",
            "identity in two partitions",
            f"partitions {', '.join(map(str, pairs[pairs[:, 0] == person, 1]))}",
            "noted",
        )
        for person in people[uses > 1]
    ]


def _kept_rows(outcomes: list[Outcome], names: list[str], preflight: Preflight) -> np.ndarray:
    """Return the rows to keep, in order: decoded, and not the same bytes as one before."""
    first: dict[bytes, str] = {}
    rows = []
    for outcome in outcomes:
        name = names[outcome.row]
        if outcome.kept and outcome.digest in first:
            reason = f"the same bytes as {first[outcome.digest]}"
            preflight.add([Problem(name, "duplicate", reason, "set aside")])
            continue
        preflight.add(Problem(name, finding.kind, finding.reason, finding.action) for finding in outcome.findings)
        if outcome.kept:
            first[outcome.digest] = name
            rows.append(outcome.row)
    return np.array(rows, np.int64)


def _warnings(preflight: Preflight, outcomes: list[Outcome]) -> list[str]:
    warnings = []
    enlarged = preflight.counts[("enlarged", "noted")]
    if enlarged:
        example = next(finding.reason for out in outcomes for finding in out.findings if finding.kind == "enlarged")
        warnings.append(f"{enlarged:,} of {preflight.kept:,} images had to be enlarged ({example}): detail is missing")
    return warnings
