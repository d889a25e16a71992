"""CelebA's own layout of a folder: numbered images under ``img_align_celeba``, and three annotation files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from facegan.attributes import ATTRIBUTE_NAMES

IMAGES_FOLDER = "img_align_celeba"
ABOUT_FILE = "about.json"
"""Beside the annotations of a dataset that a model made."""
MADE_BY = "facegan synth-dataset"
"""What ``made_by`` in there begins with."""
MOST_FACES = 999_999
"""CelebA's names have six digits."""


def file_name(number: int) -> str:
    """Return the name of face ``number`` (from 0): 000001.jpg is the first."""
    return f"{number + 1:06d}.jpg"


def write_annotations(folder: Path, faces: Sequence[tuple[int, Mapping[str, int], int]]) -> None:
    """Write attributes, partitions and identities of (number, attributes by name, identity from 1).

    Attributes that are not named are 0, unknown. People are split 8:1:1 into partitions 0, 1 and 2.
    """
    people = max(identity for _, _, identity in faces)
    rows, partitions, identities = [], [], []
    for number, attributes, identity in faces:
        name = file_name(number)
        rows.append(name + "".join(f" {attributes.get(attribute, 0):2d}" for attribute in ATTRIBUTE_NAMES) + "\n")
        partitions.append(f"{name} {0 if identity <= 0.8 * people else 1 if identity <= 0.9 * people else 2}\n")
        identities.append(f"{name} {identity}\n")
    header = f"{len(faces)}\n{''.join(f'{name} ' for name in ATTRIBUTE_NAMES)}\n"
    for file, text in (
        ("list_attr_celeba.txt", header + "".join(rows)),
        ("list_eval_partition.txt", "".join(partitions)),
        ("identity_CelebA.txt", "".join(identities)),
    ):
        (folder / file).write_text(text, "utf-8", newline="\n")
