"""Runs that are being written, as the page shows them: faces through time, curves, incidents, scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from facegan.api import Model
from facegan.data.packed import DataView, PackedDataset
from facegan.errors import UserError
from facegan.evaluation.faces import real_faces
from facegan.evaluation.follow import read_scores
from facegan.randomness import Stream
from facegan.runs.folder import RunFolder, nimg_of
from facegan.runs.incidents import read_incidents
from facegan.runs.overview import overview
from facegan.training.faces import labels_of_faces, make_faces

SERIES = (
    "D_loss", "G_loss", "D_accuracy_real", "D_accuracy_fake", "quick_score", "variety", "images_per_s",
)  # fmt: skip
_MOST_POINTS = 400
_MOST_INCIDENTS = 50
SHOWN = 16
"""Faces of a snapshot, and photographs, that D scores."""


def describe_run(run: RunFolder) -> dict[str, Any]:
    """Return JSON values: how the run is doing, its curves, its incidents, its scores, how many grids there are."""
    lines = run.log_lines()
    now = overview(run)
    incidents = [
        {name: str(entry.get(name, ""))[:2000] for name in ("kind", "message", "action", "time")}
        | {"nimg": entry["nimg"]}
        for entry in read_incidents(run)[-_MOST_INCIDENTS:]
    ]
    scores = [
        {"nimg": nimg, "space": score.space, "name": score.name, "value": score.estimate.value,
         "low": score.estimate.low, "high": score.estimate.high}
        for nimg, receipt in sorted(read_scores(run).items()) for score in receipt.scores
    ]  # fmt: skip
    return {
        "recipe": now.recipe,
        "resolution": now.resolution,
        "nimg": now.nimg,
        "target": now.target,
        "images_per_s": now.images_per_s,
        "health": now.health,
        "training": now.training,
        "snapshots": [nimg_of(path) for path in run.list_snapshots()],
        "grids": [path.stem for path in run.list_grids()],
        "curves": {name: _series(lines, name) for name in SERIES},
        "incidents": incidents,
        "scores": scores,
    }


def _series(lines: Sequence[dict[str, Any]], name: str) -> list[list[float]]:
    """Return [[nimg, value], ...]: at most some hundred points, each the mean of its neighbours."""
    points = [(line["nimg"], line[name]) for line in lines if isinstance(line.get(name), (int, float))]
    if not points:
        return []
    parts = np.array_split(np.array(points, np.float64), min(len(points), _MOST_POINTS))
    return [[float(part[-1, 0]), round(float(part[:, 1].mean()), 6)] for part in parts]


def grid_file(run: RunFolder, place: int) -> bytes:
    """Return the PNG of a run's grid, by its place in time.

    Raises:
        UserError: there is none.
    """
    grids = run.list_grids()
    if not 0 <= place < len(grids):
        raise UserError(f"the run has {len(grids)} grids")
    return grids[place].read_bytes()


def fixed_faces(model: Model) -> tuple[np.ndarray, np.ndarray]:
    """Return the first faces of a snapshot's grid, uint8 [16, R, R, 3], and D's scores of them."""
    number_N = np.arange(SHOWN)
    faces = make_faces(model.generator, model.config, model.label_prior, "grid", number_N)
    return faces, model.score(faces, labels_of_faces(model.config, model.label_prior, "grid", number_N))


def open_photographs(run: RunFolder | None, given: Sequence[PackedDataset], *, held_out: bool) -> DataView | None:
    """Return photographs to show beside faces: those given, or those of the run; None where there are none.

    Raises:
        UserError: ``held_out`` is wanted, and the run was trained on what the given ones hold out.
    """
    datasets = list(given)
    if datasets and run is not None and held_out:
        datasets = real_faces(run.path, [dataset.path for dataset in datasets])
    if not datasets and run is not None:
        try:
            datasets = real_faces(run.path, None)
        except (UserError, OSError):
            return None
    if not datasets:
        return None
    try:
        return DataView(datasets, held_out=held_out)
    except UserError:
        return None


def some_photographs(model: Model, view: DataView) -> tuple[np.ndarray, np.ndarray]:
    """Return photographs, uint8 [16, R, R, 3], as D sees them, and its scores of them.

    Raises:
        UserError: they have another size.
    """
    if view.resolution != model.resolution:
        raise UserError(f"the photographs have {view.resolution} px and the model {model.resolution} px")
    index_N = Stream(0, "studio/photographs").permutation(0, len(view))[:SHOWN]
    photographs = view.images(index_N)
    labels_NA = view.attributes(index_N) if model.recipe.attributes else None
    return photographs, model.score(photographs, labels_NA)
