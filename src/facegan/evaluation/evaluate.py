"""Score generated faces against real ones, in several feature spaces at once, and write the receipt."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

import facegan
from facegan.data.packed import DataView, PackedDataset
from facegan.errors import UserError
from facegan.evaluation.receipt import Receipt, Score
from facegan.evaluation.reference import MOST_PAIRED, MOST_PAIRED_REAL, Stage, counter, kept_floor, reference_of
from facegan.evaluation.scores import all_scores, floor_scores, refuse_few
from facegan.metrics.inception_score import inception_score
from facegan.metrics.intervals import GROUPS, LEVEL
from facegan.metrics.neighbours import NEAREST
from facegan.perception.inception import Inception
from facegan.perception.spaces import Space

PEOPLE = {"all": None, "training": False, "held-out": True}
"""Which real people are the reference: ``DataView``'s ``held_out``."""


def open_view(data: Sequence[PackedDataset], people: str) -> DataView:
    """Return the real faces that are the reference.

    Raises:
        UserError: an unknown word for ``people``, or no face is left.
    """
    if people not in PEOPLE:
        raise UserError(f"--people {people}: choose {', '.join(PEOPLE)}")
    return DataView(data, held_out=PEOPLE[people])


def evaluate(
    batches: Iterator[np.ndarray],
    model: dict[str, Any],
    view: DataView,
    spaces: Sequence[Space],
    *,
    count: int,
    people: str = "all",
    stage: Stage = lambda *_: None,
) -> Receipt:
    """Return the receipt of ``count`` generated faces, uint8 [n, R, R, 3] a batch, which are never held all at once.

    ``model``: what made them, for the receipt; its "resolution" must be the view's; "labels" ("prior" or "none", the
    default) goes into the protocol: where the attributes came from that it was told.

    Raises:
        UserError: too few faces for a space, or faces of another size than the data.
    """
    if model["resolution"] != view.resolution:
        raise UserError(
            f"the model makes faces of {model['resolution']} px and the data has {view.resolution} px: prepare it at "
            f"{model['resolution']} px"
        )
    is_files = model.get("kind") == "files"
    hint = f" (photographs to train on are for facegan prepare {model['path']} OUT)" if is_files else ""
    for space in spaces:
        refuse_few(count, space.dimensions, "generated faces", hint)
        refuse_few(len(view), space.dimensions, f"real faces ({people} people)")
    everybody = sum(len(dataset) for dataset in view.datasets)
    references = {
        space.name: reference_of(view, people, space, counter(stage, f"real faces, {space.name}", everybody))
        for space in spaces
    }
    parts: dict[str, list[torch.Tensor]] = {space.name: [] for space in spaces}
    digest, advance = hashlib.sha256(), counter(stage, "generated faces", count)
    unlike: set[bytes] = set()
    for image_NHWC in batches:
        digest.update(np.ascontiguousarray(image_NHWC).data)
        unlike.update(hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in image_NHWC)
        for space in spaces:
            parts[space.name].append(space.features(image_NHWC))
        advance(len(image_NHWC))
    scores: list[Score] = []
    for number, space in enumerate(spaces):
        stage("scores", number, len(spaces))
        features_ND, reference = torch.cat(parts.pop(space.name)), references[space.name]
        floor = kept_floor(view, people, space, partial(floor_scores, reference, space.name))
        scores += all_scores(features_ND, reference, space.name, floor, most_paired=MOST_PAIRED)
        if isinstance(space.network, Inception):
            device = next(space.network.parameters()).device
            estimate = inception_score(space.network.class_logits(features_ND.to(device)).cpu())
            scores.append(Score("inception score", space.name, estimate, None))
    stage("scores", len(spaces), len(spaces))
    made = {
        "facegan": facegan.__version__, "torch": torch.__version__, "system": platform.platform(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "faces_sha256": digest.hexdigest(),
        "copies": count - len(unlike),
    }  # fmt: skip
    return Receipt(model, _protocol(model, view, spaces, count, people), scores, made)


def _protocol(
    model: dict[str, Any], view: DataView, spaces: Sequence[Space], count: int, people: str
) -> dict[str, Any]:
    paired, paired_real = min(count, MOST_PAIRED), min(len(view), MOST_PAIRED_REAL)
    in_part = (paired, paired_real) != (count, len(view))
    drawn = {"pairs": {"generated": paired, "real": paired_real, "drawn": "Philox order, seed 0, stream pairs"}}
    return {
        **(drawn if in_part else {}),
        "spaces": {space.name: space.describe() for space in spaces},
        "count": count,
        "labels": model.get("labels", "none"),
        "resolution": view.resolution,
        "reference": {"sha256": view.content_hash, "people": people, "count": len(view)},
        "neighbours": NEAREST,
        "intervals": f"{LEVEL:.0%}, the reference as it is; jackknife of {GROUPS} groups; kernel: U-statistic",
    }


def remarks(receipt: Receipt) -> list[str]:
    """Return sentences on what is odd about the faces that were scored."""
    count, model, sentences = receipt.protocol["count"], receipt.model, []
    if copies := receipt.made.get("copies"):
        sentences.append(f"{copies:,} of the {count:,} faces are exact copies of others")
    if resized := model.get("resized"):
        sizes = ", ".join(f"{number:,} of {size}" for size, number in list(resized.items())[:3])
        cropped = "; ".join(f"of {size} only {box}" for size, box in list(model.get("cropped", {}).items())[:3])
        kept = f" ({cropped}: left, top, right, bottom)" if cropped else ""
        sentences.append(f"resized to {model['resolution']} px by {model['resize']}: {sizes}{kept}")
    if unreadable := model.get("unreadable"):
        sentences.append(f"{unreadable['count']:,} files do not count, such as {unreadable['first']}")
    return sentences


def describe_protocol(receipt: Receipt) -> str:
    """Return the protocol in a line, as it stands under the table of scores."""
    reference = receipt.protocol["reference"]
    digest = hashlib.sha256(json.dumps(receipt.protocol, sort_keys=True).encode()).hexdigest()[:12]
    pairs = receipt.protocol.get("pairs")
    in_part = (
        f"kernel, precision, recall, density and coverage: {pairs['generated']:,} of these faces against "
        f"{pairs['real']:,} real ones; "
        if pairs
        else ""
    )
    floor = "no floor, for which there are too few people"
    if any(score.floor is not None for score in receipt.scores):
        floor = (
            f"floor: half of those people against the other half, about {reference['count'] // 2:,} faces each (at "
            "other counts real faces score otherwise, coverage most of all)"
        )
    return (
        f"{receipt.protocol['count']:,} faces at {receipt.protocol['resolution']} px against {reference['count']:,} of "
        f"{reference['people']} people; {in_part}{floor}; protocol {digest}"
    )
