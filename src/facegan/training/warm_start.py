"""A new run that begins with the weights of another: a fork goes on with all of it, a warm start takes the weights."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from facegan.config import RecipeConfig, RunConfig
from facegan.config_changes import differences, table_of
from facegan.errors import UserError
from facegan.networks import build_discriminator, build_generator
from facegan.networks.widening import widen
from facegan.runs.folder import RunFolder
from facegan.runs.snapshot import SnapshotInfo, load_discriminator, load_generator
from facegan.training.engine import Engine
from facegan.training.execution_plan import ExecutionPlan
from facegan.training.state import TrainingState, adaptive_of, state_of

_SCALED = ("generator.mapping_lr_multiplier",)
"""May change: the stored weights are scaled by it."""
_ADDED = ("discriminator.feature_heads",)
"""May change where the optimizers are fresh: the seed makes heads that are not stored, and stored ones may go."""
_WIDENED = ("generator.width", "generator.max_channels", "discriminator.width", "discriminator.max_channels")
"""May grow where the optimizers are fresh, in networks that can be widened."""
_REFINED = ("generator.fine_layer", "discriminator.fine_block")
"""May be added where the optimizers are fresh: it is 0 at first."""


@dataclass(frozen=True, kw_only=True)
class InitialWeights:
    """What a new run begins with in place of random weights: a fork, an init, or neither."""

    fork: SnapshotInfo | None = None
    """A snapshot to go on from, optimizers, clock and all."""
    init: SnapshotInfo | None = None
    """A model whose weights to begin with."""
    keep_nimg: bool = False
    """Whether the clock goes on from ``init``'s."""
    fresh_discriminator: bool = False
    """Whether to take the generator of ``init`` only."""

    def __post_init__(self) -> None:
        if self.init is None and (self.keep_nimg or self.fresh_discriminator):
            flag = "--keep-nimg" if self.keep_nimg else "--fresh-discriminator"
            raise UserError(f"{flag} says how to begin with a model's weights: it needs --init MODEL")

    @property
    def source(self) -> SnapshotInfo | None:
        """Whose weights they are."""
        return self.fork or self.init

    def run_with_data(self, data: str) -> RunFolder | None:
        """Return the run that this begins with, if its data has this content hash."""
        if (source := self.source) is None or source.run_config().data != data:
            return None
        parent = RunFolder(source.path.absolute().parent.parent)
        return parent if parent.exists() else None

    def first_nimg(self, config: RunConfig) -> int:
        """Return where the clock of a run that begins so stands at its start."""
        return self.fork.nimg if self.fork is not None else config.start_nimg

    def sentence(self, warmup: int) -> str:
        """Return what the user is told of it."""
        if self.fork is not None:
            return f"forked from {self.fork.path}"
        if self.init is None:
            return ""
        network = "generator" if self.fresh_discriminator else "weights"
        clock = f" and its clock, {self.init.nimg:,} images" if self.keep_nimg else ""
        return f"begins with the {network} of {self.init.path}{clock}; the learning rates rise over {warmup:,} images"

    def check(self, recipe: RecipeConfig) -> None:
        """Refuse settings whose networks (or, for a fork, optimizers) are not the source's.

        Raises:
            UserError: a table of the settings that differ.
        """
        if (source := self.source) is None:
            return
        if self.init is not None and not self.fresh_discriminator and "discriminator.safetensors" not in source.sha256:
            raise UserError(
                f"--init: {source.path} has a generator only: add --fresh-discriminator, or give the run that it is of"
            )
        own = source.run_config().recipe
        kept = ["network", "resolution", "latent_size", "generator."]
        kept += [] if self.fresh_discriminator else ["discriminator."]
        kept += ["generator_optimizer.name", "discriminator_optimizer.name", "generator_start"] if self.fork else []
        free = _SCALED if self.fork else (*_SCALED, *_ADDED, *_grown(own, recipe))
        changed = [row for row in differences(own, recipe) if row[0].startswith(tuple(kept)) and row[0] not in free]
        changed += _momentum_changed(own, recipe) if self.fork else []
        if changed:
            more = " (--init may give style networks more channels and fine layers)" if own.network == "style" else ""
            size = "" if own.resolution == recipe.resolution else f" and data of {own.resolution} px"
            trained = f"it was trained with --recipe {own.name} at {own.resolution} px"
            trained += f", so give that recipe{size}, or leave"
            if own.name == recipe.name and not size:
                trained = f"it is a {own.name} with settings of its own, so leave"
            raise UserError(
                f"{'--fork' if self.fork else '--init'}: {source.path} does not fit what is asked for: {trained} "
                f"--recipe and --set out to take its settings{more}; what differs:\n"
                f"{table_of(changed, 'it has', 'asked for')}"
            )

    def ancestry(self) -> dict[str, Any]:
        """Return what ``run.json`` says of it."""
        if (source := self.source) is None:
            return {}
        parent = RunFolder(source.path.absolute().parent.parent)
        before = parent.read().get("ancestry", []) if parent.exists() else []
        entry = {
            "how": "fork" if self.fork else "init",
            "fresh_discriminator": self.fresh_discriminator,
            "snapshot": str(source.path.absolute()),
            "nimg": source.nimg,
            "sha256": source.sha256,
            "config": source.config,
        }
        return {"ancestry": [entry, *before]}


