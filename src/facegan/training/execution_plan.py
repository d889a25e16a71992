"""How a run computes: precision, threads, and an algorithm for each convolution."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from facegan.errors import UserError
from facegan.machine import PRECISIONS
from facegan.networks.conv_algorithms import DIRECT, PLAIN

ALGORITHMS = ("auto", DIRECT, PLAIN)
"""What can be asked for of convolutions: the fastest of each layer here, the library's, or as the layer is defined."""


@dataclass(frozen=True, kw_only=True)
class ExecutionRequest:
    """What a command asks of the machine; "auto" and None are measured when a run starts, or found."""

    precision: str = "auto"
    threads: int | None = None
    conv: str = "auto"
    """Convolutions: the fastest algorithm of each layer, the library's ("direct"), or as they are defined ("plain")."""
    accelerator: str = "auto"
    devices: int | None = None
    """Processes, one a GPU; None: all GPUs, or one process on the CPU."""
    deterministic: bool = False
    """Whether a GPU is to compute the same bytes every time, at whatever cost; a CPU does so anyway."""
    timeout: float = 300.0
    """Seconds that a process waits for the others."""

    def __post_init__(self) -> None:
        if self.precision not in ("auto", *PRECISIONS):
            raise UserError(f"--precision {self.precision}: choose auto, float32, bfloat16 or float16")
        if self.conv not in ALGORITHMS:
            raise UserError(f"--forms {self.conv}: choose {', '.join(ALGORITHMS)}")

    def named(self) -> dict[str, Any]:
        """Return what is not left to be measured."""
        given = {"precision": self.precision, "threads": self.threads, "forms": self.conv}
        given["deterministic"] = self.deterministic or None
        return {name: value for name, value in given.items() if value not in ("auto", None)}

    def with_stored(self, stored: Any) -> ExecutionRequest:
        """Return this request; what it leaves open is filled with a stored one, as ``named`` returned it."""
        values = (stored if isinstance(stored, dict) else {}) | self.named()
        return replace(self, **{"conv" if name == "forms" else name: value for name, value in values.items()})

    def limited_to(self, cores: int) -> ExecutionRequest:
        """Return this with no more threads than there are cores."""
        return self if self.threads is None else replace(self, threads=min(self.threads, cores))


@dataclass(frozen=True, kw_only=True)
class ExecutionPlan:
    """How a run computes. Frozen in ``run.json`` for its life, so that it can be repeated to the bit."""

    precision: str
    threads: int
    deterministic: bool = False
    """Whether a GPU computes the same bytes every time."""
    conv: str = DIRECT
    """What was asked for: auto, direct or plain."""
    generator: Mapping[str, str] = field(default_factory=dict)
    """Algorithm of each of the generator's convolutions, by its name."""
    discriminator: Mapping[str, str] = field(default_factory=dict)
    images_per_s: float | None = None
    """Rate of a few trial steps; None if none were made."""

    def to_dict(self) -> dict[str, Any]:
        """Return it under the names of ``run.json``, which has called ``conv`` forms since version 0.1.0."""
        values = dataclasses.asdict(self)
        return {"forms": values.pop("conv"), **values}

    @classmethod
    def from_dict(cls, values: Any, where: str) -> ExecutionPlan:
        """Return what ``to_dict`` gave.

        Raises:
            UserError: it is something else. ``where`` names the file.
        """
        try:
            plan = cls(**{"conv" if name == "forms" else name: value for name, value in values.items()})
            if plan.precision not in PRECISIONS or type(plan.threads) is not int or plan.threads < 1:
                raise TypeError
            dict(plan.generator), dict(plan.discriminator)
            return plan
        except (AttributeError, TypeError, ValueError):
            raise UserError(f"{where} is damaged; restore it from a copy, or train a new run") from None
