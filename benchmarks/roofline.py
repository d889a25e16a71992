"""What this machine can do at most, what a recipe asks of it, and where the time goes: python benchmarks/roofline.py.

    python benchmarks/roofline.py classic-dcgan --batch 64
    python benchmarks/roofline.py dcgan --threads 1 --forms direct

Prints the peaks of matrix products and convolutions in float32 and bfloat16 and of memory; then for each recipe the
operations of an image as the layers are defined, and as they are computed in the forms that are fastest here, the share
of the peak that a step reaches, and the share of its time that each kind of work takes.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from facegan.attributes import ATTRIBUTE_COUNT
from facegan.config import RunConfig
from facegan.config_changes import with_settings
from facegan.machine import PRECISIONS, describe_machine, keep_freed_memory
from facegan.recipes import recipe, usual_batch
from facegan.training.autotune import autotune
from facegan.training.engine import Engine
from facegan.training.execution_plan import ExecutionPlan, ExecutionRequest
from facegan.training.state import TrainingState, new_state
from facegan.training.steps import Batch, Step, StepValues, train_step

KINDS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::addmv", "aten::mv", "aten::baddbmm"),
    "convolutions": (
        "aten::mkldnn_convolution", "aten::convolution_backward", "aten::_convolution", "aten::cudnn_convolution",
    ),
    "normalisation": ("aten::native_batch_norm", "aten::native_batch_norm_backward"),
    "activations and pooling": (
        "aten::tanh", "aten::tanh_backward", "aten::leaky_relu", "aten::leaky_relu_backward", "aten::clamp_min",
        "aten::threshold_backward", "aten::max_pool2d_with_indices", "aten::max_pool2d_with_indices_backward",
    ),
    "random numbers (dropout)": (
        "aten::bitwise_xor_", "aten::bitwise_and_", "aten::bitwise_and", "aten::bitwise_right_shift",
        "aten::bitwise_or_", "aten::bitwise_left_shift_", "aten::mul", "aten::ge",
    ),
    "copies and sums": (
        "aten::copy_", "aten::fill_", "aten::add_", "aten::add", "aten::cat", "aten::sum", "aten::zero_",
    ),
    "optimisers and norms": ("aten::_fused_adam_", "aten::_fused_sgd_", "aten::linalg_vector_norm", "aten::lerp_"),
}  # fmt: skip


def seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """Return the median seconds of a call, after one to warm up."""
    work()
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def peaks() -> float:
    """Print what the machine reaches; return the operations/s of the best float32 matrix product."""
    best = 0.0
    for name, dtype in PRECISIONS.items():
        a = torch.ones(2048, 2048, dtype=dtype)
        products = 2 * 2048**3 / seconds(lambda a=a: a @ a)
        x = torch.ones(64, 128, 32, 32, dtype=dtype).to(memory_format=torch.channels_last).requires_grad_()
        weight = torch.ones(128, 128, 5, 5, dtype=dtype).to(memory_format=torch.channels_last).requires_grad_()
        flops = 2 * 64 * 16 * 16 * 128 * 128 * 25
        forward = flops / seconds(lambda x=x, w=weight: F.conv2d(x.detach(), w.detach(), stride=2, padding=2))
        both = 3 * flops / seconds(lambda x=x, w=weight: F.conv2d(x, w, stride=2, padding=2).sum().backward())
        print(
            f"{name:9} TFLOP/s: matrix product {products / 1e12:.3f}, convolution forward {forward / 1e12:.3f}, "
            f"with backward {both / 1e12:.3f}"
        )
        best = max(best, products)
    block = torch.ones(25_000_000)
    target = torch.empty_like(block)
    print(f"memory: {2 * block.nbytes / seconds(lambda: target.copy_(block)) / 1e9:.1f} GB/s read and written")
    return best


def cycle_of(config: RunConfig, plan: ExecutionPlan, engine: Engine) -> tuple[TrainingState, Callable[[], None]]:
    """Return a state, and a function that takes its steps from one with penalties to the next."""
    state, batch = new_state(config, plan, engine), config.batch
    size = config.recipe.resolution
    real = torch.ones(batch, 3, size, size, dtype=state.discriminator.dtype).to(memory_format=torch.channels_last)
    attributes = torch.ones(batch, ATTRIBUTE_COUNT, dtype=real.dtype) if config.recipe.attributes else None

    def cycle() -> None:
        for number in range(config.recipe.penalty_every):
            step = Step(config.recipe, 0, Batch(np.arange(batch), real, attributes), StepValues(penalties=number == 0))
            metrics = train_step(state.generator, state.discriminator, step)
        metrics["G_loss"].item()

    return state, cycle


def operations(config: RunConfig, plan: ExecutionPlan, engine: Engine) -> float:
    """Return the floating-point operations of one image's share of a step, as counted while some run."""
    _, cycle = cycle_of(config, plan, engine)
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = Nowhere()  # modules' hooks cannot be there where a penalty takes a gradient of a gradient
    with counter:
        cycle()
    return counter.get_total_flops() / (config.batch * config.recipe.penalty_every)


class Nowhere(contextlib.nullcontext[None]):
    """In place of what tells a counter of operations which module it is in."""

    parents = ("Global",)


def report(name: str, arguments: argparse.Namespace, peak: float, engine: Engine) -> None:
    """Print the operations, the rate, the share of the peak, and where the time goes."""
    settings = with_settings(recipe(name, arguments.resolution), arguments.set)
    config = RunConfig(recipe=settings, batch=arguments.batch or usual_batch(name))
    plan, _ = autotune(
        config, ExecutionRequest(precision=arguments.precision, threads=arguments.threads, conv=arguments.forms), engine
    )
    plain = autotune(config, ExecutionRequest(precision="float32", threads=arguments.threads, conv="plain"), engine)[0]
    as_defined, as_computed = operations(config, plain, engine), operations(config, plan, engine)
    _, cycle = cycle_of(config, plan, engine)
    rate = config.batch * settings.penalty_every / seconds(cycle)
    print(f"\n{name} at {arguments.resolution} px, batch {config.batch}, {plan.precision}")
    print(f"  forms: {dict(plan.generator)} {dict(plan.discriminator)}")
    print(f"  GFLOP an image: {as_defined / 1e9:.2f} as defined, {as_computed / 1e9:.2f} as computed")
    print(
        f"  {rate:.1f} images/s: {as_computed * rate / 1e12:.3f} TFLOP/s, {as_computed * rate / peak:.0%} of the best "
        f"matrix product; as many as {as_defined * rate / 1e12:.3f} TFLOP/s of the definition"
    )
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        cycle()
    spent: Counter[str] = Counter()
    for event in profiler.key_averages():
        kind = next((kind for kind, names in KINDS.items() if event.key in names), "everything else")
        spent[kind] += event.self_cpu_time_total
    for kind, microseconds in spent.most_common():
        print(f"  {microseconds / sum(spent.values()):6.1%}  {kind}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="*", default=["classic-tanh", "classic-dcgan", "dcgan", "style-s"])
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--batch", type=int, help="default: the recipe's own")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--forms", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--set", action="append", default=[], help="change a field of the recipe")
    arguments = parser.parse_args()
    keep_freed_memory()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    engine = Engine(accelerator="cpu")
    print(", ".join(f"{name} {value}" for name, value in describe_machine().items()))
    peak = peaks()
    for name in arguments.recipe:
        report(name, arguments, peak, engine)


if __name__ == "__main__":
    main()
