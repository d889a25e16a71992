"""Batches that a thread makes ahead are those that are made when they are asked for."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from facegan.attributes import ATTRIBUTE_COUNT
from facegan.config import RunConfig
from facegan.data.packed import DataView, PackedDataset
from facegan.data.writer import PackedWriter
from facegan.randomness import Stream
from facegan.training.batches import BatchSource
from facegan.training.engine import Engine
from facegan.training.execution_plan import ExecutionPlan
from facegan.training.prefetch import AHEAD, PrefetchedSource, batch_source
from facegan.training.state import new_state
from facegan.training.steps import Step, StepValues, draws_of, train_step
from tests.conftest import small_recipe

BATCH = 8


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    """Thirty random images with attributes."""
    path, count = tmp_path_factory.mktemp("data") / "thirty", 30
    pixels = Stream(0, "pixels").uniform(np.arange(count), 16 * 16 * 3).reshape(count, 16, 16, 3)
    labels = np.where(np.arange(count * ATTRIBUTE_COUNT).reshape(count, -1) % 3 == 0, 1, -1).astype(np.int8)
    with PackedWriter(path, resolution=16, capacity=count) as writer:
        writer.write(0, (pixels * 255).astype(np.uint8))
        writer.finish(attributes=labels, identities=np.ones(count, np.int32))
    return DataView([PackedDataset.open(path)])


def arguments(view, name="style-s", dtype=torch.float32, **changes):
    recipe = small_recipe(name, **({"attributes": True, "flip": True} | changes if name == "style-s" else changes))
    return view, RunConfig(recipe=recipe, batch=BATCH), Engine(accelerator="cpu"), dtype


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def positions(first, share=slice(None)):
    return np.arange(first, first + BATCH)[share]


@pytest.mark.parametrize("name", ["style-s", "dcgan", "classic-tanh"])
@pytest.mark.parametrize("share", [slice(None), slice(4, 8)])
def test_batches_are_the_same_in_any_order(view, name, share):
    given = arguments(view, name, torch.bfloat16)
    plain = BatchSource(*given)
    with PrefetchedSource(*given) as source:
        for first in (0, 8, 16, 24, 32, 8, 16, 640, 648, 0):  # across epochs, back as a rewind goes, and far ahead
            index_N = positions(first, share)
            wanted, found = plain.batch(index_N), source.batch(index_N)
            assert (wanted.attributes_NA is None) == (found.attributes_NA is None) == (name != "style-s")
            assert found.attributes_NA is None or torch.equal(found.attributes_NA, wanted.attributes_NA)
            assert torch.equal(found.image_NCHW, wanted.image_NCHW)
            assert found.image_NCHW.is_contiguous(memory_format=torch.channels_last)
            np.testing.assert_array_equal(found.index_N, index_N)
            drawn = draws_of(given[1].recipe, given[1].seed, index_N)
            assert {name: np.asarray(value).tolist() for name, value in found.draws.items()} == {
                name: np.asarray(value).tolist() for name, value in drawn.items()
            }


@pytest.mark.parametrize("changes", [
    {}, {"augment": "diffaugment"}, {"fakes": "training"}, {"generator_batch": "joint"}, {"loss": "hinge", "r2": 0.0},
])  # fmt: skip
def test_a_step_with_draws_made_ahead_is_the_same(view, changes, monkeypatch):
    given = arguments(view, **changes)
    recipe, ends = given[1].recipe, []
    for made_ahead in (False, True):
        state = new_state(given[1], ExecutionPlan(precision="float32", threads=1), given[2])
        with PrefetchedSource(*given) as source:
            for first in (0, BATCH):
                batch = source.batch(positions(first))
                batch = batch if made_ahead else replace(batch, draws={})
                step = Step(recipe, 0, batch, StepValues(augment_p=0.8))
                wait_for(lambda: all(future.done() for future in source._coming.values()))
                with monkeypatch.context() as patch:
                    if made_ahead:  # nothing is left to draw
                        patch.setattr("facegan.training.steps.draw_latents", None)
                        patch.setattr("facegan.augment.augmentation_draws", None)
                    train_step(state.generator, state.discriminator, step)
        ends.append(state.generator.network.state_dict())
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_the_thread_is_ahead_fails_where_it_is_asked_and_ends(view, monkeypatch):
    given = arguments(view)
    with PrefetchedSource(*given) as source:
        source.batch(positions(0))
        wait_for(lambda: len(source._coming) == AHEAD and all(future.done() for future in source._coming.values()))

        def broken(*_):
            raise OSError("the disk is gone")

        monkeypatch.setattr(view, "images", broken)
        for number in range(1, AHEAD + 1):  # made already
            source.batch(positions(number * BATCH))
        with pytest.raises(OSError, match="the disk is gone"):
            source.batch(positions((AHEAD + 1) * BATCH))
        assert any(thread.name.startswith("facegan-batches") for thread in threading.enumerate())
    assert not any(thread.name.startswith("facegan-batches") for thread in threading.enumerate())


def test_on_a_cpu_batches_are_made_when_they_are_asked_for(view):
    assert type(batch_source(*arguments(view))) is BatchSource
