"""A labelled face dataset made by a model, in CelebA's own layout: it holds no photograph."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from facegan.api import Model
from facegan.attributes import ATTRIBUTE_NAMES
from facegan.data.layout import ABOUT_FILE, IMAGES_FOLDER, MADE_BY, digits_of, file_name, write_annotations
from facegan.errors import UserError, reason
from facegan.files import NewFolder
from facegan.perception.labeller import Labeller

_JPEG_QUALITY = 97


def write_synthetic_dataset(
    out: Path,
    model: Model,
    labeller: Labeller,
    count: int,
    seed: int = 0,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Write ``count`` faces of a model to ``out`` and return what ``about.json`` says of them.

    The faces are the first ``count`` of the seed, asked for no attribute; attributes-net says what each shows
    (-1 or 1). Every face is a person of its own; partitions are 8:1:1.

    Raises:
        UserError: ``out`` exists and is not an empty folder, or cannot be written, or ``count`` is out of range.
    """
    model.batches(count, seed=seed)  # refused now, and not in a folder that is begun
    provenance = model.provenance(count, seed=seed)
    about = {
        "made_by": f"{MADE_BY}: no photograph is among these faces",
        "recipe": model.recipe.name,
        "weights_sha256": model.sha256,
        "count": count,
        "seed": seed,
        "labels": f"attributes-net, {labeller.sha256}",
        "near_copies": model.state.get("near_copies"),
        "provenance": provenance.to_dict(),
    }
    with NewFolder(out) as partial:
        images = partial.folder / IMAGES_FOLDER
        try:
            images.mkdir()
            faces = _faces(images, model, labeller, count, seed, progress)
            write_annotations(partial.folder, faces, count, people=count)
            (partial.folder / ABOUT_FILE).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
            partial.put_in_place()
        except OSError as error:
            raise UserError(f"cannot go on with {partial.folder}: {reason(error)}") from error
    return about


def _faces(
    images: Path,
    model: Model,
    labeller: Labeller,
    count: int,
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> Iterator[tuple[int, dict[str, int], int]]:
    """Write each face's picture, and yield (number, attributes, identity)."""
    provenance, digits, number = model.provenance(count, seed=seed), digits_of(count), 0
    for face_NHWC, _ in model.batches(count, seed=seed):
        there_NA = np.where(labeller.logits(face_NHWC) > 0, 1, -1).tolist()
        for face, there in zip(face_NHWC, there_NA, strict=True):
            said = provenance.of_face(number).save_options("JPEG")
            file = images / file_name(number, digits)
            Image.fromarray(face).save(file, quality=_JPEG_QUALITY, subsampling=0, **said)
            yield number, dict(zip(ATTRIBUTE_NAMES, there, strict=True)), number + 1
            number += 1
        if progress is not None:
            progress(number, count)


def copies_sentence(about: dict[str, Any]) -> str:
    """Return what is known of copies of training people among a model's faces."""
    near = about.get("near_copies")
    if not isinstance(near, dict) or not {"generated", "share", "held_out_share"} <= near.keys():
        return "whether this model copies its training faces was not measured: facegan audit"
    how = ", of which nothing was said" if near.get("labels") == "none" else ""
    return (
        f"{near['share']:.2%} of this model's faces are as near to a training face as the nearest "
        f"{near['held_out_share']:.2%} of unseen people are (measured on {near['generated']:,}{how})"
    )
