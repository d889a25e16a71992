"""A request to stop, by Ctrl-C or another signal, that lets the step in progress be finished."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class StopRequest:
    """Remembers the first SIGINT, SIGTERM or SIGHUP."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def _remember(self, number: int, _frame: object) -> None:
        self.signal = number
        signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once

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
        before = {number: signal.signal(number, self._remember) for number in wanted}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
