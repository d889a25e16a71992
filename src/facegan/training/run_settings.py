"""Which settings a command means: those that it names, and for the rest those of its run, or of the one it forks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from facegan.config import RecipeConfig, RunConfig, from_dict
from facegan.errors import UserError
from facegan.recipes import RECIPES, usual_batch
from facegan.recipes import recipe as recipe_named
from facegan.runs.folder import RunFolder, find_snapshot
from facegan.training.warm_start import InitialWeights, weights_digest

_LEAST, _GROUP = 8, 4
"""Images of each process's step: at least, and a multiple of."""
WARMUP = 10_000
"""Images over which the learning rates rise after a warm start, unless told otherwise."""


def base_recipe(
    name: str | None, resolution: int, *, run: Path, fork: Path | None = None, init: Path | None = None
) -> RecipeConfig:
    """Return the recipe that a command's settings change.

    That of the run, if it exists, or of the run that is forked; so a command need not repeat settings, and a recipe
    whose defaults have changed since can still be continued. Else the recipe called ``name``, or that of ``init``.

    Raises:
        UserError: there is nothing to go by.
    """
    own = run_config(RunFolder(fork or run))
    if own is None and fork is not None:
        own = find_snapshot(run).run_config()
    if own is None and init is not None and name is None:
        own = find_snapshot(init).run_config()
    if own is not None and name in (None, own.recipe.name):
        return own.recipe
    if name is None:
        raise UserError(f"{run} is no run yet: say how to begin it, with --recipe NAME ({', '.join(RECIPES)})")
    return recipe_named(name, resolution)


def run_data(folder: RunFolder, parent: Path | None = None) -> list[Path]:
    """Return the data that a run was begun with, or the run that ``parent`` is or is a snapshot of.

    Raises:
        UserError: there is no such run, or its ``run.json`` names no data.
    """
    if not folder.exists() and parent is not None:
        folder = RunFolder(parent if (parent / "run.json").is_file() else parent.absolute().parent.parent)
    if not folder.exists():
        raise UserError(f"{folder.path} is no run yet: give the folder of packed faces to train on")
    paths = folder.read().get("data")
    if not isinstance(paths, list) or not paths or not all(isinstance(path, str) for path in paths):
        raise folder.damaged()
    return [Path(path) for path in paths]


def run_config(folder: RunFolder) -> RunConfig | None:
    """Return the config of a run that has a snapshot, or None.

    Raises:
        UserError: ``run.json`` is damaged.
    """
    if not folder.exists() or not folder.list_snapshots():
        return None
    try:
        return from_dict(RunConfig, folder.read()["config"], str(folder.path / "run.json"))
    except (KeyError, TypeError):
        raise folder.damaged() from None


def began_at(folder: RunFolder, config: RunConfig, initial: InitialWeights) -> int:
    """Return where a run's clock stood at its start: 0, or where the model stood whose clock it goes on with."""
    if run_config(folder) is None:
        return initial.first_nimg(config)
    # A run that goes on need not be told --fork or --init again.
    before = folder.read().get("ancestry") or [{}]
    return int(before[0]["nimg"]) if before[0].get("how") == "fork" else config.start_nimg


def resolve_config(
    folder: RunFolder,
    recipe: RecipeConfig,
    initial: InitialWeights,
    *,
    data: str,
    batch: int | None,
    seed: int | None,
    warmup: int | None,
    processes: int = 1,
) -> tuple[RunConfig, str]:
    """Return the config that a command asks for; what it does not name is the run's own, or the forked run's.

    And what the user is to be told of it: of a new run in several ``processes``, that the usual batch was too small.
    """
    notice = ""
    own = run_config(folder)
    parent = initial.fork.run_config() if own is None and initial.fork is not None else own
    if batch is None:
        batch = parent.batch if parent else usual_batch(recipe.name)
        if parent is None:
            recipe, batch, notice = fitted_to(processes, recipe, batch)
    if seed is None:
        seed = parent.seed if parent else 0
    init = weights_digest(initial.init, fresh_discriminator=initial.fresh_discriminator) if initial.init else ""
    start_nimg = initial.init.nimg if initial.init is not None and initial.keep_nimg else 0
    if parent is not None and initial.init is None:
        init, start_nimg = "" if own is None else own.init, parent.start_nimg
    if own is None and initial.fork is not None and warmup not in (None, initial.fork.run_config().warmup):
        raise UserError(
            f"--warmup {warmup}: a fork goes on with its optimizers and has none; --init {initial.fork.path} "
            f"--keep-nimg begins with fresh ones and a warm-up"
        )
    if warmup is None:
        warmup = parent.warmup if parent is not None else WARMUP if initial.init is not None else 0
    config = RunConfig(
        recipe=recipe, batch=batch, seed=seed, data=data, init=init, warmup=warmup, start_nimg=start_nimg
    )
    return config, notice


def fitted_to(processes: int, recipe: RecipeConfig, batch: int) -> tuple[RecipeConfig, int, str]:
    """Return a recipe and a batch that fit so many processes, and what the user is to be told of it ("": nothing).

    Each process has eight images or more, in whole groups of four, as minibatch deviation forms them. Learning rates
    that are the recipe's own grow with the square root of the batch, as Adam's steps allow (Malladi et al. 2022).
    """
    least = _LEAST * processes
    fitting = max(least, -(-batch // (_GROUP * processes)) * _GROUP * processes)
    if fitting == batch or processes == 1:
        return recipe, batch, ""
    factor, own = (fitting / batch) ** 0.5, recipe_named(recipe.name, recipe.resolution)
    faster = {}
    for name in ("generator_optimizer", "discriminator_optimizer"):
        optimizer = getattr(recipe, name)
        if optimizer.name == "adam" and optimizer == getattr(own, name):
            faster[name] = replace(optimizer, learning_rate=float(f"{optimizer.learning_rate * factor:.3g}"))
    rates = f" and learning rates {factor:.3g} times as high" if faster else ""
    notice = (
        f"{processes} processes: a batch of {fitting} instead of {batch}{rates}, so that each has "
        f"{fitting // processes} images in a step; --batch says otherwise"
    )
    return replace(recipe, **faster), fitting, notice
