"""Where a studio computes: in threads beside the server, one request after the other, and never too many waiting."""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from facegan.errors import UserError, brief

_Result = TypeVar("_Result")
MOST_WAITING = 64
MOST_JOBS = 4
_KEPT_SECONDS = 600.0


class BusyError(UserError):
    """Too much is waiting already."""


class Work:
    """One thread that computes; requests beyond ``MOST_WAITING`` are refused, so that memory stays bounded."""

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="studio")
        self._waiting, self._most = 0, most_waiting

    async def run(self, function: Callable[..., _Result], *arguments: Any) -> _Result:
        """Return what ``function`` returns, computed in the thread.

        Raises:
            BusyError: too many wait already.
        """
        if self._waiting >= self._most:
            raise BusyError("the studio is busy: ask again in a second")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


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
