"""What becomes of a failure: one sentence and an exit code."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from facegan.errors import UserError, is_out_of_memory, system_failure


class Terminated(KeyboardInterrupt):
    """SIGTERM, or SIGHUP of a terminal that closes; what Ctrl-C cleans up is cleaned up after it too."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def heeding_signals() -> Iterator[None]:
    """Raise ``Terminated`` where SIGTERM or SIGHUP would end the process without a word; a second one does."""

    def raise_once(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise Terminated(number)

    wanted = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        wanted = []
    heeded = [number for number in wanted if signal.getsignal(number) == signal.SIG_DFL]
    for number in heeded:
        signal.signal(number, raise_once)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, signal.SIG_DFL)


def stopped(stop: KeyboardInterrupt) -> tuple[str, int]:
    """Return the sentence and the exit code of an interrupted command."""
    number = stop.number if isinstance(stop, Terminated) else signal.SIGINT
    said = "interrupted" if number == signal.SIGINT else f"stopped by {signal.Signals(number).name}"
    return ", ".join([said, *getattr(stop, "__notes__", [])]), 128 + number


def as_mistake(error: BaseException, command: str, given: Mapping[str, Any]) -> UserError | None:
    """Return what to tell of a failure of the system, or None if it is none.

    ``command`` and ``given``: which command failed, and its arguments by name.
    """
    if is_out_of_memory(error):
        return UserError(f"not enough memory for facegan {command}; {_less(command, given)}")
    if isinstance(error, OSError):
        return UserError(system_failure(error))
    if isinstance(error, UnicodeEncodeError):
        text = str(error.object)[error.start : error.end]
        return UserError(f"{text!r} cannot be written as {error.encoding}; rename the file or folder that has it")
    if isinstance(error, ValueError) and "null byte" in str(error):
        return UserError("a path holds a null byte, which no file can have in its name; give another path")
    return None


_FEWEST = {"evaluate": 1000, "audit": 1000, "report": 1000}
"""Faces below which a measurement says nothing."""


def _less(command: str, given: Mapping[str, Any]) -> str:
    """Return what would need less memory."""
    from facegan.config_changes import parse_count

    elsewhere = "or close other programs"
    if given.get("device", "cpu") not in ("auto", "cpu"):
        elsewhere = "or compute with --device cpu"
    if command == "prepare":
        workers = given.get("workers")
        fewer = f"--workers {max(1, workers // 2)}" if workers else "--workers 1"
        return f"give {fewer} or a --resolution below {given.get('resolution')}, {elsewhere}"
    if "count" in given:
        count = parse_count(given["count"])
        most = 64 if command == "sample" and not str(given.get("out")).endswith(".png") else count
        half = max(_FEWEST.get(command, 1), min(count, most) // 2)
        if half < count:
            return f"try --count {half} in place of {count}, {elsewhere}"
    if given.get("batch"):
        return f"try --batch {max(2, given['batch'] // 2)} in place of {given['batch']}, {elsewhere}"
    return elsewhere.removeprefix("or ") + ", then try again"
