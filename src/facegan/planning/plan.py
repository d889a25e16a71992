"""A plan: for each recipe how fast it trains here, how far it comes in a time, what it needs, what to expect of it."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from facegan.config import RecipeConfig, to_dict
from facegan.config_changes import flatten, with_settings
from facegan.cores import usable_cores
from facegan.data.packed import DataView, PackedDataset
from facegan.errors import UserError
from facegan.files import free_bytes
from facegan.planning.curves import Expected, expect, kept_curves
from facegan.planning.forecast import Costs
from facegan.planning.measure import Measured, Subject, measure
from facegan.recipes import RECIPES, recipe, usual_batch
from facegan.runs.folder import RunFolder
from facegan.training.checks import refuse_impossible

ORDER = ("style-s", "dcgan", "style", "classic-tanh", "classic-dcgan", "style-m")
"""In which recipes are tried: those that give most in a short time first."""
MARKS = (10_000, 100_000, 1_000_000)
"""Images to which the time is told."""
_SCORED, _REFERENCE = 2_000, 20_000
"""Faces of a quick score, and images of the data that it is held against; as ``train`` has them."""
_KEPT = 3
"""Snapshots that stay, beside the best and the one that is being written."""
_LEAST = 15.0
"""Seconds that a trial has at least, once it has started."""
_ROUGH_STEPS = 5.0
"""Seconds of steps in a trial of many recipes."""
_STEPS_SHARE = 0.25
"""Share of the time to measure that a single recipe's steps have."""
_SHARE = 0.8
"""Share of its threads below which a trial was held up by other work."""
_WRITE_RATE = 100e6
"""Bytes/s at which a slow disk takes the last snapshot."""


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """What a plan is wanted for."""

    data: Sequence[Path]
    budget: float
    """Seconds of training."""
    recipes: Sequence[str] = ()
    """None: every recipe."""
    settings: Sequence[str] = ()
    batch: int | None = None
    threads: int | None = None
    accelerator: str = "auto"
    run: Path | None = None
    """Folder of the run in the command; None: runs/RECIPE."""
    measuring: float = 60.0
    """Seconds for all trials together, about."""


@dataclass(frozen=True, kw_only=True)
class RecipePlan:
    """What a recipe gives here."""

    recipe: str
    resolution: int
    batch: int
    reason: str = ""
    """Why it does not fit, or could not be measured; then nothing below is known."""
    measured: Measured | None = None
    costs: Costs | None = None
    images: int | None = None
    """Images after the budget."""
    expected: Expected | None = None
    """The quick score then."""
    marks: tuple[tuple[int, float], ...] = ()
    """(images, seconds from the command to that many)."""
    disk: int | None = None
    """Bytes of the snapshots that stay."""
    notes: tuple[str, ...] = ()
    command: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        measured = None
        if self.measured is not None:
            measured = {name: value for name, value in vars(self.measured).items() if name != "lines"}
        told = {name: value for name, value in vars(self).items() if name not in ("measured", "costs", "expected")}
        return told | {
            "measured": measured,
            "costs": None if self.costs is None else vars(self.costs),
            "expected": None if self.expected is None else vars(self.expected),
            "seconds_before": None if self.costs is None else self.costs.before,
            "seconds_after": None if self.costs is None else self.costs.after,
        }


def make_plan(asked: PlanRequest, say: Callable[[str], None] = lambda _: None) -> Iterator[RecipePlan]:
    """Yield the plan of each recipe as soon as it is known; those that cannot train on this data at all come last.

    ``say`` is told what is being measured.

    Raises:
        UserError: the data cannot be used, or a recipe or a setting is unknown.
    """
    view = DataView([PackedDataset.open(path) for path in asked.data])
    for name in asked.recipes:
        recipe(name)  # an unknown one is refused before anything is measured
    names = list(asked.recipes) or [name for name in ORDER if name in RECIPES]
    fitting, unfit = _sorted_out(asked, view, names)
    begun, free = time.monotonic(), max(1, usable_cores() - round(other_work()))  # before trials are work themselves
    for number, (config, batch) in enumerate(fitting):
        say(config.name)
        subject = Subject(
            data=asked.data, recipe=config.name, resolution=view.resolution, settings=asked.settings, batch=batch,
            penalty_every=config.penalty_every, threads=asked.threads, accelerator=asked.accelerator,
        )  # fmt: skip
        if len(fitting) == 1:
            measured = _one(subject, asked.measuring, free)
        else:
            left = asked.measuring - (time.monotonic() - begun)
            measured = _roughly(subject, max(_LEAST, left / (len(fitting) - number)), free)
        yield _planned(asked, view, config, batch, measured)
    yield from unfit


def _one(subject: Subject, limit: float, free: int) -> Measured:
    """Return what a single recipe measures: as a run would compute it, or if that takes too long, as it comes."""
    tuned = measure(subject, tuned=True, stepping=_STEPS_SHARE * limit, limit=2 * limit)
    if tuned.images_per_s is not None or tuned.error:
        return tuned
    rough = _roughly(subject, limit, free)
    return replace(rough, cut_off=rough.cut_off or tuned.cut_off)


def _roughly(subject: Subject, limit: float, free: int) -> Measured:
    """Return what a recipe measures as it comes, on the cores that other work leaves ``free``."""
    return measure(replace(subject, threads=subject.threads or free), tuned=False, stepping=_ROUGH_STEPS, limit=limit)


