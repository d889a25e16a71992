"""A folder of drawn faces in CelebA's exact layout: its images and its three annotation files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from facegan.cores import usable_cores
from facegan.data.drawn import draw_face
from facegan.data.layout import IMAGES_FOLDER, MOST_FACES, file_name, write_annotations
from facegan.data.partial import PartialFolder
from facegan.data.processes import in_processes
from facegan.errors import UserError

_FACES_A_SHARE = 16
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class _Drawer:
    """Draws a share of the faces into the images' folder and returns (number, attributes, identity) of each."""

    folder: Path
    seed: int
    size: tuple[int, int]

    def __call__(self, numbers: range) -> list[tuple[int, dict[str, int], int]]:
        drawn = []
        for number in numbers:
            picture, attributes, identity = draw_face(self.seed, number, self.size)
            picture.save(self.folder / file_name(number), quality=_JPEG_QUALITY)
            drawn.append((number, attributes, identity))
        return drawn


def write_drawn_dataset(
    out: Path,
    count: int,
    seed: int = 0,
    size: tuple[int, int] = (178, 218),
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write ``count`` drawn faces to ``out``: ``img_align_celeba/000001.jpg`` ... and the annotation files.

    Six attributes are true by construction, the others 0 (unknown). People are split 8:1:1 into partitions 0, 1 and
    2. The same seed gives the same files, with any number of ``workers`` (processes).

    Raises:
        UserError: ``out`` exists and is not an empty folder, or cannot be written, or ``count`` is out of range.
    """
    if not 1 <= count <= MOST_FACES:
        raise UserError(f"--count {count}: expected 1 to {MOST_FACES} faces")
    if workers is not None and workers < 1:
        raise UserError(f"--workers {workers}: give at least 1")
    with PartialFolder(out) as partial:
        images = partial.folder / IMAGES_FOLDER
        images.mkdir()
        shares = [range(start, min(start + _FACES_A_SHARE, count)) for start in range(0, count, _FACES_A_SHARE)]
        drawn: list[tuple[int, dict[str, int], int]] = []
        try:
            for some in in_processes(_Drawer(images, seed, size), shares, workers or usable_cores(), _after_crash):
                drawn += some
                if progress is not None:
                    progress(len(drawn), count)
            write_annotations(partial.folder, sorted(drawn, key=lambda face: face[0]))
            partial.put_in_place()
        except OSError as error:
            raise UserError(f"cannot go on with {partial.folder}: {error.strerror or error}; make room") from error


def _after_crash(numbers: range, exit_code: int | None) -> tuple[list, list[range]]:
    raise UserError(f"a drawing process ended (exit code {exit_code}): is the memory full? Try again with --workers 1")
