"""What was found wrong with the files, and what was done about it: ``preflight.json`` and one table."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.table import Table

Action = Literal["converted", "set aside", "noted"]
NOTES_LISTED = 1000
"""Notes of one kind that ``preflight.json`` lists; all are counted, and what was done to an image is always listed."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one file.

    ``action`` says what was done: ``converted`` and kept, ``set aside`` and left out, or only ``noted``.
    """

    file: str
    kind: str
    reason: str
    action: Action
    of: str | None = None
    """The file whose copy it is."""


@dataclass
class Preflight:
    """Everything found in one source: ``examined`` images of which ``kept`` are in the dataset."""

    source: str
    examined: int = 0
    kept: int = 0
    problems: list[Problem] = field(default_factory=list)
    counts: Counter[tuple[str, Action]] = field(default_factory=Counter)

    def add(self, problems: Iterable[Problem]) -> None:
        """Count each problem, and list it unless it is a note of a kind with many already."""
        for problem in problems:
            key = (problem.kind, problem.action)
            self.counts[key] += 1
            if problem.action != "noted" or self.counts[key] <= NOTES_LISTED:
                self.problems.append(problem)

    def count(self, action: Action) -> int:
        """Return how many problems met with ``action``."""
        return sum(number for (_, met_with), number in self.counts.items() if met_with == action)

    def save(self, file: Path) -> None:
        """Write ``preflight.json``."""
        document = {
            "source": self.source,
            "examined": self.examined,
            "kept": self.kept,
            "counts": [
                {"kind": kind, "action": action, "count": number} for (kind, action), number in self.counts.items()
            ],
            "notes_listed_per_kind": NOTES_LISTED,
            "problems": [
                {name: value for name, value in asdict(problem).items() if value is not None}
                for problem in self.problems
            ],
        }
        file.write_text(json.dumps(document, indent=1) + "\n", "utf-8")

    def table(self) -> Table:
        """Return one table with a row for each kind of problem: how many, what was done, and the first of them."""
        from rich.table import Table
        from rich.text import Text

        first: dict[tuple[str, Action], Problem] = {}
        for problem in self.problems:
            first.setdefault((problem.kind, problem.action), problem)
        table = Table(title=f"preflight: {self.kept:,} of {self.examined:,} images kept", title_justify="left")
        table.add_column("found")
        table.add_column("files", justify="right")
        table.add_column("done")
        table.add_column("for example")
        order = {"set aside": 0, "converted": 1, "noted": 2}
        for (kind, action), number in sorted(self.counts.items(), key=lambda item: (order[item[0][1]], -item[1])):
            example = first[kind, action]
            table.add_row(Text(kind), f"{number:,}", action, Text(f"{example.file}: {example.reason}"))
        return table