def _sorted_out(
    asked: PlanRequest, view: DataView, names: Sequence[str]
) -> tuple[list[tuple[RecipeConfig, int]], list[RecipePlan]]:
    """Return the recipes that can train on the data, with their batches, and those that cannot, with the reason."""
    fitting, unfit = [], []
    for name in names:
        batch = asked.batch or usual_batch(name)
        try:
            config = with_settings(recipe(name, view.resolution), list(asked.settings))
            # What faces lack in attributes is guessed when a run begins, unless the recipe forbids it.
            refuse_impossible(config, batch, labelled=view.labelled or config.pseudo_labels)
        except UserError as error:
            if list(asked.recipes) == [name]:
                raise
            unfit.append(RecipePlan(recipe=name, resolution=view.resolution, batch=batch, reason=str(error)))
            continue
        fitting.append((config, batch))
    return fitting, unfit


def _planned(asked: PlanRequest, view: DataView, config: RecipeConfig, batch: int, measured: Measured) -> RecipePlan:
    """Return what follows from what was measured of a recipe."""
    known = RecipePlan(recipe=config.name, resolution=view.resolution, batch=batch, measured=measured)
    if measured.error:
        return replace(known, reason=measured.error)
    if measured.images_per_s is None:
        return replace(
            known,
            reason=f"not measured in {measured.seconds:.0f} s: it was cut off at {measured.cut_off}; facegan plan DATA "
            f"--recipe {config.name} --measure 5m takes longer",
        )
    costs = _costs(config, view, measured)
    images = max(batch, costs.images_within(asked.budget) // batch * batch)
    disk = None if measured.snapshot_bytes is None else measured.snapshot_bytes * (_KEPT + 2)
    run = asked.run or Path("runs") / config.name
    usual = flatten(to_dict(recipe(config.name, view.resolution)))
    settings = {name: value for name, value in flatten(to_dict(config)).items() if value != usual.get(name)}
    faces = len(view)
    return replace(
        known,
        costs=costs,
        images=images,
        expected=expect(kept_curves(), config.name, view.resolution, batch, settings, faces, images),
        marks=tuple((mark, costs.before + costs.training(mark)) for mark in MARKS),
        disk=disk,
        notes=tuple(_notes(config, view, measured, disk, run)),
        command=_command(asked, config.name, run),
    )


def _costs(config: RecipeConfig, view: DataView, measured: Measured) -> Costs:
    """Return what a run of this recipe spends its time on."""
    assert measured.images_per_s is not None
    look, make = measured.look or 0.0, measured.make or 0.0
    unlabelled = _unlabelled(view) if config.attributes and config.pseudo_labels else 0
    return Costs(
        images_per_s=measured.images_per_s,
        start=measured.start or 0.0,
        reference=look * (min(len(view), _REFERENCE) + unlabelled),
        grid=64 * make,
        score=_SCORED * (make + look),
        write=(measured.snapshot_bytes or 0) / _WRITE_RATE,
    )


def _unlabelled(view: DataView) -> int:
    """Return the number of faces without any attribute."""
    places = [view.places(number) for number in range(len(view.datasets))]
    parts = zip(view.datasets, places, strict=True)
    return sum(int((dataset.attributes[row_M] == 0).all(1).sum()) for dataset, (_, row_M) in parts)


def other_work() -> float:
    """Return how many cores other work wanted in the last minute; 0 where the system does not tell."""
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):
        return 0.0


def _notes(config: RecipeConfig, view: DataView, measured: Measured, disk: int | None, run: Path) -> Iterator[str]:
    if measured.rough and measured.tuned:
        yield f"the rate is rough, since only {measured.steps} steps went by: a longer --measure sees more"
    elif measured.rough:
        yield (
            f"the rate is rough, of {measured.steps} steps: a run looks for the fastest way to compute first; "
            f"--recipe {config.name} --measure 2m does so too"
        )
    threads = measured.threads or 0
    if measured.device == "cpu" and measured.cores is not None and measured.cores < _SHARE * threads:
        yield f"other work left it {measured.cores:.2g} of {threads} cores: when that changes, so does the rate"
    if measured.look is None:
        yield "the trial was cut off before it looked at faces: the time that quick scores take is not counted"
    if config.attributes and (without := _unlabelled(view)):
        yield f"{without:,} faces have no attributes: attributes-net guesses them when the run begins"
    if RunFolder(run).exists():
        yield f"{run} is a run already, which the command goes on with: this plan is of a new one; --run names another"
    if disk is not None and disk > (free := free_bytes(run)):
        yield f"DOES NOT FIT on the disk, where {free / 1e6:,.0f} MB are free; take --keep 1, or make room"


def _command(asked: PlanRequest, name: str, run: Path) -> str:
    """Return the command that does what was planned."""
    words = ["facegan", "train", *map(str, asked.data), "--recipe", name, "--run", str(run)]
    words += ["--minutes", f"{asked.budget / 60:.10g}"]
    if asked.batch is not None:
        words += ["--batch", str(asked.batch)]
    if asked.threads is not None:
        words += ["--threads", str(asked.threads)]
    if asked.accelerator != "auto":
        words += ["--accelerator", asked.accelerator]
    for setting in asked.settings:
        words += ["--set", setting]
    return shlex.join(words)
