"""Directions in a model's styles along which one attribute changes and the others as little as can be.

attributes-net looks at faces of the model; ridge regression says how each attribute's logit depends on the style w.
With covariance S of w and standardised logits of slopes b_j, the direction of attribute a is

    d = argmin d' S^-1 d + c sum_j (b_j' d)^2   over the other attributes j,   so that b_a' d = 1,

the likeliest change of w that raises a by one standard deviation and leaves the others where they are; c weighs the
others against likeliness. Then d is scaled so that the faces themselves, and not the regression, change by one
standard deviation. (Härkönen et al. 2020 and Shen et al. 2020 look for directions too, otherwise.)

attributes-net finds the directions and so cannot judge them: judge-net says how much else of a face they change.

Legend: N samples, W style, A the 40 attributes, L layers that take a style.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from facegan.api import Model
from facegan.attributes import ATTRIBUTE_COUNT, ATTRIBUTE_NAMES, attribute_index
from facegan.editing.saved_face import read_described
from facegan.errors import UserError
from facegan.files import write_bytes
from facegan.perception.labeller import Labeller, shipped

Report = Callable[[str, int, int], None]
"""Told what is going on, how much of it is done, and how much it is in all."""

STEM = "directions"
"""Of the file that comes with a model."""
_KEY = "facegan-directions"
_FORMAT_VERSION = 1
DEFAULT_COUNT = 20_000
_OTHERS_WEIGHT = 3.0
"""c above: with more, directions go further from likely styles to spare the others (docs/change.md)."""
_RIDGE = 1e-3
_BATCH = 256
_FEWEST = 1000
_SCALE_COUNT = 128
"""Faces on which a direction's length is measured."""


@dataclass(frozen=True, eq=False)
class Directions:
    """What to add to a style for one unit of each attribute: a standard deviation of its logit among the model's faces.

    ``direction_AW`` float32 [40, W]. ``mean_A`` and ``deviation_A`` float32 [40]: of attributes-net's logits.
    """

    model: str
    sha256: str
    direction_AW: np.ndarray
    mean_A: np.ndarray
    deviation_A: np.ndarray
    orthogonal: tuple[str, ...] = ()
    """Attributes that all others leave exactly alone, as far as the regression knows."""

    def change(self, amounts: Mapping[str, float]) -> np.ndarray:
        """Return float32 [W]: what ``amounts``, in units, add to a style.

        Raises:
            UserError: an unknown attribute.
        """
        total_W = np.zeros(self.direction_AW.shape[1], np.float32)
        for name, amount in amounts.items():
            total_W += np.float32(amount) * self.direction_AW[attribute_index(name)]
        return total_W


def find_directions(
    model: Model,
    *,
    count: int = DEFAULT_COUNT,
    seed: int = 0,
    orthogonal: Sequence[str] = (),
    labeller: Labeller | None = None,
    others_weight: float = _OTHERS_WEIGHT,
    report: Report = lambda *_: None,
) -> Directions:
    """Return the directions of a model with styles, from ``count`` of its faces.

    Raises:
        UserError: the model has no styles, too few faces, or an unknown attribute in ``orthogonal``.
    """
    _check_styles(model)
    if count < _FEWEST:
        raise UserError(f"{count} faces are too few to find 40 directions: take {_FEWEST:,} or more")
    spared = np.zeros(ATTRIBUTE_COUNT, bool)
    spared[[attribute_index(name) for name in orthogonal]] = True
    labeller = labeller or shipped()
    style_NW, logit_NA = _looked_at(model, count, seed, labeller, report)
    mean_A, deviation_A = logit_NA.mean(0), logit_NA.std(0).clip(1e-6)
    direction_AW = regressed(style_NW, (logit_NA - mean_A) / deviation_A, others_weight, spared)
    for number in range(ATTRIBUTE_COUNT):
        report("lengths", number, ATTRIBUTE_COUNT)
        shown_W = direction_AW[number]
        rise = _rise(model, style_NW[:_SCALE_COUNT], shown_W, labeller)[number] / deviation_A[number]
        direction_AW[number] = shown_W / np.clip(rise, 0.25, 4)
    report("lengths", ATTRIBUTE_COUNT, ATTRIBUTE_COUNT)
    direction_AW, mean_A, deviation_A = (array.astype(np.float32) for array in (direction_AW, mean_A, deviation_A))
    return Directions(model.name, model.sha256, direction_AW, mean_A, deviation_A, tuple(orthogonal))


def _check_styles(model: Model) -> None:
    if not model.style_layers:
        raise UserError(f"the recipe {model.recipe.name} has no styles, and directions go through styles")


def _looked_at(
    model: Model, count: int, seed: int, labeller: Labeller, report: Report
) -> tuple[np.ndarray, np.ndarray]:
    """Return styles float64 [N, W] of numbered faces and their logits float64 [N, 40]."""
    styles, logits = [], []
    for start in range(0, count, _BATCH):
        report("faces", start, count)
        styles.append(model.numbered_styles(seed, range(start, min(start + _BATCH, count))))
        logits.append(labeller.logits(model.generate(styles=styles[-1])))
    report("faces", count, count)
    return np.concatenate(styles).astype(np.float64), np.concatenate(logits).astype(np.float64)


