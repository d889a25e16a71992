"""From files of faces to a packed dataset: `facegan prepare`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facegan.attributes import ATTRIBUTE_COUNT
from facegan.cores import usable_cores
from facegan.data.crop import Crop, frame_box
from facegan.data.decode_files import Decoder, Outcome, decode_all
from facegan.data.held_out import Rule, choose_rule, held_out_mask, held_out_warnings
from facegan.data.label_values import listed
from facegan.data.labels import Labels, by_name_alone, read_labels, unused_tables
from facegan.data.order import evenly
from facegan.data.packed import PackedDataset
from facegan.data.preflight import Preflight, Problem
from facegan.data.sources import ImageFile, Listing, Reader, find_source
from facegan.data.writer import PackedWriter
from facegan.errors import UserError
from facegan.files import free_bytes, nearest_existing, refuse_unwritable
from facegan.pixels import grid, save_png
from facegan.provenance import SHEET_OF_PHOTOGRAPHS, Provenance

_PREVIEW_FACES = 64


@dataclass(frozen=True)
class PrepareResult:
    """The dataset made, what was found on the way, {what: annotation file used}, and what deserves a warning."""

    dataset: PackedDataset
    preflight: Preflight
    annotations: dict[str, str]
    warnings: list[str]
    preview: Path | None


def prepare(
    source: Path | str,
    out: Path | str,
    *,
    resolution: int = 64,
    crop: Crop = 148,
    attributes: Path | None = None,
    partition: Path | None = None,
    identities: Path | None = None,
    use_attributes: bool = True,
    hold_out: str = "auto",
    workers: int | None = None,
    limit: int | None = None,
    preview: bool | Path = False,
    progress: Callable[[int, int], None] | None = None,
) -> PrepareResult:
    """Pack the images of ``source`` (a folder, a zip, tars or Parquet files) into folder ``out`` and return it opened.

    ``hold_out``: a rule of ``held_out.RULES``, or auto. Without ``use_attributes`` no labels are read. The result does
    not depend on ``workers`` (processes; by default as many as cores). ``limit``: only the first images by name.
    ``preview``: a contact sheet, in ``out/preview.png`` or the given file. ``progress``: (images done, all of them).

    Raises:
        UserError: the source, an annotation file, ``out`` or a value cannot be used; nothing is left behind.
    """
    out = Path(out)
    _check_values(resolution, crop, workers, limit)
    listing = find_source(Path(source))
    files = listing.images[:limit]
    preflight = Preflight(str(listing.source), examined=len(files))
    writer = PackedWriter(out, resolution=resolution, capacity=len(files))
    _check_space(out, len(files), resolution)
    given = {"attributes": attributes, "partition": partition, "identities": identities}
    _refuse_unread(given, use_attributes)
    labels = read_labels(listing, given, preflight, len(files)) if use_attributes else Labels(len(listing.images))
    rule = _rule(hold_out, labels, len(files), limit)  # refused now, before all images are decoded
    preflight.add(_left_out(listing, labels))
    with writer, Reader(listing.source.resolve()) as reader:
        labels.warnings += by_name_alone(listing, labels, reader)
        decoder = Decoder(reader, resolution, crop, writer.images_file.resolve(), writer.image_offset(0))
        outcomes = decode_all(decoder, files, workers or usable_cores(), progress)
        made = np.array([outcome.row for outcome in outcomes if outcome.is_made], np.int64)
        labels.forget_made(made)
        rows = _kept_rows(outcomes, files, _worth(labels, rule), preflight)
        made_kept, preflight.kept = int(np.isin(rows, made).sum()), len(rows)
        _refuse_nothing(preflight, listing.source, {file.name for file in files})
        preflight.save(writer.folder / "preflight.json")
        dataset = writer.finish(
            rows=rows,
            attributes=labels.attributes[rows],
            identities=labels.identities[rows],
            partitions=labels.partitions[rows],
            files=[files[row].name for row in rows],
            hold_out=choose_rule(hold_out, labels.identities[rows], labels.partitions[rows]),
            description=_description(listing, crop, labels, made_kept),
        )
    sheet = _write_preview(dataset, preview, made_kept) if preview else None
    people = held_out_warnings(dataset, hold_out, labels.sources, made=made_kept)
    warnings = [*_warnings(listing, labels, preflight, made_kept), *people]
    return PrepareResult(dataset, preflight, labels.sources, warnings, sheet)


def _refuse_unread(given: dict[str, Path | None], use_attributes: bool) -> None:
    for what, file in given.items():
        if file is not None and not use_attributes:
            raise UserError(
                f"--no-attributes reads no table at all, and --{what} {file} names one: leave one of them out"
            )


def _rule(hold_out: str, labels: Labels, count: int, limit: int | None) -> Rule:
    """Return the rule of held-out people that the first ``count`` images allow."""
    try:
        return choose_rule(hold_out, labels.identities[:count], labels.partitions[:count])
    except UserError as error:
        if limit is None or limit >= len(labels.identities):
            raise
        raise UserError(
            f"{error}; --limit {limit} takes the first images only, of which that may not be known"
        ) from None


def _write_preview(dataset: PackedDataset, file: bool | Path, made: int) -> Path:
    """Write the contact sheet, which says how it was made if ``made`` images are from a neural network."""
    path = file if isinstance(file, Path) else dataset.path / "preview.png"
    provenance = Provenance(sheet=True, in_part=made < len(dataset)) if made else SHEET_OF_PHOTOGRAPHS
    save_png(path, contact_sheet(dataset.images), provenance)
    return path


def _description(listing: Listing, crop: Crop, labels: Labels, made: int) -> dict[str, Any]:
    """Return what ``dataset.json`` says of the source, of which so many images are made by a neural network."""
    return {
        "source": listing.source.name,
        "crop": list(frame_box(crop)),
        "annotations": {what: Path(name).name for what, name in labels.sources.items()},
        **({"made_by_network": made} if made else {}),
    }


def _left_out(listing: Listing, labels: Labels) -> Iterator[Problem]:
    """Yield what is in the source and is not looked at: other formats, other files, folders."""
    for path in sorted(listing.unsupported):
        yield Problem(path, "unsupported format", "not read here: convert it to JPEG or PNG", "set aside")
    for folder, reason in listing.unlisted:
        yield Problem(folder, "cannot be listed", f"{reason}: what is in there is missing", "set aside")
    for folder, reason in listing.skipped:
        yield Problem(folder, "folder skipped", f"it is {reason}", "noted")
    for path in listing.hidden:
        yield Problem(path, "hidden", "its name begins with a dot, or its folder's: not looked at", "noted")
    used = set(labels.sources.values())
    tables = unused_tables(listing, used)
    for path in sorted(listing.others):
        if path.lower().endswith(".zip"):
            yield Problem(path, "zip in the source", "not looked into: unpack it, or prepare it by itself", "noted")
        elif path in tables:
            reason = "a table with CelebA's attributes, not used: is it to be given with --attributes?"
            yield Problem(path, "unused table", reason, "noted")
        elif path not in used:
            yield Problem(path, "no image", "neither its suffix nor its content is that of an image", "noted")


def _refuse_nothing(preflight: Preflight, source: Path, names: set[str]) -> None:
    if not preflight.kept:
        of_images = [
            problem for problem in preflight.problems if problem.file in names and problem.action == "set aside"
        ]
        first = (of_images or preflight.problems)[0]
        raise UserError(
            f"{source}: every image was set aside, such as {first.file} ({first.kind}: {first.reason}); check the "
            "source and --resolution"
        )


def contact_sheet(image_NHWC: np.ndarray) -> np.ndarray:
    """Return uint8 [H, W, 3]: up to 64 faces from all over the dataset, as the network will see them."""
    return grid(image_NHWC[evenly(len(image_NHWC), _PREVIEW_FACES)])


def _worth(labels: Labels, rule: Rule) -> np.ndarray:
    """Return int64 [N], by which one of several copies is kept: most is known of it, then its people are held out."""
    by_people: Rule = "none" if rule == "pictures" else rule
    return 2 * labels.known() + held_out_mask(by_people, labels.identities, labels.partitions, [])


def _kept_rows(
    outcomes: list[Outcome], files: Sequence[ImageFile], worth_N: np.ndarray, preflight: Preflight
) -> np.ndarray:
    """Return the rows to keep, in order: decoded; and of several with the same bytes the first of most worth."""
    kept = dict[bytes, int]()
    for outcome in outcomes:
        if outcome.kept:
            best = kept.setdefault(outcome.digest, outcome.row)
            if worth_N[outcome.row] > worth_N[best]:
                kept[outcome.digest] = outcome.row
    for outcome in outcomes:
        name = files[outcome.row].name
        if outcome.kept and kept[outcome.digest] != outcome.row:
            original = files[kept[outcome.digest]].name
            preflight.add([Problem(name, "duplicate", f"the same bytes as {original}", "set aside", original)])
            continue
        preflight.add(Problem(name, finding.kind, finding.reason, finding.action) for finding in outcome.findings)
    return np.array(sorted(kept.values()), np.int64)


def _warnings(listing: Listing, labels: Labels, preflight: Preflight, made: int) -> list[str]:
    warnings = [
        f"{listing.source / folder} cannot be listed ({reason}): what is in there is missing"
        for folder, reason in listing.unlisted
    ] + labels.warnings
    if made:
        warnings.append(
            f"{made:,} of {preflight.kept:,} images say that a neural network made them: {_labels_of_made(labels)}what "
            f"learns from them learns its faults"
        )
    if enlarged := preflight.counts[("enlarged", "noted")]:
        example = next(problem.reason for problem in preflight.problems if problem.kind == "enlarged")
        warnings.append(
            f"{enlarged:,} of {preflight.kept:,} images had to be enlarged ({example}): they lack that detail"
        )
    return warnings


def _labels_of_made(labels: Labels) -> str:
    """Return what became of the labels of made faces, for a warning."""
    lost = [what for what in labels.sources if what not in labels.for_made]
    kept = sorted({file for what, file in labels.sources.items() if what in labels.for_made})
    said = f"they keep the labels of {listed(kept)}, " if kept else ""
    if lost:
        flags = " ".join(f"--{what} FILE" for what in lost)
        said += f"they get no labels from tables that were found and may be of other faces (if theirs: {flags}), "
    return said and f"{said}and "


def _check_values(resolution: int, crop: Crop, workers: int | None, limit: int | None) -> None:
    if not 4 <= resolution <= 1024:
        raise UserError(f"--resolution {resolution}: expected 4 to 1024 pixels, such as 64")
    frame_box(crop)
    for flag, value in (("--workers", workers), ("--limit", limit)):
        if value is not None and value < 1:
            raise UserError(f"{flag} {value}: expected 1 or more")


def _check_space(out: Path, count: int, resolution: int) -> None:
    needed = count * (resolution * resolution * 3 + ATTRIBUTE_COUNT + 64) + (1 << 20)
    refuse_unwritable(out)
    place = nearest_existing(out.resolve().parent)
    free = free_bytes(place)
    if free < needed:
        raise UserError(
            f"{out} needs {needed / 1e9:.2f} GB for {count:,} images at {resolution} px and {place} has "
            f"{free / 1e9:.2f} GB free: make room, or give another place or a smaller --resolution or --limit"
        )
