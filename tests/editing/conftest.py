"""A model with attributes that every test can afford, and the shipped one."""

from __future__ import annotations

from pathlib import Path

import pytest

import facegan
from facegan.training.schedule import Schedule
from tests.conftest import small_recipe, train


def untrained(folder: Path, packed: Path, name: str, **changes: object) -> Path:
    """Return a run of no image: its first snapshot has every file of a model."""
    recipe = small_recipe(name, **changes)
    schedule = Schedule(images=0, score_count=0)
    train([packed], folder, recipe, batch=8, schedule=schedule, precision="float32", threads=1)
    return folder


@pytest.fixture(scope="session")
def style_run(tmp_path_factory, packed16):
    return untrained(tmp_path_factory.mktemp("style") / "run", packed16, "style-s", ema_halflife=0)


@pytest.fixture(scope="session")
def dcgan_run(tmp_path_factory, packed16):
    return untrained(tmp_path_factory.mktemp("dcgan") / "run", packed16, "dcgan")


@pytest.fixture(scope="session")
def shipped():
    return facegan.load("celeba64")


@pytest.fixture(scope="session")
def style_model(style_run):
    return facegan.load(style_run)
