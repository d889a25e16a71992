"""Where a new run's first weights come from, if its seed does not make them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from facegan.config import RecipeConfig, RunConfig, from_dict
from facegan.errors import UserError
from facegan.runs.folder import RunFolder
from facegan.runs.snapshot import INFO_FILE, SnapshotInfo
from facegan.settings import differences, table_of

_SCALED = ("generator.mapping_lr_multiplier",)
"""May change: the stored weights are scaled by it."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """At most one of the two."""

    fork: SnapshotInfo | None = None
    """A snapshot to go on from, optimisers, clock and all."""
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
        """Refuse settings whose networks (or, for a fork, optimisers) are not the source's.

        Raises:
            UserError: a table of the settings that differ.
        """
        source = self.fork or self.init
        if source is None:
            return
        own = from_dict(RunConfig, source.config, str(source.path / INFO_FILE)).recipe
        kept = ["network", "resolution", "latent_size", "generator."]
        kept += [] if self.fresh_discriminator else ["discriminator."]
        kept += ["generator_optimizer.name", "discriminator_optimizer.name", "generator_start"] if self.fork else []
        changed = [row for row in differences(own, recipe) if row[0].startswith(tuple(kept)) and row[0] not in _SCALED]
        if changed:
            raise UserError(
                f"{'--fork' if self.fork else '--init'}: {source.path} does not fit what is asked for:\n"
                f"{table_of(changed, 'it has', 'asked for')}"
            )

    def ancestry(self) -> dict[str, Any]:
        """Return what ``run.json`` says of it."""
        source = self.fork or self.init
        if source is None:
            return {}
        parent = RunFolder(source.path.parent.parent)
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
