"""Scores of a run's snapshots, taken by a process of its own while another trains: ``scores.jsonl``.

A line is a receipt, with ``nimg`` and the snapshot's digest before it. A run that went back and came again to the same
``nimg`` has another snapshot there; the later line counts.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from facegan.errors import UserError
from facegan.evaluation.receipt import Receipt, receipt_of
from facegan.files import read_json_lines
from facegan.runs.folder import RunFolder
from facegan.runs.snapshot import LABEL_PRIOR, SnapshotInfo, read_info

_PATIENCE = 10.0
"""Seconds between two looks at the folder."""


def read_scores(folder: RunFolder) -> dict[int, Receipt]:
    """Return {nimg: receipt} of the snapshots that were scored, in order; damaged lines are skipped."""
    found = {}
    for line in read_json_lines(folder.scores):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            nimg, receipt = line["nimg"], receipt_of(line["receipt"])
            if type(nimg) is int and nimg >= 0:
                found[nimg] = receipt
    return dict(sorted(found.items()))


def headline(receipt: Receipt) -> dict[str, float]:
    """Return {space: Frechet distance}."""
    return {score.space: score.estimate.value for score in receipt.scores if score.name == "frechet"}


def digest_of(info: SnapshotInfo) -> str:
    """Return one digest of a snapshot's moment and all its files."""
    return hashlib.sha256(json.dumps([info.nimg, info.sha256], sort_keys=True).encode()).hexdigest()


def unscored(folder: RunFolder, wanted: Mapping[str, Any]) -> Iterator[SnapshotInfo]:
    """Yield the snapshots that have no line of the wanted protocol yet, oldest first.

    ``wanted``: "count", "spaces" (names), "seed", the reference's "sha256" and "people", and "labels"
    ("prior": of snapshots that have one). What is damaged or just being deleted is skipped.
    """
    done = set()
    for line in read_json_lines(folder.scores):
        with contextlib.suppress(KeyError, TypeError, AttributeError):
            protocol = line["receipt"]["protocol"]
            reference = protocol["reference"]
            found = {"count": protocol["count"], "spaces": list(protocol["spaces"]),
                     "sha256": reference["sha256"], "people": reference["people"],
                     "seed": line["receipt"]["model"].get("seed", 0)}  # fmt: skip
            if found == {name: value for name, value in wanted.items() if name != "labels"}:
                done.add((line.get("snapshot"), protocol.get("labels", "none")))
    for path in folder.list_snapshots():
        try:
            info = read_info(path)
        except UserError:
            continue
        labels = wanted.get("labels", "none") if f"{LABEL_PRIOR}.safetensors" in info.sha256 else "none"
        if info.nimg and (digest_of(info), labels) not in done:
            yield info


def append(folder: RunFolder, info: SnapshotInfo, receipt: Receipt) -> None:
    """Add a snapshot's line, and its scores to TensorBoard.

    Raises:
        OSError: the disk is full, or may not be written.
    """
    line: dict[str, Any] = {"nimg": info.nimg, "snapshot": digest_of(info), "receipt": receipt.to_dict()}
    content = json.dumps(line) + "\n"
    with folder.scores.open("a+b") as file:
        whole = file.seek(0, os.SEEK_END)
        if whole:
            file.seek(whole - 1)
            content = content if file.read() == b"\n" else "\n" + content  # a killed process left half a line
        file.write(content.encode())
        file.flush()
        os.fsync(file.fileno())
    from torch.utils.tensorboard import SummaryWriter

    with contextlib.suppress(OSError):
        events = SummaryWriter(str(folder.tensorboard / "scores"))
        for score in receipt.scores:
            events.add_scalar(f"{score.space}/{score.name}", score.estimate.value, info.nimg)
        events.close()


def follow(
    folder: RunFolder,
    wanted: Mapping[str, Any],
    measure: Callable[[SnapshotInfo], Receipt],
    say: Callable[[SnapshotInfo, Receipt], None],
) -> int:
    """Score every snapshot of a run that has no line of the wanted protocol yet; wait for more while it is trained.

    Return how many were scored. A snapshot that is deleted or damaged while it is looked at is skipped.
    """
    count = 0
    seen: set[str] = set()
    while True:
        training = folder.is_locked()
        waiting = [info for info in unscored(folder, wanted) if digest_of(info) not in seen]
        for info in waiting:
            seen.add(digest_of(info))
            try:
                receipt = measure(info)
            except UserError:
                if info.path.exists():
                    raise
                continue
            append(folder, info, receipt)
            say(info, receipt)
            count += 1
        if not waiting:
            if not training:
                return count
            time.sleep(_PATIENCE)
