"""A folder of drawn faces in CelebA's exact layout: its images and its three annotation files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from facegan.attributes import ATTRIBUTE_NAMES
from facegan.cores import usable_cores
from facegan.data.drawn import draw_face
from facegan.data.partial import PartialFolder
from facegan.data.processes import in_processes
from facegan.errors import UserError

_FACES_A_SHARE = 16
_JPEG_QUALITY = 95
_MOST_FACES = 999_999
"""CelebA's names have six digits."""


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
            picture.save(self.folder / _file_name(number), quality=_JPEG_QUALITY)
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
    if not 1 <= count <= _MOST_FACES:
        raise UserError(f"--count {count}: expected 1 to {_MOST_FACES} faces")
    with PartialFolder(out) as partial:
        images = partial.folder / "img_align_celeba"
        images.mkdir()
        shares = [range(start, min(start + _FACES_A_SHARE, count)) for start in range(0, count, _FACES_A_SHARE)]
        drawn: list[tuple[int, dict[str, int], int]] = []
        try:
            for some in in_processes(_Drawer(images, seed, size), shares, workers or usable_cores(), _after_crash):
                drawn += some
                if progress is not None:
                    progress(len(drawn), count)
            _write_annotations(partial.folder, sorted(drawn, key=lambda face: face[0]))
            partial.put_in_place()
        except OSError as error:
            raise UserError(f"cannot go on with {partial.folder}: {error.strerror or error}; make room") from error


def _write_annotations(folder: Path, drawn: list[tuple[int, dict[str, int], int]]) -> None:
    people = max(identity for _, _, identity in drawn)
    rows, partitions, identities = [], [], []
    for number, attributes, identity in drawn:
        name = _file_name(number)
        rows.append(name + "".join(f" {attributes.get(attribute, 0):2d}" for attribute in ATTRIBUTE_NAMES) + "\n")
        partitions.append(f"{name} {0 if identity <= 0.8 * people else 1 if identity <= 0.9 * people else 2}\n")
        identities.append(f"{name} {identity}\n")
    header = f"{len(drawn)}\n{''.join(f'{name} ' for name in ATTRIBUTE_NAMES)}\n"
    for file, text in (
        ("list_attr_celeba.txt", header + "".join(rows)),
        ("list_eval_partition.txt", "".join(partitions)),
        ("identity_CelebA.txt", "".join(identities)),
    ):
        (folder / file).write_text(text, "utf-8", newline="\n")


def _after_crash(numbers: range, exit_code: int | None) -> tuple[list, list[range]]:
    raise UserError(f"a drawing process ended (exit code {exit_code}): is the memory full? Try again with --workers 1")


def _file_name(number: int) -> str:
    return f"{number + 1:06d}.jpg"
