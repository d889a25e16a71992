"""What faces are to be made, and making any stretch of them: each the same, whichever stretch it is in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from facegan.api import Model
from facegan.config_changes import differences, setting_text
from facegan.errors import UserError
from facegan.provenance import Provenance
from facegan.sampling.sampler import INTERNAL_BATCH

Progress = Callable[[int, int], None]
"""Called with the faces made so far, and all that are to be made."""
Tell = Callable[[str], None]
"""Called with a sentence for the user."""


class Face(NamedTuple):
    """One face of a job; ``place`` counts from 0, ``number`` from the job's first."""

    place: int
    number: int
    image_HWC: np.ndarray
    """uint8 [R, R, 3]."""
    said_A: np.ndarray | None
    """float32 [40]: the attributes that the generator was told; None of a model without."""
    score: float | None
    """The discriminator's, 0 to 1, if the job asks for it."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """Faces ``first`` to ``first + count - 1`` of a seed; the arguments are those of ``Model.batches``.

    Raises:
        UserError: as ``Model.batches``.
    """

    model: Model
    count: int
    seed: int = 0
    first: int = 0
    attributes: Mapping[str, float] = field(default_factory=dict)
    truncation: float = 1.0
    labels: str = "prior"
    scores: bool = False

    def __post_init__(self) -> None:
        self.model.batches(self.count, first=self.first, scores=self.scores, **self._asked)
        if self.scores:
            _ = self.model.discriminator  # refused now if there is none

    @cached_property
    def _asked(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "attributes": dict(sorted(self.attributes.items())),
            "truncation": self.truncation,
            "labels": self.labels,
        }

    @cached_property
    def provenance(self) -> Provenance:
        """What made the faces."""
        return self.model.provenance(self.count, first=self.first, **self._asked)

    @cached_property
    def digits(self) -> int:
        """Digits of each face's number in names: all have the same width."""
        return max(6, len(str(self.first + self.count - 1)))

    @cached_property
    def settings(self) -> dict[str, Any]:
        """All that decides what the faces are, as JSON values: two jobs of the same settings make the same faces."""
        known = self.provenance.to_dict()
        del known["statement"], known["digital_source_type"]
        scorer = self.model.info.sha256.get("discriminator.safetensors") if self.scores else None
        return known | {"resolution": self.model.resolution, "scored_by": scorer}

    def faces(self, start: int, stop: int) -> Iterator[Face]:
        """Yield the faces at places ``start`` to ``stop - 1``.

        They are made in the batches in which the whole job would make them, so that they have the same bytes.
        """
        for begin in range(start - start % INTERNAL_BATCH, stop, INTERNAL_BATCH):
            size = min(INTERNAL_BATCH, self.count - begin)
            number_N = np.arange(self.first + begin, self.first + begin + size)
            said_NA = self.model.labels(self.seed, number_N, dict(self._asked["attributes"]), labels=self.labels)
            ((image_NHWC, score_N),) = self.model.batches(
                size, first=self.first + begin, scores=self.scores, **self._asked
            )
            for place in range(max(start, begin), min(stop, begin + size)):
                at = place - begin
                yield Face(
                    place,
                    self.first + place,
                    image_NHWC[at],
                    None if said_NA is None else said_NA[at],
                    None if score_N is None else float(score_N[at]),
                )


def refuse_other_settings(found: Any, wanted: dict[str, Any], what: str) -> None:
    """Refuse what was made with other settings.

    Raises:
        UserError: they differ; each that does is named.
    """
    unlike = list(differences(found, wanted)) if isinstance(found, dict) else [("settings", found, wanted)]
    if unlike:
        said = "; ".join(f"{name} {setting_text(old)}, now {setting_text(new)}" for name, old, new in unlike)
        raise UserError(
            f"{what} was made with other settings ({said}): repeat the first command, choose another --out (for more "
            "faces of the seed, with --first), or add --force to make it anew"
        )
