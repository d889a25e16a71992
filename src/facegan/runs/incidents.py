"""``incidents.jsonl``: every alarm with its evidence and what was done, and a small grid of faces beside it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from facegan import pixels
from facegan.files import read_json_lines
from facegan.provenance import Provenance
from facegan.runs.folder import RunFolder

_SHOWN = 16
"""Faces in an incident's grid."""


def record(folder: RunFolder, incident: Mapping[str, Any], faces_NHWC: np.ndarray, provenance: Provenance) -> None:
    """Append an incident to those of a run, unless a resumed run has come to the very same one again.

    ``incident`` has "kind", "nimg", "message", "evidence", "action" (what is done about it) and "rollbacks" (how many
    there were before it). ``provenance``: what made the faces. A disk that cannot be written costs the entry, not the
    run.
    """
    identity = {name: incident[name] for name in ("kind", "nimg", "rollbacks")}
    if any(all(entry.get(name) == value for name, value in identity.items()) for entry in read_incidents(folder)):
        return
    name = f"{incident['kind']}-{incident['nimg']:09d}-{incident['rollbacks']}.png"
    picture = folder.path / "incidents" / name
    try:
        pixels.save_png(picture, pixels.grid(faces_NHWC[:_SHOWN]), provenance)
    except OSError:
        return
    append(folder, {**incident, "grid": str(picture.relative_to(folder.path))})


def append(folder: RunFolder, incident: Mapping[str, Any]) -> None:
    """Append an incident as it is, with the time. A disk that cannot be written costs the entry."""
    entry = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), **incident}
    try:
        with folder.incidents.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
    except OSError:
        return


def read_incidents(folder: RunFolder) -> list[dict[str, Any]]:
    """Return a run's incidents, oldest first; damaged lines are skipped."""
    return [line for line in read_json_lines(folder.incidents) if "kind" in line and "nimg" in line]
