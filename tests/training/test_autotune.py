"""What a run settles by measuring when it begins."""

import pytest
import torch

from facegan import machine
from facegan.config import RunConfig
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