def regressed(style_NW: np.ndarray, logit_NA: np.ndarray, others_weight: float, spared_A: np.ndarray) -> np.ndarray:
    """Return float64 [40, W], the directions of the module's equation, of styles and standardised logits.

    ``spared_A`` bool [40]: attributes that the directions of all others leave exactly alone.
    """
    centred_NW = style_NW - style_NW.mean(0)
    covariance_WW = centred_NW.T @ centred_NW / len(style_NW)
    values_K, vectors_WK = np.linalg.eigh(covariance_WW)
    kept = values_K > _RIDGE * values_K[-1] / len(values_K)
    root_WK = vectors_WK[:, kept] * np.sqrt(values_K[kept])  # w = mean + root u, with u of variance 1
    white_NK = centred_NW @ (vectors_WK[:, kept] / np.sqrt(values_K[kept]))
    gram_KK = white_NK.T @ white_NK / len(white_NK) + _RIDGE * np.eye(kept.sum())
    slope_KA = np.linalg.solve(gram_KK, white_NK.T @ logit_NA / len(white_NK))
    directions = []
    for number in range(slope_KA.shape[1]):
        others = np.arange(slope_KA.shape[1]) != number
        free = _free_of(slope_KA[:, others & spared_A])
        wanted_K = free @ slope_KA[:, number]
        metric_KK = np.eye(kept.sum()) + others_weight * slope_KA[:, others] @ slope_KA[:, others].T
        step_K = free @ np.linalg.solve(free @ metric_KK @ free + np.eye(len(free)) - free, wanted_K)
        directions.append(root_WK @ (step_K / max(float(step_K @ slope_KA[:, number]), 1e-9)))
    return np.stack(directions)


def _free_of(slope_KS: np.ndarray) -> np.ndarray:
    """Return the projection, [K, K], onto what changes none of these slopes."""
    basis_KS, _ = np.linalg.qr(slope_KS)
    return np.eye(len(slope_KS)) - basis_KS @ basis_KS.T


def _rise(model: Model, style_NW: np.ndarray, direction_W: np.ndarray, labeller: Labeller) -> np.ndarray:
    """Return float64 [40]: how much all logits rise, in the mean, for one unit of a direction."""
    styles = [style_NW + sign / 2 * direction_W for sign in (-1, 1)]
    low_NA, high_NA = (labeller.logits(model.generate(styles=style.astype(np.float32))) for style in styles)
    return np.asarray((high_NA - low_NA).mean(0), np.float64)


def save_directions(directions: Directions, path: Path) -> None:
    """Write the directions, at half precision: a few ten kB.

    Raises:
        OSError: the file cannot be written.
    """
    arrays: dict[str, np.ndarray] = {
        "directions": directions.direction_AW.astype(np.float16),
        "mean": directions.mean_A.astype(np.float32),
        "deviation": directions.deviation_A.astype(np.float32),
    }
    described = {"model": directions.model, "sha256": directions.sha256, "orthogonal": list(directions.orthogonal)}
    write_bytes(path, save(arrays, {_KEY: json.dumps({"format_version": _FORMAT_VERSION, **described})}))


def read_directions(path: Path, model: Model) -> Directions:
    """Return the directions in a file, which must be those of ``model``.

    Raises:
        UserError: there is no such file, it holds no directions, or those of another model.
    """
    advice = "facegan directions writes such a file"
    described, arrays = read_described(path, _KEY, "file of directions", advice)
    if described.get("format_version") != _FORMAT_VERSION:
        raise UserError(f"{path} has a format that this facegan does not read: it reads {_FORMAT_VERSION}")
    if described.get("sha256") != model.sha256:
        raise UserError(f"{path} has directions of another model ({described.get('model')!r:.60}), not of {model.name}")
    shapes = {
        "directions": (ATTRIBUTE_COUNT, model.style_size),
        "mean": (ATTRIBUTE_COUNT,),
        "deviation": (ATTRIBUTE_COUNT,),
    }
    if {name: array.shape for name, array in arrays.items()} != shapes or not all(map(_is_finite, arrays.values())):
        raise UserError(f"{path} is damaged: expected {shapes} of finite numbers; {advice}")
    found = (arrays[name].astype(np.float32) for name in shapes)
    direction_AW, mean_A, deviation_A = found
    spared = tuple(name for name in ATTRIBUTE_NAMES if name in (described.get("orthogonal") or ()))
    return Directions(model.name, model.sha256, direction_AW, mean_A, deviation_A, spared)


def _is_finite(array: np.ndarray) -> bool:
    return array.dtype.kind == "f" and bool(np.isfinite(array).all())


def directions_of(model: Model, file: Path | None = None) -> Directions | None:
    """Return those in ``file``, else the ones that come with the model, None where none do.

    Raises:
        UserError: as ``read_directions``, or the model has no styles.
    """
    _check_styles(model)
    shipped_file = model.folder / f"{STEM}.safetensors"
    if file is None and not shipped_file.is_file():
        return None
    return read_directions(file or shipped_file, model)
