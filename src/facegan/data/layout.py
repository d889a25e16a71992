"""CelebA's own layout of a folder: numbered images under ``img_align_celeba``, and three annotation files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

from facegan.attributes import ATTRIBUTE_NAMES

IMAGES_FOLDER = "img_align_celeba"
ABOUT_FILE = "about.json"
"""Beside the annotations of a dataset that a model made."""
MADE_BY = "facegan synth-dataset"
"""What ``made_by`` in there begins with."""


def digits_of(count: int) -> int:
    """Return how many digits the names of so many faces have: CelebA's six, or more where these are not enough."""
    return max(6, len(str(count)))


def file_name(number: int, digits: int = 6) -> str:
    """Return the name of face ``number`` (from 0): 000001.jpg is the first."""
    return f"{number + 1:0{digits}d}.jpg"


def write_annotations(
    folder: Path, faces: Iterable[tuple[int, Mapping[str, int], int]], count: int, people: int
) -> None:
    """Write attributes, partitions and identities of ``count`` faces, as they come: (number, attributes by name,
    identity from 1 to ``people``).

    Attributes that are not named are 0, unknown. People are split 8:1:1 into partitions 0, 1 and 2.
    """
    digits = digits_of(count)
    with ExitStack() as stack:
        attribute_file, partition_file, identity_file = (
            stack.enter_context((folder / name).open("w", encoding="utf-8", newline="\n"))
            for name in ("list_attr_celeba.txt", "list_eval_partition.txt", "identity_CelebA.txt")
        )
        attribute_file.write(f"{count}\n{''.join(f'{name} ' for name in ATTRIBUTE_NAMES)}\n")
        for number, attributes, identity in faces:
            name = file_name(number, digits)
            values = "".join(f" {attributes.get(attribute, 0):2d}" for attribute in ATTRIBUTE_NAMES)
            attribute_file.write(f"{name}{values}\n")
            partition_file.write(f"{name} {0 if identity <= 0.8 * people else 1 if identity <= 0.9 * people else 2}\n")
            identity_file.write(f"{name} {identity}\n")
