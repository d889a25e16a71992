"""Work shared out to processes that survive a crash of one of them, and never survive their parent."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Generic, TypeVar

from facegan.errors import UserError

Share = TypeVar("Share")
Answer = TypeVar("Answer")
_SHARES_AHEAD = 2
"""Shares given to a process before it answers, so that it never waits for the next one."""


@dataclass
class _Worker(Generic[Share]):
    process: SpawnProcess
    connection: Connection
    shares: deque[Share]
    ready: bool = False


def in_processes(
    work: Callable[[Share], Answer],
    shares: Iterable[Share],
    count: int,
    after_crash: Callable[[Share, int | None], tuple[list[Answer], list[Share]]],
) -> Iterator[Answer]:
    """Yield ``work(share)`` of every share, in any order, from ``count`` processes; with 1, from this one.

    ``after_crash(share, exit code)`` is asked when a process dies at work: it returns answers to give instead, and
    shares to try again. However the iteration ends, no process is left behind.

    Raises:
        OSError: one that ``work`` raised; beside it, it may raise ``MemoryError`` only.
        UserError: no process can be started.
    """
    waiting = deque(shares)
    if count <= 1:
        yield from map(work, waiting)
        return
    workers = [_start(work) for _ in range(min(count, len(waiting)))]
    try:
        while waiting or any(worker.shares for worker in workers):
            for worker in workers:
                while worker.ready and waiting and len(worker.shares) < _SHARES_AHEAD:
                    worker.shares.append(waiting.popleft())
                    _send(worker)
            spoken = wait([worker.connection for worker in workers])
            for place, worker in enumerate(workers):
                if worker.connection not in spoken:
                    continue
                try:
                    answer: Any = worker.connection.recv()
                except (EOFError, ConnectionError):
                    yield from _bury(worker, waiting, after_crash)
                    workers[place] = _start(work)
                    continue
                if isinstance(answer, OSError):
                    raise answer
                if worker.ready:
                    worker.shares.popleft()
                    yield answer
                worker.ready = True
    finally:
        for worker in workers:
            worker.connection.close()
            worker.process.terminate()
        for worker in workers:
            worker.process.join()


def _start(work: Callable[[Share], Any]) -> _Worker[Share]:
    # spawn, not fork: a forked process inherits locks that a thread of the parent may hold for ever.
    context = multiprocessing.get_context("spawn")
    connection, their_connection = context.Pipe()
    process = context.Process(target=_run, args=(work, their_connection), daemon=True)
    process.start()
    their_connection.close()
    return _Worker(process, connection, deque())


def _send(worker: _Worker[Any]) -> None:
    with suppress(ConnectionError):  # it died: the end of its connection will say so
        worker.connection.send(worker.shares[-1])


def _bury(
    worker: _Worker[Share],
    waiting: deque[Share],
    after_crash: Callable[[Share, int | None], tuple[list[Answer], list[Share]]],
) -> Iterator[Answer]:
    worker.connection.close()
    worker.process.join()
    if not worker.ready:
        raise UserError(
            "no further process can be started: a script that uses several must do so under "
            "`if __name__ == '__main__':`, or ask for one with workers=1"
        )
    if worker.shares:
        answers, again = after_crash(worker.shares.popleft(), worker.process.exitcode)
        waiting.extend(again)
        waiting.extend(worker.shares)
        yield from answers


def _run(work: Callable[[Any], Any], connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its processes
    connection.send(None)
    while True:
        try:
            share = connection.recv()
        except EOFError:  # the parent is gone
            return
        try:
            answer = work(share)
        except OSError as error:
            answer = error
        except MemoryError:
            answer = OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        try:
            connection.send(answer)
        except BrokenPipeError:
            return
