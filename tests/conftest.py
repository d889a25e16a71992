"""Small data and recipes that every test can afford."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers on two cores: before torch is imported

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

import facegan
from facegan import recipes
from facegan.api import Model
from facegan.config import RecipeConfig
from facegan.data.writer import PackedWriter
from facegan.randomness import Stream
from facegan.training import train as training
from facegan.training.execution_plan import ExecutionRequest
from facegan.training.schedule import Schedule


def small_recipe(name: str, **changes: object) -> RecipeConfig:
    """Return a recipe at 16 px, as narrow as it can be made."""
    config = recipes.recipe(name, 16)
    if name == "dcgan":
        config = replace(config, generator={"width": 8}, discriminator={"width": 8})
    if config.network == "style":
        small = {"width": 8, "max_channels": 16, "patch": 2}
        config = replace(
            config, latent_size=16, generator=small | {"style_size": 16}, discriminator=small, attributes=False
        )
    return replace(config, **changes)  # type: ignore[arg-type]


def train(data: list[Path], run: Path, recipe: RecipeConfig, **options: object) -> training.TrainResult:
    """Train; options of ``Start`` and ``ExecutionRequest`` are given by their names."""
    groups = {"start": training.Start, "requested": ExecutionRequest}
    for group, kind in groups.items():
        own = {item.name: options.pop(item.name) for item in fields(kind) if item.name in options}
        options[group] = kind(**own)  # type: ignore[arg-type]
    return training.train(data, run, recipe, **options)  # type: ignore[arg-type]


def write_packed(path: Path, count: int, resolution: int, seed: int = 0, identities: np.ndarray | None = None) -> Path:
    """Write a packed dataset of smooth random images, by default all of one person who is not held out."""
    coarse = Stream(seed, "test-images").uniform(np.arange(count), 4 * 4 * 3).reshape(count, 4, 4, 3)
    factor = resolution // 4
    images = (np.repeat(np.repeat(coarse, factor, axis=1), factor, axis=2) * 255).astype(np.uint8)
    with PackedWriter(path, resolution=resolution, capacity=count) as writer:
        writer.write(0, images)
        writer.finish(identities=np.ones(count, np.int32) if identities is None else identities)
    return path


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep features in a folder of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACEGAN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


@pytest.fixture(scope="session")
def packed16(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed dataset of 50 images of 16 px."""
    return write_packed(tmp_path_factory.mktemp("data") / "packed16", 50, 16)


def untrained(folder: Path, packed: Path, name: str, **changes: object) -> Path:
    """Return a run that saw no image: its first snapshot has every file of a model."""
    schedule = Schedule(images=0, score_count=0)
    train([packed], folder, small_recipe(name, **changes), batch=8, schedule=schedule, precision="float32", threads=1)
    return folder


@pytest.fixture(scope="session")
def style_run(tmp_path_factory: pytest.TempPathFactory, packed16: Path) -> Path:
    return untrained(tmp_path_factory.mktemp("style") / "run", packed16, "style-s", ema_halflife=0)


@pytest.fixture(scope="session")
def dcgan_run(tmp_path_factory: pytest.TempPathFactory, packed16: Path) -> Path:
    return untrained(tmp_path_factory.mktemp("dcgan") / "run", packed16, "dcgan")


@pytest.fixture(scope="session")
def shipped() -> Model:
    return facegan.load("celeba64")


@pytest.fixture(scope="session")
def style_model(style_run: Path) -> Model:
    return facegan.load(style_run)
