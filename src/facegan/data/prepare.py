"""From files of faces to a packed dataset: `facegan prepare`."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from facegan.attributes import ATTRIBUTE_COUNT
from facegan.cores import usable_cores
from facegan.data.crop import Crop, frame_box
from facegan.data.decode import Finding, decode_image, quiet_decoding
from facegan.data.folder import ImageFile, Reader, UnreadableError, find_source
from facegan.data.labels import read_labels
from facegan.data.packed import PackedDataset
from facegan.data.preflight import Preflight, Problem
from facegan.data.processes import in_processes
from facegan.data.writer import PackedWriter
from facegan.errors import UserError
from facegan.pixels import grid, save_png

_IMAGES_A_SHARE = 16
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
    files = listing.images[:limit]
    preflight = Preflight(str(listing.source), examined=len(files))
    writer = PackedWriter(out, resolution=resolution, capacity=len(files))
    _check_space(out, len(files), resolution)
    given = {"attributes": attributes, "partition": partition, "identities": identities}
    labels = read_labels(listing, given, preflight)
    preflight.add(
        Problem(path, "unsupported format", "not read here: convert it to JPEG or PNG", "set aside")
        for path in sorted(listing.unsupported)
    )
    with writer, Reader(listing.source.resolve()) as reader:
        decoder = _Decoder(reader, resolution, crop, writer.images_file.resolve(), writer.image_offset(0))
        outcomes = _decode_all(decoder, files, workers or usable_cores(), progress)
        rows = _kept_rows(outcomes, files, preflight)
        preflight.kept = len(rows)
        _refuse_nothing(preflight, listing.source)
        preflight.save(writer.folder / "preflight.json")
        dataset = writer.finish(
            rows=rows,
            attributes=labels.attributes[rows],
            identities=labels.identities[rows],
            partitions=labels.partitions[rows],
            files=[files[row].name for row in rows],
            description={
                "source": listing.source.name,
                "crop": list(frame_box(crop)),
                "annotations": {what: Path(name).name for what, name in labels.sources.items()},
            },
        )
    preview_file = None
    if preview:
        preview_file = out / "preview.png" if preview is True else Path(preview)
        save_png(preview_file, contact_sheet(dataset.images))
    return PrepareResult(dataset, preflight, labels.sources, _warnings(preflight), preview_file)


def _refuse_nothing(preflight: Preflight, source: Path) -> None:
    if not preflight.kept:
        first = preflight.problems[0]
        raise UserError(
            f"{source}: every image was set aside, such as {first.file} ({first.kind}: {first.reason}); check the "
            "source and --resolution"
        )


def contact_sheet(image_NHWC: np.ndarray) -> np.ndarray:
    """Return uint8 [H, W, 3]: up to 64 faces from all over the dataset, as the network will see them."""
    rows = np.unique(np.linspace(0, len(image_NHWC) - 1, _PREVIEW_FACES).round().astype(np.int64))
    return grid(image_NHWC[rows])


class _Outcome(NamedTuple):
    """What became of the image in row ``row``; ``digest`` is the sha256 of the file, empty if it cannot be read."""

    row: int
    kept: bool
    digest: bytes
    findings: list[Finding]


class _Share(NamedTuple):
    first_row: int
    files: Sequence[ImageFile]


@dataclass(frozen=True)
class _Decoder:
    """Decodes a share of the files and writes its rows of the packed images itself."""

    reader: Reader
    resolution: int
    crop: Crop
    images_file: Path
    first_byte: int

    def __call__(self, share: _Share) -> list[_Outcome]:
        image_NHWC = np.zeros((len(share.files), self.resolution, self.resolution, 3), np.uint8)
        outcomes = []
        with quiet_decoding():
            for place, file in enumerate(share.files):
                row = share.first_row + place
                try:
                    data = self.reader.read(file)
                except UnreadableError as reason:
                    outcomes.append(_Outcome(row, False, b"", [Finding("unreadable", str(reason), "set aside")]))
                    continue
                image, findings = decode_image(data, self.resolution, self.crop)
                if image is not None:
                    image_NHWC[place] = image
                outcomes.append(_Outcome(row, image is not None, hashlib.sha256(data).digest(), findings))
        with self.images_file.open("r+b") as packed:
            packed.seek(self.first_byte + share.first_row * image_NHWC[0].nbytes)
            packed.write(image_NHWC.data)
        return outcomes


def _after_crash(share: _Share, exit_code: int | None) -> tuple[list[list[_Outcome]], list[_Share]]:
    """Try the images of a share one by one; set aside the one that was alone when the decoder crashed."""
    if len(share.files) > 1:
        return [], [_Share(share.first_row + place, [file]) for place, file in enumerate(share.files)]
    reason = f"the decoder crashed on it (exit code {exit_code})"
    return [[_Outcome(share.first_row, False, b"", [Finding("unreadable", reason, "set aside")])]], []


def _decode_all(
    decoder: _Decoder, files: Sequence[ImageFile], workers: int, progress: Callable[[int, int], None] | None
) -> list[_Outcome]:
    shares = [_Share(row, files[row : row + _IMAGES_A_SHARE]) for row in range(0, len(files), _IMAGES_A_SHARE)]
    outcomes: list[_Outcome] = []
    try:
        for some in in_processes(decoder, shares, min(workers, len(shares)), _after_crash):
            outcomes += some
            if progress is not None:
                progress(len(outcomes), len(files))
    except OSError as error:
        raise UserError(
            f"cannot go on with {decoder.images_file.parent}: {error.strerror or error}; make room or change the place"
        ) from error
    return sorted(outcomes)


def _kept_rows(outcomes: list[_Outcome], files: Sequence[ImageFile], preflight: Preflight) -> np.ndarray:
    """Return the rows to keep, in order: decoded, and not the same bytes as one before."""
    first: dict[bytes, str] = {}
    rows = []
    for outcome in outcomes:
        name = files[outcome.row].name
        if outcome.kept and outcome.digest in first:
            preflight.add([Problem(name, "duplicate", f"the same bytes as {first[outcome.digest]}", "set aside")])
            continue
        preflight.add(Problem(name, finding.kind, finding.reason, finding.action) for finding in outcome.findings)
        if outcome.kept:
            first[outcome.digest] = name
            rows.append(outcome.row)
    return np.array(rows, np.int64)


def _warnings(preflight: Preflight) -> list[str]:
    enlarged = preflight.counts[("enlarged", "noted")]
    if not enlarged:
        return []
    example = next(problem.reason for problem in preflight.problems if problem.kind == "enlarged")
    return [f"{enlarged:,} of {preflight.kept:,} images had to be enlarged ({example}): they lack that detail"]


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
