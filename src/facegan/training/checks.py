"""What is refused before a training begins: settings that cannot work, and those of another run."""

from __future__ import annotations

from pathlib import Path

import torch

from facegan.config import RecipeConfig, RunConfig
from facegan.config_changes import differences, table_of
from facegan.data.packed import DataView
from facegan.errors import UserError
from facegan.machine import describe_machine, other_machine
from facegan.networks import build_pair
from facegan.networks.layers import BatchNorm
from facegan.networks.style_layers import MinibatchDeviation
from facegan.runs.folder import RunFolder
from facegan.training.engine import Engine
from facegan.training.execution_plan import ExecutionRequest
from facegan.training.run_settings import run_config
from facegan.training.warm_start import InitialWeights


def refuse_before_start(
    folder: RunFolder,
    config: RunConfig,
    requested: ExecutionRequest,
    initial: InitialWeights,
    *,
    labelled: bool,
    processes: int = 1,
) -> None:
    """Refuse what cannot work, before anything is made; ``labelled``: whether faces have attributes to learn.

    Raises:
        UserError: what it is, and why.
    """
    try:
        str(folder.path).encode()
    except UnicodeEncodeError:  # TensorBoard and safetensors take only names that can
        raise UserError(f"--run {folder.path}: this name is not UTF-8; give another one, or set PYTHONUTF8=1") from None
    if folder.path.exists() and not folder.exists() and _is_strange(folder.path):
        raise UserError(
            f"{folder.path} exists and is no run; choose a new folder for --run, facegan does not write into it"
        )
    initial.check(config.recipe)
    refuse_impossible(config.recipe, config.batch, labelled=labelled)
    if folder.list_snapshots():
        _refuse_other_settings(folder, config, requested, processes)
        _refuse_other_start(folder, initial)


def _is_strange(path: Path) -> bool:
    """Return whether a path holds anything that a run of ours would not have left."""
    own = {".lock", "samples", "snapshots"}
    return not path.is_dir() or any(
        child.name not in own and not child.name.startswith(".run") for child in path.iterdir()
    )


def refuse_impossible(recipe: RecipeConfig, batch: int, *, labelled: bool) -> None:
    """Refuse settings that cannot work together; ``batch``: images of one process's step.

    Raises:
        UserError: which they are, and why.
    """
    with torch.device("meta"):
        modules = list(build_pair(recipe, seed=None).discriminator.modules())
    penalties = [name for name in ("r1", "r2", "gradient_penalty") if getattr(recipe, name)]
    without = "" if recipe.loss == "wasserstein" else "leave it out, or "
    if penalties and any(isinstance(module, BatchNorm) for module in modules):
        raise UserError(
            f"{penalties[0]}={getattr(recipe, penalties[0]):g} needs D's gradient at each image alone, and the "
            f"discriminator of {recipe.name} has batch normalisation, which makes every logit depend on all images of "
            f"the batch: {without}take the recipe style-s or classic-tanh"
        )
    groups = [module.group for module in modules if isinstance(module, MinibatchDeviation)]
    if groups and batch % groups[0]:
        raise UserError(
            f"--batch: {batch} images for each process; the discriminator of {recipe.name} looks at groups of "
            f"{groups[0]}, so choose a multiple of it"
        )
    if recipe.attributes and not any(hasattr(module, "embedding") for module in modules):
        raise UserError(f"attributes=true: the networks of {recipe.name} know no attributes; take style-s")
    if recipe.attributes and not labelled:
        raise UserError(
            "attributes=true needs attributes to learn, and the data has none: prepare it with list_attr_celeba, or "
            "leave them out with --set attributes=false"
        )


def refuse_other_process(view: DataView, config: RunConfig, engine: Engine, *, labelled: bool) -> None:
    """Refuse what this one of several processes cannot work with; every process looks for itself.

    Raises:
        UserError: its data are others, or the batch cannot be split.
    """
    if view.content_hash != config.data:
        raise UserError(
            f"the faces here ({', '.join(str(dataset.path) for dataset in view.datasets)}) are not those of process 0: "
            f"content hash {view.content_hash[:12]} here, {config.data[:12]} there; copy the same packed folders to "
            "every host"
        )
    batch, many = config.batch, engine.world_size
    if batch % many:
        fitting = [str(number) for number in range(1, batch + 1) if batch % number == 0][:6]
        raise UserError(
            f"--batch {batch} cannot be split over {many} processes: choose a multiple of {many}, or start "
            f"{', '.join(fitting[:-1])} or {fitting[-1]} processes"
        )
    refuse_impossible(config.recipe, batch // many, labelled=labelled)


def _refuse_other_start(folder: RunFolder, initial: InitialWeights) -> None:
    """Refuse to fork into a run that began elsewhere."""
    if initial.fork is None:
        return
    first = (folder.read().get("ancestry") or [{}])[0]
    if first.get("how") != "fork" or first.get("sha256") != initial.fork.sha256:
        raise UserError(
            f"{folder.path} exists and did not begin with {initial.fork.path}; to go on with it, name it with --run "
            "and leave --fork out"
        )


def _refuse_other_settings(folder: RunFolder, config: RunConfig, requested: ExecutionRequest, processes: int) -> None:
    """Refuse to go on with a run under other settings than its own.

    Raises:
        UserError: a table of those that differ.
    """
    contents, old = folder.read(), run_config(folder)
    assert old is not None
    try:
        plan = {"forms": "direct", **contents["choices"]}
        threads, precision = int(plan["threads"]), str(plan["precision"])
        other = other_machine(
            contents["machine"], describe_machine(requested.accelerator), threads=threads, precision=precision
        )
    except (KeyError, TypeError, ValueError):
        raise folder.damaged() from None
    changed = differences(old, config)
    if other is None and contents.get("processes", 1) == processes:
        asked = contents.get("asked")  # on fewer cores than that, the plan has fewer threads
        allowed = [plan, asked if isinstance(asked, dict) else {}]
        changed += [
            (name, plan.get(name), new)
            for name, new in requested.named().items()
            if all(new != values.get(name) for values in allowed)
        ]
    if changed:
        raise UserError(
            f"{folder.path} was begun with other settings; repeat its own, begin another run, or go on from here "
            f"under the new ones with --fork NEWRUN:\n{table_of(changed, 'the run has', 'asked for')}"
        )
