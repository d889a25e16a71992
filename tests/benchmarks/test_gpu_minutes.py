"""A training that fits into the minutes that a GPU is lent: rehearsed on a CPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from facegan.runs.folder import find_snapshot

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_size_wanted_most_is_taken_where_the_time_allows_it():
    from gpu_minutes import chosen, schedule, widths

    rates = {"96": 100.0, "64": 1000.0}
    assert chosen(rates, 100, 8_000) == "96"
    assert chosen(rates, 100, 9_000) == "64"
    assert chosen(rates, 100, 1e9) == "64"
    assert schedule(1000, 100) == "lr_schedule=1@1060,0.02@1100"
    assert widths("8:16:4:12")[2:] == ["discriminator.width=4", "discriminator.max_channels=12"]
    with pytest.raises(SystemExit, match="64:384:96:512"):
        widths("64:384")


@pytest.mark.long
def test_a_widened_model_comes_back(packed16, style_run, tmp_path):
    out = tmp_path / "out"
    before = find_snapshot(style_run)
    options = before.run_config().recipe
    G, D = options.generator, options.discriminator
    size = f"{G['width'] + 2}:{G['max_channels'] + 4}:{D['width']}:{D['max_channels']}"
    words = [sys.executable, BENCHMARKS / "gpu_minutes.py", packed16, "--minutes", "0.2", "--out", out]
    words += ["--work", tmp_path / "work", "--init", style_run, "--sizes", size, "--batch", "8"]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((out / "results.json").read_text())
    assert found["weights"]["nimg"] > before.nimg and found["rates"][size] > 0
    assert found["weights"]["config"]["recipe"]["generator"]["width"] == G["width"] + 2
    assert (out / "training.png").is_file()
