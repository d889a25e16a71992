"""What follows a training: the command line, a notebook, or nothing."""

from __future__ import annotations

from typing import Any, Protocol


class Listener(Protocol):
    """What is told about a training as it goes on."""

    def event(self, kind: str, **fields: Any) -> None:
        """Take note of something that happened: "labels", "start", "reference", "log", "grid", "snapshot", "alarm",
        "warning", "stop"."""

    def progress(self, nimg: int, target: int | None, rate: float, seconds_left: float | None = None) -> None:
        """Take note of one more step; ``rate`` in images/s, ``target`` in images."""


class NullListener:
    """A listener that does nothing."""

    def event(self, kind: str, **fields: Any) -> None: ...

    def progress(self, nimg: int, target: int | None, rate: float, seconds_left: float | None = None) -> None: ...
