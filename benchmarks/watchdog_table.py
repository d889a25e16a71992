"""What the watchdog sees: planted failures, each with the images until its alarm, and healthy runs, which raise none.

    python benchmarks/watchdog_table.py DATA --work DIR
    python benchmarks/watchdog_table.py --healthy RUN RUN ...

Without ``--healthy``: trains a small dcgan for 12,000 images, then begins one run after the other from its snapshot,
plants a failure into it and goes on for 12,000 images. DATA: a packed dataset of 32 px.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facegan import recipes
from facegan.config import RecipeConfig
from facegan.config_changes import with_settings
from facegan.data.packed import PackedDataset
from facegan.data.writer import PackedWriter
from facegan.runs import incidents
from facegan.runs.folder import RunFolder
from facegan.training import steps, trainer
from facegan.training.execution_plan import ExecutionRequest
from facegan.training.schedule import Schedule
from facegan.training.train import Start, train
from facegan.training.watchdog import alarms

BATCH, HEALTHY, LIMIT, EVERY = 32, 12_000, 12_000, 960
NARROW = ["generator.width=32", "discriminator.width=32", "ema_halflife=1000"]


@dataclass(frozen=True)
class Failure:
    """Something that goes wrong, and the alarms that name it rightly."""

    name: str
    right: tuple[str, ...]
    settings: tuple[str, ...] = ()
    after_step: Callable[[Any, Any], None] | None = None
    before_step: Callable[[Any, Any], None] | None = None
    one_image: bool = False


def stop_learning(generator: Any, discriminator: Any) -> None:
    discriminator.learning_rate = 0.0


@torch.no_grad()
def zero_last_layer(generator: Any, discriminator: Any) -> None:
    for parameter in list(generator.network.parameters())[-2:]:
        parameter.zero_()


@torch.no_grad()
def poison(generator: Any, discriminator: Any) -> None:
    next(generator.network.parameters())[0, 0, 0, 0] = float("nan")


FAILURES = (
    Failure("learning rates x 100", ("loss", "not-finite", "variety", "repeats", "score"),
            settings=("generator_optimizer.learning_rate=2e-2", "discriminator_optimizer.learning_rate=2e-2")),
    Failure("D frozen", ("discriminator-fooled",), before_step=stop_learning),
    Failure("G's last layer zeroed", ("variety", "repeats"), after_step=zero_last_layer),
    Failure("NaN in one weight", ("not-finite",), after_step=poison),
    Failure("data of one image", ("data",), one_image=True),
    Failure("built to collapse: G 20 times faster, D 20 times slower",
            ("variety", "repeats", "discriminator-fooled", "score"),
            settings=("generator_optimizer.learning_rate=4e-3", "discriminator_optimizer.learning_rate=1e-5")),
)  # fmt: skip


@contextmanager
def planted(failure: Failure):
    """Inside, every step of training suffers from the failure."""
    play = steps.train_step

    def play_and_fail(generator, discriminator, step):
        if failure.before_step is not None:
            failure.before_step(generator, discriminator)
        metrics = play(generator, discriminator, step)
        if failure.after_step is not None:
            failure.after_step(generator, discriminator)
        return metrics

    trainer.train_step = play_and_fail
    try:
        yield
    finally:
        trainer.train_step = play


def write_one_image(data: Path, out: Path) -> Path:
    if not out.exists():
        image = PackedDataset.open(data).images[:1]
        with PackedWriter(out, resolution=image.shape[1], capacity=500) as writer:
            writer.write(0, np.repeat(image, 500, 0))
            writer.finish(identities=np.ones(500, np.int32))
    return out


def plant(failure: Failure, data: Path, base: Path, recipe: RecipeConfig, work: Path, schedule: Schedule) -> bool:
    """Run one failure and print its row; return whether the right alarm came."""
    run = work / f"planted-{FAILURES.index(failure)}"
    if not failure.one_image:
        recipe = with_settings(recipe, list(failure.settings))
        schedule = replace(schedule, images=HEALTHY + LIMIT)
        with planted(failure):
            train(
                [data],
                base,
                recipe,
                start=Start(batch=BATCH, fork=run),
                schedule=schedule,
                requested=ExecutionRequest(precision="float32"),
            )
    else:
        data = write_one_image(data, work / "one-image")
        train(
            [data],
            run,
            recipe,
            start=Start(batch=BATCH),
            schedule=replace(schedule, images=LIMIT),
            requested=ExecutionRequest(precision="float32"),
        )
    began = 0 if failure.one_image else HEALTHY
    found = [(entry["kind"], entry["nimg"] - began) for entry in incidents.read_incidents(RunFolder(run))]
    right = [(kind, after) for kind, after in found if kind in failure.right]
    others = ", ".join(f"{kind} {after:,}" for kind, after in found if kind not in failure.right)
    kind, after = right[0] if right else ("NONE", 0)
    print(f"| {failure.name} | {kind} | {after:,} | {others} |", flush=True)
    return bool(right)


def replay(run: Path) -> list[str]:
    """Return the alarms of a stored run's log, line by line as they would have come."""
    lines = [json.loads(line) for line in RunFolder(run).log.read_text(encoding="utf-8").splitlines()]
    lines = [line for line in lines if not line.pop("unfinished", False)]
    found = [f"{alarm.kind} at {alarm.nimg:,}" for end in range(len(lines)) for alarm in alarms(lines[: end + 1])]
    kinds = {kind: sum(kind in line for line in lines) for kind in ("D_loss", "variety", "quick_score")}
    print(f"| {run.name} | {lines[-1]['nimg']:,} images | {kinds['D_loss']} lines, {kinds['variety']} grids, "
          f"{kinds['quick_score']} scores | {', '.join(found) or 'none'} |")  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--work", type=Path, help="folder for the runs")
    parser.add_argument("--healthy", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    if arguments.healthy:
        print("| healthy run | length | looked at | alarms |\n|---|---|---|---|")
        found = [replay(run) for run in arguments.healthy]
        if any(found):
            raise SystemExit(1)
        return
    recipe = with_settings(recipes.recipe("dcgan", 32), NARROW)
    schedule = Schedule(images=HEALTHY, log_every=EVERY, sample_every=EVERY, snapshot_every=2 * EVERY, keep=1)
    base = arguments.work / "healthy"
    train(
        [arguments.data],
        base,
        recipe,
        start=Start(batch=BATCH),
        schedule=schedule,
        requested=ExecutionRequest(precision="float32"),
    )
    before = incidents.read_incidents(RunFolder(base))
    print(f"before anything was planted: {len(before)} alarms in {HEALTHY:,} images")
    print("| planted | right alarm | after images | others, after images |\n|---|---|---|---|")
    right = [plant(failure, arguments.data, base, recipe, arguments.work, schedule) for failure in FAILURES]
    if before or not all(right):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
