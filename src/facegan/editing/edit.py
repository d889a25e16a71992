"""Other attributes for a face that is there: along directions in its style, or by its labels.

Legend: L layers that take a style, W style, A the 40 attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from facegan.api import Model
from facegan.attributes import ATTRIBUTE_NAMES, attribute_index
from facegan.editing.directions import Directions
from facegan.editing.saved_face import SavedFace
from facegan.errors import UserError

MOST = 10.0
"""Units: further from a face of its own, a model makes no faces at all."""


def check_amounts(amounts: Mapping[str, float]) -> dict[str, float]:
    """Return ``amounts`` with the attributes' official names.

    Raises:
        UserError: an unknown attribute, one given twice, or an amount that is no number from -10 to 10.
    """
    checked: dict[str, float] = {}
    for name, amount in amounts.items():
        official = ATTRIBUTE_NAMES[attribute_index(name)]
        if official in checked:
            raise UserError(f"attribute {official} is given twice, under two spellings")
        if not -MOST <= amount <= MOST:
            raise UserError(
                f"attribute {official}={amount}: give an amount from -{MOST:g} to {MOST:g}, such as 2 or -1.5"
            )
        checked[official] = float(amount)
    return checked


def edit_face(
    model: Model, face: SavedFace, amounts: Mapping[str, float], *, directions: Directions | None = None
) -> SavedFace:
    """Return ``face`` with other attributes: moved along ``directions``, or, without, made with other labels.

    ``amounts``: along directions, in standard deviations of what attributes-net sees among the model's faces; as
    labels, what the generator gets instead of the face's own labels, where -1 is absent, 1 present, and 2 louder.

    Raises:
        UserError: a model without styles; an amount that ``check_amounts`` refuses; directions of another model; or,
            without directions, a face that was not made with labels, such as one of a photo.
    """
    if face.style_LW is None:
        raise UserError(f"the recipe {model.recipe.name} has no styles: its faces cannot be edited")
    checked = check_amounts(amounts)
    said = ", ".join(f"{name}={amount:+g}" for name, amount in checked.items())
    edited = ", ".join(part for part in (face.origin.edited, said) if part)
    origin = replace(face.origin, edited=f"{edited} ({'labels' if directions is None else 'directions'})")
    if directions is not None:
        if directions.sha256 != model.sha256:
            raise UserError(f"these directions are of another model ({directions.model}), not of {model.name}")
        # What the face was made of no longer makes it: another edit by labels would forget this one.
        return SavedFace(origin, face.style_LW + directions.change(checked))
    if face.latent_Z is None or not model.recipe.attributes:
        raise UserError(
            "only a face that was made of a latent with labels can get other labels: edit it along directions"
        )
    before_A = np.zeros(len(ATTRIBUTE_NAMES), np.float32) if face.labels_A is None else face.labels_A
    after_A = before_A.copy()
    for name, amount in checked.items():
        after_A[ATTRIBUTE_NAMES.index(name)] = amount
    latent_2Z = np.repeat(face.latent_Z[None], 2, axis=0)
    label_2A = np.stack([before_A, after_A])
    before_W, after_W = model.styles(latent_2Z, label_2A, truncation=face.origin.truncation)
    return SavedFace(origin, face.style_LW + (after_W - before_W), face.latent_Z, after_A)
