"""The page itself: everything known about a model, put into ``page.html``."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import facegan
from facegan import pixels
from facegan.config_changes import flatten
from facegan.evaluation.audit import Audit
from facegan.evaluation.follow import read_scores
from facegan.evaluation.receipt import HIGHER_IS_BETTER, Receipt, four_digits
from facegan.provenance import Provenance
from facegan.report import curves, pictures
from facegan.runs.folder import RunFolder
from facegan.runs.incidents import read_incidents

_SHOWN_INCIDENTS = 20


@dataclass(frozen=True)
class Findings:
    """What was measured of a model."""

    faces_NHWC: np.ndarray
    """uint8 [64, R, R, 3]: the first faces of the seed."""
    seed: int
    receipt: Receipt | None = None
    audit: Audit | None = None
    missing: list[str] = field(default_factory=list)
    """Sentences on what could not be measured, and why."""


def render(model: dict[str, Any], run: RunFolder | None, found: Findings, *, real_faces: bool, note: str = "") -> str:
    """Return the report as one HTML text that needs no other file.

    ``model``: its path, recipe, resolution, nimg and sha256. ``real_faces``: whether photographs of real people may be
    shown. ``note``: replaces the sentence about the faces on a page without real ones.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("facegan.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"number": four_digits, "percent": lambda value: f"{value:.1%}", "count": lambda n: f"{n:,}"}
    receipts = {} if run is None else read_scores(run)
    newest = found.receipt or receipts.get(model["nimg"])
    shares = found.audit.representation if found.audit else []
    provenance = Provenance(
        model=model["recipe"], nimg=model["nimg"], sha256=model["sha256"], seed=found.seed, first=0,
        count=len(found.faces_NHWC), sheet=True,
    )  # fmt: skip
    return environment.get_template("page.html").render(
        title=f"{model['recipe']} at {model['resolution']} px, {model['nimg']:,} images",
        model=model,
        note=note,
        made=time.strftime("%Y-%m-%d %H:%M"),
        version=facegan.__version__,
        headline=[score for score in newest.scores if score.name == "frechet"] if newest else [],
        faces=pictures.png(pixels.grid(found.faces_NHWC, columns=8), provenance),
        found=found,
        run=None if run is None else _run_parts(run, int(model["resolution"])),
        score_curve=curves.score_curves(receipts),
        higher_is_better=HIGHER_IS_BETTER,
        receipt_json="" if found.receipt is None else json.dumps(_without_folders(found.receipt), indent=1),
        pairs=_pairs(found.audit, provenance) if found.audit and real_faces else None,
        presence=curves.presence_drawing(shares) if shares else None,
        differing=sorted((row for row in shares if row.verdict), key=lambda row: row.generated - row.real),
        real_faces=real_faces,
    )


def _without_folders(receipt: Receipt) -> dict[str, Any]:
    """Return a receipt for a page that others read: of the model's path its name only."""
    values = receipt.to_dict()
    return values | {"model": values["model"] | {"path": Path(str(values["model"].get("path", ""))).name}}


def _pairs(audit: Audit, provenance: Provenance) -> str:
    """Return the closest pairs: made faces beside those that the model was trained on."""
    return pictures.png(pictures.pairs(audit.closest), replace(provenance, first=None, in_part=True))


def _run_parts(run: RunFolder, resolution: int) -> dict[str, Any]:
    """Return what the page shows of a run's folder: curves, film, incidents, settings."""
    described = run.read()
    if isinstance(described.get("data"), list):  # names, not places of somebody's machine: pages are shared
        described["data"] = [Path(str(path)).name for path in described["data"]]
    lines = run.log_lines()
    incidents = read_incidents(run)
    shown = [
        {
            "kind": str(entry["kind"]), "nimg": entry["nimg"], "message": str(entry.get("message", "")),
            "action": str(entry.get("action", "")), "time": str(entry.get("time", "")),
            "grid": _incident_grid(run, entry),
        }
        for entry in incidents[-_SHOWN_INCIDENTS:]
    ]  # fmt: skip
    shown_keys = ("config", "choices", "machine", "processes")
    settings: dict[str, Any] = {key: described[key] for key in shown_keys if key in described}
    return {
        "curves": curves.training_curves(lines),
        "film": pictures.film(run.list_grids(), resolution, run.provenance()),
        "grids": len(run.list_grids()),
        "incidents": shown,
        "incident_count": len(incidents),
        "settings": flatten(settings),
        "json": json.dumps(described, indent=1),
    }


def _incident_grid(run: RunFolder, entry: dict[str, Any]) -> str | None:
    name = Path(str(entry.get("grid", ""))).name  # never a path that somebody wrote into the file
    return pictures.png_file(run.path / "incidents" / name, run.provenance()) if name else None
