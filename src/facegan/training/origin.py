"""Where a new run's first weights come from, if its seed does not make them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from facegan.config import RecipeConfig, RunConfig, differences, from_dict, table_of
from facegan.errors import UserError
from facegan.run import RunFolder
from facegan.snapshot import INFO_FILE, SnapshotInfo


@dataclass(frozen=True, kw_only=True)
class Origin:
    """At most one of the two."""

    fork: SnapshotInfo | None = None
    """A snapshot to go on from, optimisers, clock and all."""
    init: SnapshotInfo | None = None
    """A model whose weights to begin with."""

    def sentence(self, warmup: int) -> str:
        """Return what the user is told of it."""
        if self.fork is not None:
            return f"forked from {self.fork.path}"
        if self.init is None:
            return ""
        return f"begins with the weights of {self.init.path}; the learning rates rise over {warmup:,} images"

    def check(self, recipe: RecipeConfig) -> None:
        """Refuse settings whose networks (or, for a fork, optimisers) are not the source's.

        Raises:
            UserError: a table of the settings that differ.
        """
        source = self.fork or self.init
        if source is None:
            return
        own = from_dict(RunConfig, source.config, str(source.path / INFO_FILE)).recipe
        kept = ["network", "resolution", "latent_size", "generator.", "discriminator."]
        kept += ["generator_optimizer.name", "discriminator_optimizer.name"] if self.fork else []
        changed = [row for row in differences(own, recipe) if row[0].startswith(tuple(kept))]
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
            "snapshot": str(source.path.absolute()),
            "nimg": source.nimg,
            "sha256": source.sha256,
            "config": source.config,
        }
        return {"ancestry": [entry, *before]}
