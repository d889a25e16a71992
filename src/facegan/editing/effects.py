"""What edits do to faces: to the attribute that is meant, to the other 39, and to the whole face.

Legend: N samples, W style, A the 40 attributes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from facegan.api import Model
from facegan.attributes import ATTRIBUTE_COUNT, ATTRIBUTE_NAMES
from facegan.editing.directions import Directions, Report
from facegan.perception.labeller import Labeller, shipped
from facegan.perception.spaces import Space, open_space

_FRESH_SEED = 1
"""Its faces were not looked at to find directions of seed 0."""


@dataclass(frozen=True)
class Effect:
    """What one step of an edit does, in the mean over faces.

    ``rise``: of the attribute's logit in attributes-net, in standard deviations among the model's faces. ``spill``: the
    mean absolute shift of the 39 other logits, in theirs. ``drift``: how far the face moves in judge-net, as a share of
    the distance between two faces of the model.
    """

    name: str
    rise: float
    spill: float
    drift: float


class Meter:
    """Measures edits of the same numbered faces."""

    def __init__(self, model: Model, directions: Directions, count: int, *, seed: int = _FRESH_SEED) -> None:
        self.model, self.deviation_A = model, directions.deviation_A
        self.labeller: Labeller = shipped()
        self.judge: Space = open_space("judge-net")
        self.style_NW = model.numbered_styles(seed, range(count))
        _, features_ND = self._seen(self.style_NW)
        rolled_ND = np.roll(features_ND, 1, axis=0)
        self._between_faces = float(np.linalg.norm(features_ND - rolled_ND, axis=1).mean())

    def effect(self, number: int, before_NW: np.ndarray, after_NW: np.ndarray) -> Effect:
        """Return what the step from one style to the other, [N, W] each, does to attribute ``number`` and the rest."""
        (before_NA, before_ND), (after_NA, after_ND) = self._seen(before_NW), self._seen(after_NW)
        shift_A = (after_NA - before_NA).mean(0) / self.deviation_A
        others_A = np.arange(ATTRIBUTE_COUNT) != number
        moved = float(np.linalg.norm(after_ND - before_ND, axis=1).mean())
        return Effect(
            ATTRIBUTE_NAMES[number],
            float(shift_A[number]),
            float(np.abs(shift_A[others_A]).mean()),
            moved / self._between_faces,
        )

    def _seen(self, style_NW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        faces = self.model.generate(styles=style_NW)
        return self.labeller.logits(faces), self.judge.features(faces).numpy()


def effects_of_directions(
    model: Model, directions: Directions, *, count: int, report: Report = lambda *_: None
) -> list[Effect]:
    """Return the effect of one unit of each of the 40 directions, around ``count`` faces that found none of them."""
    meter = Meter(model, directions, count)
    change_AW = directions.direction_AW
    return _measured(
        lambda number: (meter.style_NW - change_AW[number] / 2, meter.style_NW + change_AW[number] / 2), meter, report
    )


def effects_of_labels(
    model: Model, directions: Directions, *, count: int, report: Report = lambda *_: None
) -> list[Effect]:
    """Return the effect of asking for each attribute's presence (1) instead of its absence (-1), on the same faces.

    The other labels are each face's own; ``directions`` say in what units logits are measured.
    """
    meter = Meter(model, directions, count)
    latent_NZ = model.latents(_FRESH_SEED, range(count))
    labels_NA = model.labels(_FRESH_SEED, range(count))
    given_NA = np.zeros((count, ATTRIBUTE_COUNT), np.float32) if labels_NA is None else labels_NA

    def step(number: int) -> tuple[np.ndarray, np.ndarray]:
        low_NA, high_NA = given_NA.copy(), given_NA.copy()
        low_NA[:, number], high_NA[:, number] = -1, 1
        return model.styles(latent_NZ, low_NA), model.styles(latent_NZ, high_NA)

    return _measured(step, meter, report)


def _measured(step: Callable[[int], tuple[np.ndarray, np.ndarray]], meter: Meter, report: Report) -> list[Effect]:
    effects = []
    for number in range(ATTRIBUTE_COUNT):
        report("effects", number, ATTRIBUTE_COUNT)
        effects.append(meter.effect(number, *step(number)))
    report("effects", ATTRIBUTE_COUNT, ATTRIBUTE_COUNT)
    return effects
