"""CelebA's 40 attributes (Liu et al., ICCV 2015), in the official order and spelling."""

import numbers
from collections.abc import Mapping

import numpy as np

from facegan import hints
from facegan.errors import UserError

ATTRIBUTE_NAMES: tuple[str, ...] = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips", "Big_Nose",
    "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses",
    "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache",
    "Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks",
    "Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick",
    "Wearing_Necklace", "Wearing_Necktie", "Young",
)  # fmt: skip

ATTRIBUTE_COUNT = len(ATTRIBUTE_NAMES)


def attribute_index(name: str) -> int:
    """Return the position of ``name`` among the 40; case is ignored.

    Raises:
        UserError: the name is none of the 40; the message proposes the nearest.
    """
    lowered = [known.lower() for known in ATTRIBUTE_NAMES]
    if name.lower() in lowered:
        return lowered.index(name.lower())
    hint = hints.for_attribute(name, ATTRIBUTE_NAMES)
    raise UserError(f"{name!r} is not one of CelebA's 40 attributes; {hint}")


def asked_vector(values: Mapping[str, float]) -> np.ndarray:
    """Return float32 [40] in [-1, 1]: the named values, and NaN for every attribute left out.

    Raises:
        UserError: no mapping, an unknown name, a value that is no number in [-1, 1], or a name twice.
    """
    if not isinstance(values, Mapping):
        raise UserError(f'attributes={values!r}: give names and values, such as {{"Smiling": 1}}')
    vector = np.full(ATTRIBUTE_COUNT, np.nan, np.float32)
    named: set[int] = set()
    for name, value in values.items():
        index = attribute_index(str(name))
        if index in named:
            raise UserError(f"attribute {ATTRIBUTE_NAMES[index]} is asked for twice, under two spellings")
        named.add(index)
        if not isinstance(value, numbers.Real) or not -1.0 <= value <= 1.0:
            raise UserError(f"attribute {ATTRIBUTE_NAMES[index]}={value}: give a value from -1 (absent) to 1 (present)")
        vector[index] = value
    return vector
