"""Scores need a thousand faces: here random-net is small, so that a thousand are soon looked at."""

from collections.abc import Iterator

import pytest

from facegan.perception import random_net


@pytest.fixture(scope="module", autouse=True)
def small_random_net() -> Iterator[None]:
    """Make random-net one of 32 px, two levels and 16 features; tests/perception has the whole one."""
    small = {"SIDE": 32, "WIDTHS": (8, 16), "PROJECTED": 8, "DIMENSIONS": 16}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in small.items():
            patch.setattr(random_net, name, value)
        yield
