"""Faces that any tool made, as files, to be scored: nothing is left out that says how good they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facegan.cores import usable_cores
from facegan.data.crop import Crop, crop_box
from facegan.data.decode import RESIZED_KIND
from facegan.data.decode_files import Decoder, Outcome, decode_all
from facegan.data.packed import map_array
from facegan.data.sources import Reader, find_source
from facegan.errors import UserError


@dataclass(frozen=True)
class FaceFiles:
    """``image_NHWC`` uint8 [N, R, R, 3]; ``resized`` {size before, as 128x128: how many}; ``cropped`` {size before: the
    edges of the crop in its pixels, as 15,35,163,183}; what could not be read."""

    image_NHWC: np.ndarray
    resized: dict[str, int]
    cropped: dict[str, str]
    unreadable: list[tuple[str, str]]


def read_face_files(
    source: Path,
    scratch: Path,
    *,
    resolution: int,
    crop: Crop = 148,
    count: int | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FaceFiles:
    """Read the first ``count`` faces by name of ``source`` that can be read: a folder, a zip, tars or Parquet files.

    Every face counts, also one that is there twice, or is of one colour. A face of another size is resized by Lanczos;
    one of the shape of CelebA's aligned images has the frame's ``crop``, any other its largest square. The pixels stand
    in a file in folder ``scratch``.

    Raises:
        UserError: there is no image in it, or none that can be read.
    """
    listing = find_source(source)
    files, outcomes = listing.images, list[Outcome]()
    place = scratch / "faces.npy"
    image_NHWC = np.lib.format.open_memmap(place, "w+", np.uint8, (len(files), resolution, resolution, 3))
    first_byte, face_bytes = image_NHWC.offset, image_NHWC[0].nbytes
    del image_NHWC
    with Reader(listing.source.resolve()) as reader:
        missing = len(files) if count is None else count
        while missing and (part := files[len(outcomes) : len(outcomes) + missing]):
            begin = first_byte + len(outcomes) * face_bytes
            decoder = Decoder(reader, resolution, crop, place.resolve(), begin, for_scores=True)
            found = decode_all(decoder, part, workers or usable_cores(), progress)
            missing -= sum(outcome.kept for outcome in found)
            outcomes += [outcome._replace(row=outcome.row + len(outcomes)) for outcome in found]
    kept = [outcome.row for outcome in outcomes if outcome.kept]
    unreadable = [(files[outcome.row].name, outcome.findings[0].reason) for outcome in outcomes if not outcome.kept]
    if not kept:
        name, reason = unreadable[0]
        raise UserError(f"{source} holds no face that can be read, such as {name} ({reason})")
    sizes = Counter(
        finding.reason for outcome in outcomes for finding in outcome.findings if finding.kind == RESIZED_KIND
    )
    faces = map_array(place)
    return FaceFiles(faces if len(kept) == len(files) else faces[kept], dict(sizes), crops(sizes, crop), unreadable)


def crops(sizes: Iterable[str], crop: Crop) -> dict[str, str]:
    """Return {size: the edges of its crop} of those sizes of which not all is taken."""
    crops = {}
    for size in sizes:
        width, height = map(int, size.split("x"))
        box = crop_box(width, height, crop)
        if box != (0, 0, width, height):
            crops[size] = ",".join(f"{edge:g}" for edge in box)
    return crops
