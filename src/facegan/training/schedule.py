"""When something is due, as a function of images seen and never of the planned length."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from facegan.config import Milestones, RecipeConfig
from facegan.errors import UserError

ON_COLLAPSE = ("warn", "rewind", "stop")
"""What can be done about a suspected collapse."""
USUAL_IMAGES = 2_000_000
"""Of a run of which nothing says how long it is to be."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long to train and how often to look. None of it changes what is learned, but ``on_collapse``."""

    images: int | None = None
    """Stop when the discriminator has seen this many real images; None: never, or as ``more_images`` says."""
    more_images: int | None = None
    """Where ``images`` is None: stop when it has seen this many more than the run began with; None: never."""
    minutes: float | None = None
    """Stop this process after this time; None: never."""
    log_every: int = 1280
    sample_every: int = 5000
    snapshot_every: int = 20000
    keep: int = 3
    """How many of the newest snapshots are kept, beside the one with the best quick score."""
    keep_every: int = 0
    """Also keep the first snapshot within every interval of this many images; 0: none."""
    score_count: int = 2000
    """Faces of each snapshot's quick score, 2 or more; 0: no score, and the best snapshot is the newest."""
    on_collapse: Literal["warn", "rewind", "stop"] = "warn"
    """What to do about a suspected collapse."""

    def __post_init__(self) -> None:
        if self.on_collapse not in ON_COLLAPSE:
            raise UserError(f"--on-collapse {self.on_collapse}: choose {', '.join(ON_COLLAPSE)}")
        if self.score_count < 0 or self.score_count == 1:
            raise UserError(f"--score-faces {self.score_count}: give 2 or more, or 0 for no score")
        if self.minutes is not None and not 0 < self.minutes < 1e6:
            raise UserError(f"--minutes {self.minutes:g}: give a time above 0 and below a million minutes")
        if not 1 <= self.keep <= 10**6:
            raise UserError(f"--keep {self.keep}: keep 1 to a million snapshots")

    def counted_from(self, first_nimg: int) -> Schedule:
        """Return the schedule of a run that began at ``first_nimg`` images: with ``images``, if it is to end at all."""
        if self.images is not None or self.more_images is None:
            return self
        return replace(self, images=first_nimg + self.more_images)

    def expected_end(self, nimg: int, rate: float | None) -> int | None:
        """Return about how many images this call ends at, begun at ``nimg``, at ``rate`` images/s; None: not known."""
        ends = [] if self.images is None else [max(nimg, self.images)]
        if self.minutes is not None and rate is not None:
            ends.append(nimg + round(rate * self.minutes * 60))
        return min(ends, default=None)

    def seconds_left(self, nimg: int, rate: float, seconds: float) -> float | None:
        """Return the time to the end at this rate (images/s), ``seconds`` after the start; None if there is no end."""
        ends = [] if self.images is None else [(self.images - nimg) / rate]
        return min(ends if self.minutes is None else [*ends, self.minutes * 60 - seconds], default=None)


def is_due(nimg: int, batch: int, every: int) -> bool:
    """Return whether the step that ended at ``nimg`` passed a multiple of ``every`` images (never, if that is 0)."""
    return every > 0 and nimg // every != (nimg - batch) // every


def grid_name(nimg: int, batch: int, images: int) -> str:
    """Return the grid's file name, ``epoch{E}-{step}.png``: step = batches done within epoch E."""
    return f"epoch{nimg // images}-{nimg % images // batch}.png"


def value_at(milestones: Milestones, nimg: int, default: float = 1.0) -> float:
    """Return the value of a schedule after ``nimg`` images: linear between milestones, constant outside.

    An empty one is ``default`` everywhere.
    """
    if not milestones:
        return default
    images, values = zip(*milestones, strict=True)
    return float(np.interp(nimg, images, values))


def lr_factor(recipe: RecipeConfig, nimg: int, *, warmup: int = 0, start_nimg: int = 0) -> float:
    """Return the factor of the learning rates after ``nimg`` images.

    It rises from 0 to 1 over the ``warmup`` images after ``start_nimg``; after ``lr_decay_start`` images, unless those
    are 0, it falls as 1 / sqrt(nimg), so that chance in a batch moves the weights less and less; and
    ``lr_schedule`` multiplies it.
    """
    since, steady = nimg - start_nimg, recipe.lr_decay_start
    rising = 1.0 if since >= warmup else since / warmup
    decay = math.sqrt(steady / nimg) if 0 < steady < nimg else 1.0
    return rising * decay * value_at(recipe.lr_schedule, nimg)
