"""Our side of a benchmark: the steps of ``facegan train``, or the faces of ``facegan sample``, in a process of its own.

    python facegan_side.py train classic-dcgan 64 --batch 64 --set generator_batch=alone
    python facegan_side.py sample dcgan 64 --batch 256

Prints what it chose, then reads a number of steps a line from standard input and answers with the seconds they took.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from facegan.attributes import ATTRIBUTE_COUNT
from facegan.config import RunConfig
from facegan.config_changes import with_settings
from facegan.machine import keep_freed_memory
from facegan.networks import build_generator
from facegan.recipes import recipe
from facegan.sampling.sampler import Sampler
from facegan.training.autotune import autotune
from facegan.training.ema import update_ema
from facegan.training.engine import Engine
from facegan.training.execution_plan import ExecutionRequest
from facegan.training.state import new_state
from facegan.training.steps import Batch, Step, StepValues, train_step


def training(arguments: argparse.Namespace) -> Callable[[int], None]:
    """Return a function of the number of steps: both networks, and the average where the recipe has one."""
    keep_freed_memory()
    engine, batch = Engine(accelerator="auto"), arguments.batch
    settings = with_settings(recipe(arguments.recipe, arguments.resolution), arguments.set)
    config = RunConfig(recipe=settings, batch=batch)
    plan, _ = autotune(
        config, ExecutionRequest(precision=arguments.precision, threads=arguments.threads, conv=arguments.forms), engine
    )
    print(f"{plan.precision}, {plan.threads} threads, {plan.generator | plan.discriminator}", flush=True)
    state = new_state(config, plan, engine)
    real = torch.rand(batch, 3, arguments.resolution, arguments.resolution, device=engine.device) * 2 - 1
    real = real.to(dtype=state.discriminator.dtype, memory_format=torch.channels_last)

    attributes = real.new_ones(batch, ATTRIBUTE_COUNT) if settings.attributes else None

    def run(count: int) -> None:
        for _ in range(count):
            values = StepValues(penalties=state.nimg // batch % settings.penalty_every == 0)
            images = Batch(np.arange(state.nimg, state.nimg + batch), real, attributes)
            metrics = train_step(state.generator, state.discriminator, Step(settings, 0, images, values))
            if state.average is not None:
                update_ema(state.average, state.generator.network, 0.99)
            state.nimg += batch
        metrics["G_loss"].item()

    return run


def sampling(arguments: argparse.Namespace) -> Callable[[int], None]:
    """Return a function of the number of times to make a batch of faces, latents and uint8 pixels included."""
    config = recipe(arguments.recipe, arguments.resolution)
    keep_freed_memory()
    sampler = Sampler(build_generator(config.network, config.generator_options, seed=0).eval(), config)
    print("float32", flush=True)

    def run(count: int) -> None:
        for number in range(count):
            sampler.sample(arguments.batch, seed=number)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "sample"])
    parser.add_argument("recipe")
    parser.add_argument("resolution", type=int)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--forms", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--set", action="append", default=[])
    arguments = parser.parse_args()
    run = (training if arguments.what == "train" else sampling)(arguments)
    run(2)
    print("ready", flush=True)
    for line in sys.stdin:
        started = time.perf_counter()
        run(int(line))
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main()
