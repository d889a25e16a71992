"""How much of a training step goes into gathering its batch: python benchmarks/batch_gathering.py DATA.

Times the gather (order, memory-mapped read, flips, conversion) and the whole step in turn, and prints their ratio.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

from facegan import recipes
from facegan.config import RunConfig
from facegan.data.packed import DataView, PackedDataset
from facegan.machine import describe_machine
from facegan.training.autotune import autotune
from facegan.training.batches import BatchSource
from facegan.training.engine import Engine
from facegan.training.execution_plan import ExecutionRequest
from facegan.training.state import new_state
from facegan.training.steps import Step, train_step


def main() -> None:
    """Run the benchmark and print the machine, both medians and the share."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--recipe", default="dcgan", help="the recipe with the quickest step is the hardest test")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    view = DataView([PackedDataset.open(path) for path in arguments.data])
    engine = Engine()
    config = RunConfig(recipe=recipes.recipe(arguments.recipe, view.resolution), batch=arguments.batch)
    plan, _ = autotune(config, ExecutionRequest(), engine)
    state = new_state(config, plan, engine)
    source = BatchSource(view, config, engine, state.discriminator.dtype)
    gathering, stepping = [], []
    for round_number in range(arguments.rounds + 2):
        index_N = np.arange(arguments.batch) + round_number * arguments.batch
        began = time.perf_counter()
        batch = source.batch(index_N)
        gathered = time.perf_counter()
        metrics = train_step(state.generator, state.discriminator, Step(config.recipe, 0, batch))
        metrics["G_loss"].item()
        ended = time.perf_counter()
        if round_number >= 2:  # the first ones read the disk and set up the kernels
            gathering.append(gathered - began)
            stepping.append(ended - began)
    gather, step_seconds = statistics.median(gathering), statistics.median(stepping)
    print(describe_machine())
    print(f"{arguments.recipe} at {view.resolution} px, batch {arguments.batch}, {plan.precision}, {len(view):,} faces")
    print(f"gather {gather * 1e3:.2f} ms, whole step {step_seconds * 1e3:.1f} ms, share {gather / step_seconds:.2%}")


if __name__ == "__main__":
    main()
