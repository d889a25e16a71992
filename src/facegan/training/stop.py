"""A request to stop, by Ctrl-C or another signal, that lets the step in progress be finished."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class StopRequest:
    """Remembers the first SIGINT, SIGTERM or SIGHUP."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def _remember(self, number: int, _frame: object) -> None:
        self.signal = number
        for listened in self._before:
            signal.signal(listened, signal.SIG_DFL)  # a second one, of whichever kind, ends the process at once

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen inside the block (signals reach the main thread only)."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        wanted = [signal.SIGINT, signal.SIGTERM]
        # A terminal that closes; under nohup it is ignored, and stays so.
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            wanted.append(signal.SIGHUP)
        self._before = {number: signal.getsignal(number) for number in wanted}
        for listened in wanted:
            signal.signal(listened, self._remember)
        try:
            yield
        finally:
            for number, handler in self._before.items():
                signal.signal(number, handler)
