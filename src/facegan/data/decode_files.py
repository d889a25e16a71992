"""Many image files to one array, by several processes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from facegan.data.crop import Crop
from facegan.data.decode import Finding, decode_image, quiet_decoding
from facegan.data.parquet import ParquetPlace
from facegan.data.processes import in_processes
from facegan.data.sources import ImageFile, Reader, UnreadableError
from facegan.errors import UserError, is_out_of_memory, reason
from facegan.provenance import STATEMENT

_IMAGES_A_SHARE = 16
_IMAGES_A_SHARE_OF_PARQUET = 128
"""More, because each process reads the whole row group that an image of its share is in."""


class Outcome(NamedTuple):
    """What became of the image in row ``row``; ``digest`` is the sha256 of the file, empty if it cannot be read."""

    row: int
    kept: bool
    digest: bytes
    findings: list[Finding]

    @property
    def is_made(self) -> bool:
        """Whether the file says that a neural network made it."""
        return any(finding.kind == STATEMENT for finding in self.findings)


class Share(NamedTuple):
    """The files that a process decodes at a time, and the row of the first of them."""

    first_row: int
    files: Sequence[ImageFile]


@dataclass(frozen=True)
class Decoder:
    """Decodes a share of the files and writes its rows of the packed images itself."""

    reader: Reader
    resolution: int
    crop: Crop
    images_file: Path
    first_byte: int
    for_scores: bool = False

    def __call__(self, share: Share) -> list[Outcome]:
        image_NHWC = np.zeros((len(share.files), self.resolution, self.resolution, 3), np.uint8)
        outcomes = []
        with quiet_decoding():
            for place, file in enumerate(share.files):
                row = share.first_row + place
                try:
                    data = self.reader.read(file)
                except UnreadableError as error:
                    outcomes.append(Outcome(row, False, b"", [Finding("unreadable", str(error), "set aside")]))
                    continue
                image, findings = decode_image(data, self.resolution, self.crop, for_scores=self.for_scores)
                if image is not None:
                    image_NHWC[place] = image
                outcomes.append(Outcome(row, image is not None, hashlib.sha256(data).digest(), findings))
        with self.images_file.open("r+b") as packed:
            packed.seek(self.first_byte + share.first_row * image_NHWC[0].nbytes)
            packed.write(image_NHWC.data)
        return outcomes


def after_crash(share: Share, exit_code: int | None) -> tuple[list[list[Outcome]], list[Share]]:
    """Try the images of a share one by one; set aside the one that was alone when the decoder crashed."""
    if len(share.files) > 1:
        return [], [Share(share.first_row + place, [file]) for place, file in enumerate(share.files)]
    reason = f"the decoder crashed on it (exit code {exit_code})"
    return [[Outcome(share.first_row, False, b"", [Finding("unreadable", reason, "set aside")])]], []


def decode_all(
    decoder: Decoder, files: Sequence[ImageFile], workers: int, progress: Callable[[int, int], None] | None
) -> list[Outcome]:
    """Decode all files in so many processes; return what became of each, by its row.

    Raises:
        UserError: the packed images cannot be written.
    """
    size = _IMAGES_A_SHARE_OF_PARQUET if isinstance(files[0].place, ParquetPlace) else _IMAGES_A_SHARE
    shares = [Share(row, files[row : row + size]) for row in range(0, len(files), size)]
    outcomes: list[Outcome] = []
    try:
        for some in in_processes(decoder, shares, min(workers, len(shares)), after_crash):
            outcomes += some
            if progress is not None:
                progress(len(outcomes), len(files))
    except OSError as error:
        if is_out_of_memory(error):
            raise
        raise UserError(f"cannot go on with {decoder.images_file.parent}: {reason(error)}") from error
    return sorted(outcomes)
