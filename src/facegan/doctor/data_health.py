"""Whether packed data is whole, and what there is to know of it before a training; what a source of images holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facegan.data.packed import DataView, PackedDataset
from facegan.data.sources import find_source
from facegan.doctor.finding import Finding, from_error
from facegan.errors import UserError
from facegan.files import read_json

_CHUNK = 1024


def examine(paths: Sequence[Path]) -> list[Finding]:
    """Return what is to be said of packed datasets, of each and of all together. Reads every byte of them once."""
    findings, whole = [], []
    for path in paths:
        topic = f"data {path}"
        try:
            dataset = PackedDataset.open(path)
            findings += _content(topic, dataset)
            findings += _known(topic, dataset)
            whole.append(dataset)
        except UserError as error:
            findings.append(from_error(topic, str(error), "prepare it again with facegan prepare"))
    sizes = {dataset.resolution for dataset in whole}
    if len(whole) > 1 and len(sizes) == 1 and len({dataset.path.resolve() for dataset in whole}) == len(whole):
        findings += _together(whole)
    return findings


def _content(topic: str, dataset: PackedDataset) -> list[Finding]:
    """Return whether the content is what was packed; if not, where it differs as far as can be told."""
    cure = f"facegan prepare SRC {dataset.path} again, or copy it again from where it came"
    parts = damaged_parts(dataset)
    try:
        dataset.verify()
    except UserError:
        where = "; ".join(parts) or "which part cannot be told: all values are such as images and labels have"
        return [Finding("fault", topic, f"it has changed since it was packed ({where})", cure, {"parts": parts})]
    gigabytes = dataset.images.nbytes / 1e9
    said = f"{len(dataset):,} faces at {dataset.resolution} px ({gigabytes:.2f} GB), whole: the content hash is right"
    return [Finding("ok", topic, said, facts={"count": len(dataset), "resolution": dataset.resolution})]


def damaged_parts(dataset: PackedDataset) -> list[str]:
    """Return what of a dataset cannot have been packed: rows of images that are empty, values that no label has."""
    found = []
    empty_N = np.zeros(len(dataset), bool)
    for start in range(0, len(dataset), _CHUNK):
        rows = np.asarray(dataset.images[start : start + _CHUNK])
        empty_N[start : start + len(rows)] = ~rows.reshape(len(rows), -1).any(axis=1)
    if empty_N.any():
        first, last = np.flatnonzero(empty_N)[[0, -1]]
        found.append(f"images.npy: {int(empty_N.sum()):,} images of {first} to {last} are empty")
    limits = {"attributes": (-1, 1), "identities": (0, 2**31 - 1), "partitions": (-1, 2)}
    for name, (least, most) in limits.items():
        values = np.asarray(getattr(dataset, name))
        outside = (values < least) | (values > most)
        if outside.any():
            found.append(f"{name}.npy: {int(outside.sum()):,} values are not of {least} to {most}")
    return found


def _known(topic: str, dataset: PackedDataset) -> list[Finding]:
    """Return what is to be said of a dataset's people, labels, copies and made faces."""
    findings = []
    held_out = int(dataset.held_out().sum())
    if held_out:
        share = held_out / len(dataset)
        said = f"{held_out:,} faces ({share:.0%}) are held out from training, by {dataset.hold_out}"
        findings.append(Finding("ok", topic, said, facts={"held_out": held_out, "rule": dataset.hold_out}))
    else:
        said = "no face is held out: audit, and scores against people the model never saw, are not possible"
        cure = f"facegan prepare SRC NEW --hold-out pictures, and train on that instead of {dataset.path}"
        findings.append(Finding("warning", topic, said, cure, {"held_out": 0}))
    if dataset.labelled:
        known = float((np.asarray(dataset.attributes) != 0).any(axis=1).mean())
        findings.append(Finding("ok", topic, f"attributes of {known:.0%} of the faces", facts={"labelled": known}))
    else:
        said = "no attributes: the style recipes have them guessed by attributes-net when a run begins"
        findings.append(Finding("note", topic, said, "prepare it with list_attr_celeba.txt, if you have it"))
    if copies := int((dataset.source_counts() - 1).sum()):
        said = f"{copies:,} files of the source were byte for byte copies, and one of each was packed"
        findings.append(Finding("note", topic, said, facts={"copies": copies}))
    try:
        made = read_json(dataset.path / "dataset.json").get("made_by_network", 0)
    except (OSError, ValueError, AttributeError):
        made = 0
    if isinstance(made, int) and made > 0:
        said = f"{made:,} of its images say that a neural network made them: what learns from them learns its faults"
        findings.append(Finding("note", topic, said, facts={"made_by_network": made}))
    return findings


def _together(datasets: list[PackedDataset]) -> list[Finding]:
    topic = "data together"
    try:
        view = DataView(datasets, held_out=None)
    except UserError as error:
        return [from_error(topic, str(error), "give one of them only")]
    shared = view.warnings
    return [Finding("warning", topic, sentence, "give one of them only") for sentence in shared] or [
        Finding("ok", topic, "they share no pictures that would count double, or be held out in one only")
    ]


def source(path: Path) -> list[Finding]:
    """Return what is to be said of a folder, a zip or Parquet files of images that are not packed yet."""
    topic = f"source {path}"
    try:
        listing = find_source(path)
    except UserError as error:
        return [from_error(topic, str(error), "give a folder, a zip or Parquet files of photographs")]
    told = f"{len(listing.images):,} images"
    for name in ("list_attr_celeba", "list_eval_partition", "identity_CelebA"):
        if any(name in other for other in listing.others):
            told += f", {name}"
    cure = f"facegan prepare {path} data/packed --resolution 64 --preview"
    findings = [Finding("note", topic, f"{told}; not packed yet", cure, {"images": len(listing.images)})]
    for folder, why in [*listing.skipped, *listing.unlisted]:
        findings.append(Finding("warning", topic, f"{folder} is left out: {why}", "make it readable, or move it away"))
    return findings
