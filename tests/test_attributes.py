import numpy as np
import pytest

from facegan.attributes import ATTRIBUTE_COUNT, ATTRIBUTE_NAMES, asked_vector, attribute_index
from facegan.errors import UserError


def test_forty_names_in_the_official_order():
    assert ATTRIBUTE_COUNT == len(set(ATTRIBUTE_NAMES)) == 40
    assert tuple(sorted(ATTRIBUTE_NAMES)) == ATTRIBUTE_NAMES  # CelebA's order is that of ASCII
    assert attribute_index("Smiling") == attribute_index("smiling") == 31


def test_unnamed_attributes_are_unknown():
    vector = asked_vector({"Smiling": 1, "Young": -1})
    assert vector[31] == 1 and vector[39] == -1
    assert np.isnan(vector).sum() == 38


def test_a_misspelt_name_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="did you mean Eyeglasses"):
        asked_vector({"Eyeglases": 1})
    with pytest.raises(UserError, match="from -1"):
        asked_vector({"Smiling": 3})


@pytest.mark.parametrize(("asked", "message"), [
    ({"Smiling": 1, "smiling": -1}, "Smiling is asked for twice"),
    ({"Smiling": "1"}, "from -1"),
    (["Smiling"], "give names and values"),
    ({1: 1}, "'1' is not one of"),
])  # fmt: skip
def test_what_is_no_request(asked, message):
    with pytest.raises(UserError, match=message):
        asked_vector(asked)
