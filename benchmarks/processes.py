"""Is a training in several processes the same training? And what does talking cost?

    python benchmarks/processes.py [--recipes dcgan style-s] [--steps 24]

Every recipe is trained from the same weights on the same images, in one process, in two and in four, and in one, then
two, then one again. What is printed is how far the generator's weights are from those of one process, as a share of how
far they moved at all; beside it a control of pure rounding: one process whose convolutions are computed as they are
defined instead of by the library, or in two threads, or both; the one that is farthest. Adam divides a gradient by its
size, so that rounding near 0 becomes a whole step; SGD shows sums as they are.

Then, for two recipes at 64 px, the share of a step that a process spends in sums with the others, and the bytes that
it sends; and, reckoned from that, what eight GPUs in a box and four such boxes would spend.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

BATCH, SIDE = 16, 16
RECIPES = ("classic-tanh", "classic-dcgan", "dcgan", "style-s", "style", "style-m")
CONTROLS = (("plain", 1), ("direct", 2), ("plain", 2))
WIDTHS = {"style": {"width": 16, "max_channels": 64}, "style-m": {"width": 16, "max_channels": 96}}
"""Narrower than they are, so that all of it takes minutes."""
TIMED = {"style-s": 16, "dcgan": 64}


def recipe_of(name: str, optimizer: str, side: int = SIDE) -> Any:
    """Return a recipe with Adam as it has it, or SGD."""
    from facegan import recipes
    from facegan.config import OptimizerConfig

    made = recipes.recipe(name, side)
    if name in WIDTHS and side == SIDE:
        made = replace(made, generator=made.generator | WIDTHS[name], discriminator=made.discriminator | WIDTHS[name])
    if made.attributes:
        made = replace(made, attributes=False)
    if optimizer == "sgd":
        slow = OptimizerConfig(name="sgd", learning_rate=0.01)
        made = replace(made, generator_optimizer=slow, discriminator_optimizer=slow)
    return made


def work(task: dict[str, Any]) -> None:
    """Train what a task says, in as many processes; the child processes of Fabric come here too."""
    from facegan.training import train as training
    from facegan.training.execution_plan import ExecutionRequest
    from facegan.training.schedule import Schedule

    if task["what"] == "time":
        return time_steps(task)
    for name in task["recipes"]:
        for optimizer in ("adam", "sgd"):
            training.train(
                [Path(task["data"])], Path(task["folder"]) / f"{name}-{optimizer}-{task['run']}",
                recipe_of(name, optimizer), start=training.Start(batch=BATCH),
                schedule=Schedule(images=task["steps"] * BATCH, score_count=0, sample_every=10**9, log_every=10**9),
                requested=ExecutionRequest(
                    precision="float32", threads=task["threads"], conv=task["conv"], accelerator="cpu",
                    devices=task["processes"],
                ),
            )  # fmt: skip
    return None


def time_steps(task: dict[str, Any]) -> None:
    """Take steps of a recipe, and print the seconds of one, those in sums, and the bytes."""
    import numpy as np
    import torch
    import torch.distributed as dist

    from facegan import collectives
    from facegan.config import RunConfig
    from facegan.training.engine import Engine
    from facegan.training.execution_plan import ExecutionPlan
    from facegan.training.messages import Messages
    from facegan.training.state import new_state
    from facegan.training.steps import Batch, Step, StepValues, train_step

    torch.set_num_threads(1)
    engine = Engine(accelerator="cpu", devices=task["processes"])
    spent, sent = [0.0], [0]
    finish, reduce, gather = collectives.Pending.finish, dist.all_reduce, dist.all_gather

    def timed_finish(self: Any) -> None:
        started = time.perf_counter()
        finish(self)
        spent[0] += time.perf_counter() - started

    def counted_reduce(tensor: Any, *rest: Any, **options: Any) -> Any:
        sent[0] += tensor.numel() * tensor.element_size()
        return reduce(tensor, *rest, **options)

    def counted_gather(rows: Any, tensor: Any, *rest: Any, **options: Any) -> Any:
        sent[0] += tensor.numel() * tensor.element_size()
        return gather(rows, tensor, *rest, **options)

    collectives.Pending.finish = timed_finish  # type: ignore[method-assign]
    dist.all_reduce, dist.all_gather = counted_reduce, counted_gather
    for name, batch in TIMED.items():
        config = RunConfig(recipe=recipe_of(name, "adam", 64), batch=batch)
        state = new_state(config, ExecutionPlan(precision="float32", threads=1), engine)
        messages, share = Messages(engine), batch // engine.world_size
        real_NCHW = torch.zeros(share, 3, 64, 64).to(memory_format=torch.channels_last)
        for number in range(task["steps"] + 1):
            if number == 1:
                spent[0], sent[0], started = 0.0, 0, time.perf_counter()
            step = Step(
                config.recipe, 0, Batch(np.arange(share), real_NCHW), StepValues(penalties=False), messages.to_send()
            )
            train_step(state.generator, state.discriminator, step)
        seconds = (time.perf_counter() - started) / task["steps"]
        if engine.is_main:
            values = {"recipe": name, "seconds": seconds, "sums": spent[0] / task["steps"]}
            print(json.dumps(values | {"bytes": sent[0] / task["steps"]}), flush=True)


def start(task: dict[str, Any]) -> str:
    """Run a task in a process of its own; return what it prints."""
    environment = os.environ | {"OMP_NUM_THREADS": "2", "FACEGAN_TASK": json.dumps(task)}
    done = subprocess.run(
        [sys.executable, __file__], env=environment, capture_output=True, text=True, cwd=ROOT, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def generator_of(run: Path, nimg: int) -> dict[str, Any]:
    from facegan.runs.snapshot import read_info, read_tensors

    return read_tensors(read_info(run / "snapshots" / f"nimg-{nimg:09d}"), "generator")


def apart(a: dict[str, Any], b: dict[str, Any], first: dict[str, Any]) -> float:
    """Return |a - b| / |b - first| over all weights."""
    difference = sum(float((a[name] - b[name]).double().square().sum()) for name in a)
    moved = sum(float((b[name] - first[name]).double().square().sum()) for name in a)
    return (difference / moved) ** 0.5


def compare(recipes: list[str], steps: int) -> None:
    from tests.conftest import write_packed

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = write_packed(folder / "data", 64, SIDE)
        common = {"what": "train", "recipes": recipes, "folder": name, "data": str(data)}
        direct = {"conv": "direct", "threads": 1, "steps": steps}
        for run, processes in {"one": 1, "two": 2, "four": 4}.items():
            start(common | direct | {"run": run, "processes": processes})
        for number, (conv, threads) in enumerate(CONTROLS):
            start(common | direct | {"run": f"control{number}", "processes": 1, "conv": conv, "threads": threads})
        for part, processes in ((steps // 3, 1), (2 * steps // 3, 2), (steps, 1)):
            start(common | direct | {"run": "changing", "processes": processes, "steps": part})
        columns = (*(f"control{number}" for number in range(len(CONTROLS))), "two", "four", "changing")
        print(f"G after {steps} steps of {BATCH} images, apart from one process's, as a share of the way it went")
        print(f"{'recipe':14} {'':5} {'control':>9} {'2':>9} {'4':>9} {'1-2-1':>9}   most / control")
        for recipe in recipes:
            for optimizer in ("adam", "sgd"):
                states = {
                    run: generator_of(folder / f"{recipe}-{optimizer}-{run}", steps * BATCH)
                    for run in ("one", *columns)
                }
                first = generator_of(folder / f"{recipe}-{optimizer}-one", 0)
                values = [apart(states[run], states["one"], first) for run in columns]
                control, *values = max(values[: len(CONTROLS)]), *values[len(CONTROLS) :]
                row = " ".join(f"{value:9.2e}" for value in (control, *values))
                print(f"{recipe:14} {optimizer:5} {row}   {max(values) / control:.2f}", flush=True)


def communication(steps: int) -> None:
    print("\na step at 64 px, float32, 1 thread a process, on this machine")
    print(f"{'recipe':10} {'processes':>9} {'batch':>6} {'step':>9} {'in sums':>9} {'MB sent':>9}")
    for processes in (1, 2, 4):
        for line in start({"what": "time", "processes": processes, "steps": steps}).splitlines():
            found = json.loads(line)
            share = f"{found['sums'] / found['seconds']:.1%}"
            print(
                f"{found['recipe']:10} {processes:9} {TIMED[found['recipe']]:6} {found['seconds'] * 1e3:6.0f} ms "
                f"{share:>9} {found['bytes'] / 1e6:9.2f}",
                flush=True,
            )
    reckon()


def reckon() -> None:
    """Print what many GPUs would spend in sums. Reckoned, not measured."""
    from facegan.networks import build_pair
    from facegan.recipes import recipe

    print("\nreckoned, not measured: a ring sends 2 (P - 1) / P times the gradients, at 150 GB/s in a box (NVLink) and")
    print("at 1.25 GB/s between boxes (10 Gbit/s Ethernet; 12.5 GB/s with 100 Gbit/s), and 15 microseconds a sum")
    for name in ("style", "style-m"):
        pair = build_pair(recipe(name, 64), seed=None)
        size = sum(p.numel() * 4 for net in (pair.generator, pair.discriminator) for p in net.parameters())
        sums = -(-size // (4 << 20)) + 2
        for what, processes, speed in (
            ("8 GPUs, 1 box", 8, 150e9), ("4 x 8 GPUs, 10 Gbit/s", 32, 1.25e9), ("4 x 8 GPUs, 100 Gbit/s", 32, 12.5e9),
        ):  # fmt: skip
            seconds = 2 * (processes - 1) / processes * size / speed + sums * 15e-6
            print(f"{name:10} {size / 1e6:6.1f} MB  {what:24} {seconds * 1e3:7.2f} ms a step")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="*", default=RECIPES)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--timed-steps", type=int, default=8, help="0: no timing")
    arguments = parser.parse_args()
    if arguments.recipes:
        compare(list(arguments.recipes), arguments.steps)
    if arguments.timed_steps:
        communication(arguments.timed_steps)


if __name__ == "__main__":
    if task := os.environ.get("FACEGAN_TASK"):
        work(json.loads(task))
    else:
        main()
