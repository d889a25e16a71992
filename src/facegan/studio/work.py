"""Where a studio computes: in threads beside the server, and never with too much waiting."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from facegan.errors import UserError, brief

_Result = TypeVar("_Result")
MOST_WAITING = 64
MOST_JOBS = 4
_KEPT_SECONDS, _KEPT_HOUR = 600.0, 3600.0


class BusyError(UserError):
    """Too much is waiting already."""


@dataclass(order=True)
class _Task:
    """What waits to be computed: the cheapest comes first, among equals the earliest."""

    cost: float
    number: int
    call: Callable[[], Any] = field(compare=False)
    loop: asyncio.AbstractEventLoop = field(compare=False)
    future: asyncio.Future[Any] = field(compare=False)

    def settle(self, result: Any = None, error: Exception | None = None) -> None:
        """Tell whoever waits, in another thread."""

        def tell() -> None:
            if self.future.done():
                return
            if error is None:
                self.future.set_result(result)
            else:
                self.future.set_exception(error)

        with contextlib.suppress(RuntimeError):  # the server has ended
            self.loop.call_soon_threadsafe(tell)


class Work:
    """One thread that computes what is cheapest first: who moves a slider does not wait for who asks for hundreds.

    At most ``most_waiting`` tasks wait, so that memory stays bounded; beyond, the costliest is refused.
    """

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self._tasks: list[_Task] = []
        self._most, self._number, self._closed = most_waiting, 0, False
        self._changed = threading.Condition()
        threading.Thread(target=self._work, name="studio", daemon=True).start()

    async def run(self, function: Callable[..., _Result], *arguments: Any, cost: float = 1) -> _Result:
        """Return what ``function`` returns, computed in the thread. ``cost``: about how much there is to do.

        Raises:
            BusyError: too much that costs as much or less waits already.
        """
        loop = asyncio.get_running_loop()
        with self._changed:
            self._number += 1
            task = _Task(cost, self._number, partial(function, *arguments), loop, loop.create_future())
            heapq.heappush(self._tasks, task)
            if len(self._tasks) > self._most:
                worst = max(self._tasks)
                self._tasks.remove(worst)
                heapq.heapify(self._tasks)
                worst.settle(error=BusyError("the studio is busy: ask again in a second"))
            self._changed.notify()
        return await task.future

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._tasks and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                task = heapq.heappop(self._tasks)
            if task.future.cancelled():
                continue
            try:
                task.settle(task.call())
            except Exception as error:  # whoever asked must hear of it
                task.settle(error=error)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()


class Cancelled(Exception):  # noqa: N818
    """The studio is closing."""


@dataclass
class Job:
    """Something that takes longer than a request may."""

    id: str
    state: str = "waiting"
    """waiting, running, done or failed."""
    what: str = ""
    done: int = 0
    total: int = 0
    error: str = ""
    result: Any = None
    finished: float = field(default=0.0)


class Jobs:
    """Jobs, one after the other, in a thread of their own."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="studio-job")
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._closing = False

    def start(self, function: Callable[[Callable[[str, int, int], None]], Any]) -> Job:
        """Begin a job; ``function`` gets what it tells its progress to.

        Raises:
            BusyError: several wait already.
        """
        with self._lock:
            oldest = time.monotonic() - _KEPT_SECONDS
            self._jobs = {job.id: job for job in self._jobs.values() if not job.finished or job.finished > oldest}
            unfinished = sum(not job.finished for job in self._jobs.values())
            if unfinished >= MOST_JOBS:
                raise BusyError("the studio has several photos to do already: ask again in a minute")
            done = sorted((job for job in self._jobs.values() if job.finished), key=lambda job: job.finished)
            for job in done[: max(0, len(done) - MOST_JOBS)]:
                del self._jobs[job.id]
            job = Job(secrets.token_hex(8))
            self._jobs[job.id] = job
        self._pool.submit(self._run, job, function)
        return job

    def _run(self, job: Job, function: Callable[[Callable[[str, int, int], None]], Any]) -> None:
        def report(what: str, done: int, total: int) -> None:
            if self._closing:
                raise Cancelled
            job.what, job.done, job.total = what, done, total

        job.state = "running"
        try:
            job.result = function(report)
            job.state = "done"
        except Cancelled:
            job.state = "failed"
        except UserError as error:
            job.state, job.error = "failed", str(error)
        except Exception as error:  # whoever asked must hear of it
            job.state, job.error = "failed", f"it failed: {brief(error)}"
            logging.getLogger(__name__).exception("a job failed")
        finally:
            job.finished = time.monotonic()

    def get(self, name: str) -> Job | None:
        return self._jobs.get(name)

    def close(self) -> None:
        self._closing = True
        self._pool.shutdown(wait=False, cancel_futures=True)


class _Named(Protocol):
    @property
    def id(self) -> str: ...


_Item = TypeVar("_Item", bound=_Named)


class Kept(Generic[_Item]):
    """Rounds and lessons that are under way: so many that were used last, for an hour after their last use."""

    def __init__(self, most: int, over: str) -> None:
        """``over``: what a client hears of one that is not there any more."""
        self._most, self._over = most, over
        self._items: dict[str, tuple[_Item, float]] = {}
        self._lock = threading.Lock()

    def keep(self, item: _Item) -> None:
        with self._lock:
            now = time.monotonic()
            self._items.pop(item.id, None)
            fresh = {name: each for name, each in self._items.items() if now - each[1] < _KEPT_HOUR}
            self._items = dict([*fresh.items(), (item.id, (item, now))][-self._most :])

    def get(self, name: str) -> _Item:
        """Raises:
        UserError: there is none of this name, or it is too old.
        """
        found = self._items.get(name)
        if found is None:
            raise UserError(self._over)
        self.keep(found[0])
        return found[0]