def _grown(before: RecipeConfig, after: RecipeConfig) -> list[str]:
    """Return the settings by which a network has more channels or layers than before and can take over its weights."""
    if before.network != "style":
        return []
    growing = dict.fromkeys(_WIDENED, int) | dict.fromkeys(_REFINED, bool)
    changed = [row for row in differences(before, after) if row[0] in growing]
    return [name for name, old, new in changed if type(old) is type(new) is growing[name] and new > old]


def _momentum_changed(before: RecipeConfig, after: RecipeConfig) -> list[tuple[str, Any, Any]]:
    """Return SGD's momenta of which one is 0 and the other is not, as ``differences`` has them: it is kept or not."""
    changed = []
    for side in ("generator_optimizer", "discriminator_optimizer"):
        old, new = getattr(before, side), getattr(after, side)
        if old.name == new.name == "sgd" and bool(old.momentum) != bool(new.momentum):
            changed.append((f"{side}.momentum", old.momentum, new.momentum))
    return changed


def warm_start(
    info: SnapshotInfo, config: RunConfig, plan: ExecutionPlan, engine: Engine, *, fresh_discriminator: bool = False
) -> TrainingState:
    """Return a state before the first step whose weights are those that a model makes faces with, and its
    discriminator's, unless the seed is to make a fresh one; the optimizers are fresh.

    If the config's clock goes on from the model's (``start_nimg``), so does ADA's probability.

    Raises:
        UserError: the model's files are damaged, or are of other networks than the config's.
    """
    recipe, own = config.recipe, info.run_config().recipe
    generator = build_generator(recipe.network, recipe.generator_options, seed=config.seed)
    widen(load_generator(info, own, info.generator_stem), generator)
    discriminator = build_discriminator(recipe.network, recipe.discriminator_options, seed=config.seed)
    if not fresh_discriminator:
        widen(load_discriminator(info, own), discriminator)
    state = state_of(generator, discriminator, config, plan, engine)
    if config.start_nimg:
        state.nimg = config.start_nimg
        state.adaptive = adaptive_of(recipe, info.state.get("ada"))
    return state


def weights_digest(info: SnapshotInfo, *, fresh_discriminator: bool = False) -> str:
    """Return the sha256 of the weights that ``warm_start`` takes."""
    stems = [info.generator_stem] if fresh_discriminator else [info.generator_stem, "discriminator"]
    used = [info.sha256.get(f"{stem}.safetensors", "") for stem in stems]
    return hashlib.sha256("\n".join(used).encode()).hexdigest()
