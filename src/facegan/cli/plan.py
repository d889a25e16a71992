"""``facegan plan``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from facegan.cli import options
from facegan.errors import UserError

if TYPE_CHECKING:
    from facegan.planning.plan import RecipePlan

_SCORE = (
    "The quick score is the Frechet distance between 2,000 faces and the data, in what attributes-net sees; lower is "
    "better.\nfacegan's own runs are what it is expected from: docs/plan-and-doctor.md."
)


def plan(
    data: options.PackedData,
    budget: Annotated[str, Option(help="Time to train, such as 90s, 45m, 2h or 1d.")] = "2h",
    recipe: Annotated[
        list[str] | None, Option(help=f"Only this one (repeatable): {options.RECIPES}; default: every one that fits.")
    ] = None,
    batch: Annotated[int | None, Option(help="Real images in each step; default: the recipe's usual ones.")] = None,
    settings: options.Settings = None,
    threads: options.Threads = None,
    accelerator: Annotated[str, Option(help="auto, cpu or cuda; one GPU is measured.")] = "auto",
    run: Annotated[Path | None, Option(help="Folder for the run in the command; default: runs/RECIPE.")] = None,
    measure: Annotated[str, Option(help="Time to measure in all, about.")] = "60s",
    as_json: options.Json = False,
) -> None:
    """Say what a time of training gives on this machine, before it is spent.

    Trains each recipe that fits for some seconds, each in a process of its own: images/s, memory, disk, the images
    that the budget gives, the quality to expect by then from kept runs, and the command. One recipe alone is measured
    as its run will compute; of many, the rate is rough. Nothing is kept.

    \b
    facegan plan data/celeba64
    facegan plan data/celeba64 --recipe style-s --budget 10m
    facegan plan data/celeba64 --recipe dcgan --recipe classic-tanh --batch 32 --budget 1d --json
    """
    from facegan.durations import seconds_of

    seconds, measuring = seconds_of(budget, "--budget"), seconds_of(measure, "--measure")
    if accelerator not in ("auto", "cpu", "cuda"):
        raise UserError(f"--accelerator {accelerator}: choose auto, cpu or cuda")
    options.check_between("--threads", threads, 1, 1024)
    options.check_between("--batch", batch, 2, 65536)
    from facegan.planning.plan import PlanRequest, make_plan, other_work

    asked = PlanRequest(
        data=data, budget=seconds, recipes=recipe or (), settings=settings or (), batch=batch,
        threads=threads, accelerator=accelerator, run=run, measuring=measuring,
    )  # fmt: skip
    busy = other_work()
    known, scored, told = 0, False, False

    def say(name: str) -> None:
        nonlocal told
        if as_json:
            return
        if busy >= 0.5 and not told:
            typer.echo(f"Other work wants {busy:.1f} cores now: what is measured holds while it goes on.\n")
        told = True
        typer.echo(f"measuring {name} ...", err=True)

    for one in make_plan(asked, say):
        known += not one.reason
        scored |= one.expected is not None and one.expected.score is not None
        if as_json:
            typer.echo(json.dumps({"event": "plan", **one.to_dict()}))
        else:
            typer.echo("\n".join(_lines(one, seconds)) + "\n")
    if scored and not as_json:
        typer.echo(_SCORE)
    if not known:
        raise typer.Exit(1)


def _lines(one: RecipePlan, budget: float) -> list[str]:
    """Return what people see of a recipe's plan."""
    from facegan.durations import duration_text

    head = f"{one.recipe} at {one.resolution} px, batch {one.batch}"
    if one.reason or one.costs is None or one.measured is None or one.expected is None:
        return [f"{head}: {one.reason}"]
    costs, measured = one.costs, one.measured
    memory = "" if measured.memory is None else f", {measured.memory / 1e6:,.0f} MB of memory"
    if measured.gpu_gib is not None:
        memory += f", {measured.gpu_gib:.1f} GiB of the GPU's"
    disk = "" if one.disk is None else f", {one.disk / 1e6:,.0f} MB of disk"
    threads = f"{measured.threads} thread{'s' if (measured.threads or 0) > 1 else ''}"
    score, quality = one.expected, "not known"
    if score.score is not None:
        quality = f"quick score {score.score:.3g}"
    if score.low is not None and score.high is not None:
        quality += f" ({score.low:.3g} to {score.high:.3g} for nine of ten runs)"
    until = ", ".join(f"{images:,} in {duration_text(seconds)}" for images, seconds in one.marks)
    begin, end = duration_text(costs.before), duration_text(costs.after)
    return [
        head,
        f"  speed    {costs.images_per_s:.3g} images/s ({measured.device}, {threads}){memory}{disk}",
        f"  {duration_text(budget):<8} {one.images:,} images; {begin} before the clock begins, {end} after it",
        f"  quality  {quality}; {score.trust}",
        f"  images   {until}",
        *(f"  note     {note}" for note in one.notes),
        f"  {one.command}",
    ]
