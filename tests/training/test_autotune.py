"""What a run settles by measuring when it begins."""

import pytest
import torch

from facegan import machine
from facegan.config import RunConfig
from facegan.networks import build_pair
from facegan.recipes import recipe
from facegan.training import autotune
from facegan.training.engine import Engine
from facegan.training.execution_plan import ExecutionRequest
from tests.conftest import small_recipe


@pytest.mark.parametrize(
    ("rates", "threads"),
    [({12: 40, 6: 41}, 12), ({12: 10, 6: 20, 3: 30, 1: 25}, 3), ({12: 10, 6: 20, 3: 30, 1: 40}, 1)],
)
def test_fewer_threads_where_they_are_faster(monkeypatch, rates, threads):
    before = torch.get_num_threads()
    monkeypatch.setattr(autotune, "usable_cores", lambda: 12)
    monkeypatch.setattr(autotune, "trial_rate", lambda config, chosen, engine: rates[torch.get_num_threads()])
    config = RunConfig(recipe=recipe("dcgan", 16), batch=4)
    requested = ExecutionRequest(precision="float32", conv="direct")
    try:
        chosen, _ = autotune.autotune(config, requested, Engine(accelerator="cpu"))
    finally:
        torch.set_num_threads(before)
    assert chosen.threads == threads


@pytest.mark.parametrize(("lacks", "measured"), [(True, {"float32"}), (False, {"float32", "bfloat16"})])
def test_bfloat16_is_not_tried_where_there_are_no_units_for_it(monkeypatch, lacks, measured):
    monkeypatch.setattr(autotune, "lacks_bfloat16", lambda: lacks)
    monkeypatch.setattr(autotune, "trial_rate", lambda config, chosen, engine: 1.0)
    config = RunConfig(recipe=small_recipe("dcgan"), batch=4)
    chosen, seconds = autotune.autotune(config, ExecutionRequest(threads=1, conv="direct"), Engine(accelerator="cpu"))
    assert set(seconds) == measured
    assert chosen.precision == "float32" or not lacks


@pytest.mark.parametrize(
    ("flags", "lacks"),
    [
        ("fpu avx2", True),
        ("fpu avx2 avx512f avx512_bf16", False),
        ("fpu avx2 amx_bf16", False),
        ("asimd bf16", False),
        (None, False),
    ],
)
def test_what_a_processor_lacks(monkeypatch, flags, lacks):
    monkeypatch.setattr(machine, "_processor_line", lambda name: flags)
    assert machine.lacks_bfloat16() is lacks


def test_a_precision_that_does_not_fit_is_not_taken(monkeypatch):
    def rate(_config, plan, _engine):
        if plan.precision == "float32":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return 100.0

    monkeypatch.setattr(autotune, "trial_rate", rate)
    config = RunConfig(recipe=small_recipe("dcgan"), batch=8)
    pair, engine = build_pair(config.recipe, seed=None), Engine(accelerator="cpu")
    plan, _ = autotune._on_gpu(config, pair, "auto", 1, "auto", engine)
    assert (plan.precision, plan.images_per_s) == ("bfloat16", 100.0)
    with pytest.raises(torch.OutOfMemoryError):
        autotune._on_gpu(config, pair, "float32", 1, "auto", engine)
