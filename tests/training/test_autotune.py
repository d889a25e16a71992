"""What a run settles by measuring when it begins."""

import pytest
import torch

from facegan.config import RunConfig
from facegan.recipes import recipe
from facegan.training import autotune
from facegan.training.engine import Engine
from facegan.training.execution_plan import Requested


@pytest.mark.parametrize(
    ("rates", "threads"),
    [({12: 40, 6: 41}, 12), ({12: 10, 6: 20, 3: 30, 1: 25}, 3), ({12: 10, 6: 20, 3: 30, 1: 40}, 1)],
)
def test_fewer_threads_where_they_are_faster(monkeypatch, rates, threads):
    before = torch.get_num_threads()
    monkeypatch.setattr(autotune, "usable_cores", lambda: 12)
    monkeypatch.setattr(autotune, "trial_rate", lambda config, chosen, engine: rates[torch.get_num_threads()])
    config = RunConfig(recipe=recipe("dcgan", 16), batch=4)
    requested = Requested(precision="float32", conv="direct")
    try:
        chosen, _ = autotune.autotune(config, requested, Engine(accelerator="cpu"))
    finally:
        torch.set_num_threads(before)
    assert chosen.threads == threads
