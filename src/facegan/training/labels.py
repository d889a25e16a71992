"""The attributes that a run learns with: the data's own, and a labeller's where those are missing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from facegan.attributes import ATTRIBUTE_COUNT
from facegan.config import RecipeConfig
from facegan.data.packed import DataView
from facegan.errors import UserError
from facegan.files import file_sha256, read_bytes
from facegan.randomness import Stream
from facegan.runs.folder import RunFolder, write_run_file
from facegan.sampling.conditioning import kept_mask

Labeller = Callable[[np.ndarray], np.ndarray]
"""uint8 [N, R, R, 3] -> logits of the 40 attributes, float32 [N, 40]."""

_CHUNK = 256
_PART = 1 << 16
_DIGEST = "labels_sha256"
_LARGEST = 1 << 32
"""Bytes of stored labels that are read at most; a million faces need 80 MB."""


def kept_attributes(attributes_NA: np.ndarray, seed: int, index_N: np.ndarray, dropout: float) -> np.ndarray:
    """Return float32 [N, 40]: attributes with some withheld (0), so that a model learns to be asked for any of them."""
    return (attributes_NA * kept_mask(Stream(seed, "train/labels"), index_N, dropout)).astype(np.float32)


def label_faces(view: DataView, labeller: Labeller) -> np.ndarray:
    """Return float16 [M, 40]: a view's own attributes, and for faces without any the labeller's, 2 p - 1."""
    index_M = np.arange(len(view))
    labels_MA = view.attributes(index_M).astype(np.float16)
    unlabelled = np.flatnonzero((labels_MA == 0).all(1))
    for start in range(0, len(unlabelled), _CHUNK):
        part = unlabelled[start : start + _CHUNK]
        labels_MA[part] = np.tanh(labeller(view.images(part)) / 2).astype(np.float16)
    return labels_MA


def run_labels(
    file: Path,
    view: DataView,
    recipe: RecipeConfig,
    labeller: Labeller | None,
    say: Callable[[int], None] = lambda _: None,
) -> np.ndarray | None:
    """Return the labels that a run learns with, float16 [M, 40], or None if the view's own are all it has.

    Those of a labeller are kept in ``file`` for the run's life; before they are made, ``say`` is told how many.

    Raises:
        UserError: the file is damaged, or cannot be written.
    """
    if not (recipe.attributes and recipe.pseudo_labels):
        return None
    if file.exists():
        try:
            labels_MA = load(read_bytes(file, _LARGEST))["labels"]
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            labels_MA = np.empty(0)
        if labels_MA.shape != (len(view), ATTRIBUTE_COUNT) or labels_MA.dtype != np.float16:
            raise UserError(f"{file} is damaged; restore it from a copy, or begin another run")
        return labels_MA
    parts = (np.arange(start, min(len(view), start + _PART)) for start in range(0, len(view), _PART))
    unlabelled = sum(int((view.attributes(part) == 0).all(1).sum()) for part in parts)
    if labeller is None or not unlabelled:
        return None
    say(unlabelled)
    labels_MA = label_faces(view, labeller)
    write_run_file(file, save({"labels": labels_MA}))
    return labels_MA


def prepare_labels(
    folder: RunFolder, view: DataView, recipe: RecipeConfig, labeller: Labeller | None, parent: RunFolder | None,
    say: Callable[[int], None] = lambda _: None,
) -> None:  # fmt: skip
    """Make a run's labels, or take those of the run that it began with, and note their digest in ``run.json``.

    They are part of what the run learns: from then on it goes on with these and no others. ``parent``: a run on
    the same data.

    Raises:
        UserError: the labels are missing or others than they were, or cannot be written.
    """
    contents, file = folder.read(), folder.labels
    recorded = contents.get(_DIGEST)  # runs of version 0.1.0 have none
    if recorded is None and not folder.list_snapshots():
        for left_over in (file, folder.label_prior):  # of a start that failed, perhaps with other data
            left_over.unlink(missing_ok=True)
        if parent is not None and parent.labels.is_file() and recipe.attributes and recipe.pseudo_labels:
            known = parent.read().get(_DIGEST)
            if known in (None, _sha256(parent.labels)):
                shutil.copyfile(parent.labels, file)
    if recorded is not None and _sha256(file) != recorded:
        what = "is not what the run began with" if file.exists() else "is missing"
        raise UserError(
            f"{file} {what}, and the run learns from it: restore it from a copy (sha256 {recorded}), or begin another "
            "run with --fork"
        )
    run_labels(file, view, recipe, labeller, say)
    if recorded is None and file.exists():
        folder.update({_DIGEST: _sha256(file)})


def _sha256(file: Path) -> str | None:
    return file_sha256(file) if file.is_file() else None
