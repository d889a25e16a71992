"""The fastest execution plan on this machine, by measuring: precision, threads, and the convolutions' algorithms."""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from facegan.config import RunConfig
from facegan.cores import usable_cores
from facegan.errors import is_out_of_memory
from facegan.machine import PRECISIONS, fast_16bit_precision, lacks_bfloat16, synchronize, use_deterministic_kernels
from facegan.networks import Pair, build_pair
from facegan.networks.conv_algorithms import DIRECT, PLAIN
from facegan.networks.conv_autotune import fastest, measure_algorithms, same_algorithm
from facegan.training.engine import Engine
from facegan.training.execution_plan import ExecutionPlan, ExecutionRequest
from facegan.training.state import new_state
from facegan.training.steps import Batch, Step, StepValues, train_step

_BATCH = 16
"""Images on which a layer's algorithms are measured."""
_TRIAL_STEPS = 3
_WARM_STEPS, _GPU_STEPS = 3, 10
"""Steps on a GPU before the clock is looked at, while its library tries its algorithms, and between two looks."""
_FASTER = 1.05
"""Fewer threads are chosen where they are faster by this factor."""
_SHORT_SHARE = 0.8
"""16 bits are chosen where they need at most this share of float32's time."""


def autotune(config: RunConfig, requested: ExecutionRequest, engine: Engine) -> tuple[ExecutionPlan, dict[str, Any]]:
    """Return the plan for a run, and the seconds it rests on. What is requested as "auto" is measured.

    Threads that are None: as many as there are cores, or half of them, a quarter ... where other work on this machine
    makes fewer faster. Leaves torch's number of threads set.
    """
    precision, threads, conv = requested.precision, requested.threads, requested.conv
    pair = build_pair(config.recipe, seed=None)
    if threads is None:
        threads = max(1, usable_cores() // engine.local_size)
        if threads > 1 and engine.world_size == 1 and engine.device.type == "cpu":
            threads = _fastest_threads(config, pair, engine)
    torch.set_num_threads(threads)
    if engine.device.type == "cuda":
        if requested.deterministic:
            use_deterministic_kernels()
        return _on_gpu(config, pair, precision, threads, conv, engine)
    seconds: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    if conv == "auto" or precision == "auto":
        candidates = ["float32"] if lacks_bfloat16() else ["float32", "bfloat16"]
        for name in candidates if precision == "auto" else [precision]:
            seconds[name] = _seconds_of_layers(config, pair, PRECISIONS[name], engine, direct_only=conv != "auto")
    if precision == "auto":
        total = {name: _best_total(of_side) for name, of_side in seconds.items()}
        short = total.get("bfloat16", math.inf)
        precision = "bfloat16" if short < _SHORT_SHARE * total["float32"] else "float32"
    if conv == "auto":
        G, D = (fastest(seconds[precision][side]) for side in ("generator", "discriminator"))
        plan = ExecutionPlan(precision=precision, threads=threads, conv=conv, generator=G, discriminator=D)
    else:
        plan = _uniform(pair, conv, precision=precision, threads=threads, conv=conv)
    del pair
    if engine.world_size == 1:
        plan = dataclasses.replace(plan, images_per_s=trial_rate(config, plan, engine))
    return plan, seconds


def _uniform(pair: Pair, algorithm: str, *, precision: str, threads: int, conv: str) -> ExecutionPlan:
    """Return a plan in which every convolution is computed by the same algorithm."""
    G, D = (same_algorithm(network, algorithm) for network in (pair.generator, pair.discriminator))
    return ExecutionPlan(precision=precision, threads=threads, conv=conv, generator=G, discriminator=D)


def _seconds_of_layers(
    config: RunConfig, pair: Pair, dtype: torch.dtype, engine: Engine, *, direct_only: bool
) -> dict[str, dict[str, dict[str, float]]]:
    """Return the seconds of each algorithm, by network and layer."""
    recipe, seconds = config.recipe, {}
    latent_1Z, image_1CHW = torch.ones(1, recipe.latent_size), torch.ones(1, 3, recipe.resolution, recipe.resolution)
    for side, network, example in (
        ("generator", pair.generator, latent_1Z),
        ("discriminator", pair.discriminator, image_1CHW),
    ):
        network.to(device=engine.device, dtype=dtype)
        _fill(network)
        example = example.to(device=engine.device, dtype=dtype)
        seconds[side] = measure_algorithms(network, example, min(_BATCH, config.batch), direct_only=direct_only)
    return seconds


def _on_gpu(
    config: RunConfig, pair: Pair, precision: str, threads: int, conv: str, engine: Engine
) -> tuple[ExecutionPlan, dict[str, Any]]:
    """Return the plan on a GPU, where layers that are measured one by one would say little of a step: it starts its
    small ones while large ones are under way. Whole steps of the run's own batch are tried in each precision.

    Where several processes would have to step together, 16 bits are taken.
    """
    asked = _uniform(pair, PLAIN if conv == PLAIN else DIRECT, precision="float32", threads=threads, conv=conv)
    short, rates = fast_16bit_precision(engine.device), dict[str, float]()
    if engine.world_size == 1:
        for name in ("float32", short) if precision == "auto" else [precision]:
            try:
                rates[name] = trial_rate(config, dataclasses.replace(asked, precision=name), engine)
            except RuntimeError as error:
                if precision != "auto" or name == short or not is_out_of_memory(error):
                    raise
                rates[name] = 0.0
                torch.cuda.empty_cache()
    if precision == "auto":
        faster = not rates or _SHORT_SHARE * rates[short] > rates["float32"]
        precision = short if faster else "float32"
    chosen = dataclasses.replace(asked, precision=precision, images_per_s=rates.get(precision))
    return chosen, {"images_per_s": rates}


def _fastest_threads(config: RunConfig, pair: Pair, engine: Engine) -> int:
    """Return all cores, or half of them, or half again, as long as a trial of fewer threads is faster.

    Threads wait for each other many times in a step: where another program holds one core of two, both together reach
    a third of what one thread does.
    """
    config = dataclasses.replace(config, batch=min(_BATCH, config.batch))
    threads = fewer = usable_cores()
    best = 0.0
    while True:
        torch.set_num_threads(fewer)
        plan = _uniform(pair, DIRECT, precision="float32", threads=fewer, conv=DIRECT)
        rate = trial_rate(config, plan, engine)
        if rate < _FASTER * best:
            return threads
        threads, best = fewer, rate
        if threads == 1:
            return 1
        fewer = threads // 2


def _best_total(of_side: Mapping[str, Mapping[str, Mapping[str, float]]]) -> float:
    return sum(min(of_algorithm.values()) for layers in of_side.values() for of_algorithm in layers.values())


def _fill(network: nn.Module) -> None:
    """Give a network that only a clock will look at ordinary numbers, which no seed of the run has a part in."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            values = torch.empty(parameter.shape).normal_(0, 0.02, generator=generator)
            parameter.copy_(values)


def trial_rate(config: RunConfig, plan: ExecutionPlan, engine: Engine) -> float:
    """Return the images a second of a few steps with throw-away networks."""
    state = new_state(config, plan, engine, empty=True)
    for learner in (state.generator, state.discriminator):
        _fill(learner.network)
        learner.refresh()
    recipe, batch = config.recipe, config.batch
    real_NCHW = torch.zeros(batch, 3, recipe.resolution, recipe.resolution, device=engine.device)
    real_NCHW = real_NCHW.to(dtype=state.discriminator.dtype, memory_format=torch.channels_last)

    def seconds(penalties: bool) -> float:
        step = Step(recipe, config.seed, Batch(np.arange(batch), real_NCHW), StepValues(penalties=penalties))
        if engine.device.type == "cuda":
            return seconds_on_gpu(step)
        taken = []
        for _ in range(_TRIAL_STEPS + 1):
            started = time.perf_counter()
            train_step(state.generator, state.discriminator, step)["G_loss"].item()
            taken.append(time.perf_counter() - started)
        return statistics.median(taken[1:])

    def seconds_on_gpu(step: Step) -> float:
        for count in (_WARM_STEPS, _GPU_STEPS):  # as in a training, steps are not waited for
            synchronize(engine.device)
            started = time.perf_counter()
            for _ in range(count):
                train_step(state.generator, state.discriminator, step)
            synchronize(engine.device)
        return (time.perf_counter() - started) / count

    every = recipe.penalty_every
    return round(batch * every / (seconds(True) + (every - 1) * seconds(False) if every > 1 else seconds(True)), 2)
