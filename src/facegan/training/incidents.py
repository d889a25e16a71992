"""``incidents.jsonl``: every alarm with its evidence and what was done, and a small grid of faces beside it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from facegan import pixels
from facegan.files import parse_json
from facegan.run import RunFolder
from facegan.training.watchdog import Alarm

_SHOWN = 16
"""Faces in an incident's grid."""


def record(folder: RunFolder, alarm: Alarm, action: str, rollbacks: int, faces_NHWC: np.ndarray) -> None:
    """Append an alarm to the run's incidents, unless a resumed run has come to the very same one again.

    ``action`` says what is done about it; ``rollbacks`` counts those before it. A disk that cannot be written costs
    the entry, not the run.
    """
    identity = (alarm.kind, alarm.nimg, rollbacks)
    if any((entry.get("kind"), entry.get("nimg"), entry.get("rollbacks")) == identity for entry in read(folder)):
        return
    entry: dict[str, Any] = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "kind": alarm.kind,
        "nimg": alarm.nimg,
        "message": alarm.message,
        "evidence": alarm.evidence,
        "action": action,
        "rollbacks": rollbacks,
    }
    try:
        picture = folder.path / "incidents" / f"{alarm.kind}-{alarm.nimg:09d}-{rollbacks}.png"
        pixels.save_png(picture, pixels.grid(faces_NHWC[:_SHOWN]))
        entry["grid"] = str(picture.relative_to(folder.path))
        with folder.incidents.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
    except OSError:
        return


def read(folder: RunFolder) -> list[dict[str, Any]]:
    """Return a run's incidents, oldest first; lines that are none are passed over."""
    return [line for line in read_lines(folder.incidents) if "kind" in line and "nimg" in line]


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects in a file of JSON lines, passing over what is none; [] if there is no file."""
    try:
        content = path.read_bytes()
    except OSError:
        return []
    lines = []
    for text in content.splitlines():
        try:
            value = parse_json(text)
        except ValueError:
            continue
        if isinstance(value, dict):
            lines.append(value)
    return lines
