"""What an examination finds: a fact, how grave it is, and its cure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

Level = Literal["ok", "note", "warning", "fault"]
LEVELS: tuple[Level, ...] = ("ok", "note", "warning", "fault")
"""From what is as it should be to what keeps work from being done, or makes its result wrong."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    topic: str
    """The part of the page it stands in: "software", "processor", "data part-a" ..."""
    sentence: str
    cure: str = ""
    """A command, a setting, or what to do; "" where nothing is to be done."""
    facts: dict[str, Any] = field(default_factory=dict)
    """The figures behind the sentence, for programs: JSON values."""

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(self.level)
        if self.level == "fault" and not self.cure:
            raise ValueError(f"a fault without a cure: {self.sentence}")


_ADVICE = re.compile(
    r"[;:,] (?=(?:give|run|prepare|choose|restore|copy|train|make|change|use|get|repeat|connect|close|unpack|check)\b)"
)


def from_error(topic: str, message: str, otherwise: str) -> Finding:
    """Return the fault that an error's message tells: ours name what is wrong, and then what to do.

    ``otherwise``: the cure where the message names none.
    """
    what, *rest = _ADVICE.split(message, maxsplit=1)
    return Finding("fault", topic, what, rest[0] if rest else otherwise)
