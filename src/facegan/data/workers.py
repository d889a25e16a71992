"""Decoding in parallel processes, each of which reads the source itself and writes its rows of the packed images.

A process that dies (a decoder that crashes on a hostile file) costs one image: its share is tried again one image
at a time. When the parent dies, however it dies, its processes notice and end.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import NamedTuple

import numpy as np

from facegan.data.celeba import Crop
from facegan.data.decode import Finding, decode_image, quiet_decoding
from facegan.data.folder import ImageFile, Reader, UnreadableError
from facegan.errors import UserError

_IMAGES_AT_A_TIME = 32
_SHARES_AHEAD = 2
"""Shares given to a process before it answers, so that it never waits for the next one."""


@dataclass(frozen=True)
class Job:
    """What every process needs to know: where to read, what to make, and where row 0 goes."""

    source: Path
    resolution: int
    crop: Crop
    images_file: Path
    first_byte: int


class Outcome(NamedTuple):
    """What became of the image in row ``row``; ``digest`` is the sha256 of the file, empty if it cannot be read."""

    row: int
    kept: bool
    digest: bytes
    findings: list[Finding]


class _Share(NamedTuple):
    first_row: int
    files: Sequence[ImageFile]


@dataclass
class _Worker:
    process: SpawnProcess
    connection: Connection
    ready: bool
    shares: deque[_Share]


def decode_all(job: Job, files: Sequence[ImageFile], workers: int) -> Iterator[list[Outcome]]:
    """Decode ``files`` into rows 0, 1, 2 ... of the job's images file; yield outcomes in any order, share by share.

    Raises:
        UserError: rows cannot be written, or no process can be started.
    """
    shares = deque(_Share(row, files[row : row + _IMAGES_AT_A_TIME]) for row in range(0, len(files), _IMAGES_AT_A_TIME))
    workers = min(workers, len(shares))
    try:
        if workers <= 1:
            yield from _decode_here(job, shares)
        else:
            yield from _decode_in_processes(job, shares, workers)
    except OSError as error:
        raise UserError(
            f"cannot go on with {job.images_file.parent}: {error.strerror or error}; make room or give another place"
        ) from error


def _decode_here(job: Job, shares: deque[_Share]) -> Iterator[list[Outcome]]:
    with Reader(job.source) as reader:
        for share in shares:
            yield _decode_share(job, reader, share)


def _decode_in_processes(job: Job, shares: deque[_Share], count: int) -> Iterator[list[Outcome]]:
    workers = [_start(job) for _ in range(count)]
    try:
        while shares or any(worker.shares for worker in workers):
            for worker in workers:
                while worker.ready and shares and len(worker.shares) < _SHARES_AHEAD:
                    worker.shares.append(shares.popleft())
                    worker.connection.send(worker.shares[-1])
            by_connection = {worker.connection: worker for worker in workers}
            for connection in wait(list(by_connection)):
                assert isinstance(connection, Connection)
                worker = by_connection[connection]
                try:
                    answer = connection.recv()
                except (EOFError, ConnectionError):
                    workers[workers.index(worker)] = _start(job)
                    yield from _after_death(worker, shares)
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


def _after_death(worker: _Worker, shares: deque[_Share]) -> Iterator[list[Outcome]]:
    """Put the dead process's images back, one a share; an image that was alone when it died is set aside."""
    worker.connection.close()
    worker.process.join()
    if not worker.ready:
        raise UserError(
            "no decoding process can be started: a script that calls prepare must do so under "
            "`if __name__ == '__main__':`, or give workers=1"
        )
    for number, share in enumerate(worker.shares):
        if number == 0 and len(share.files) == 1:
            reason = f"the decoder crashed on it (exit code {worker.process.exitcode})"
            yield [Outcome(share.first_row, False, b"", [Finding("unreadable", reason, "set aside")])]
        else:
            shares.extend(_Share(share.first_row + place, [file]) for place, file in enumerate(share.files))


def _start(job: Job) -> _Worker:
    # spawn, not fork: a forked process inherits locks that a thread of the parent may hold for ever.
    context = multiprocessing.get_context("spawn")
    connection, their_connection = context.Pipe()
    process = context.Process(target=_run, args=(job, their_connection), daemon=True)
    process.start()
    their_connection.close()
    return _Worker(process, connection, False, deque())


def _run(job: Job, connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its processes
    with Reader(job.source) as reader:
        connection.send(None)
        while True:
            try:
                share = connection.recv()
            except EOFError:
                return
            try:
                connection.send(_decode_share(job, reader, share))
            except BrokenPipeError:
                return
            except OSError as error:
                connection.send(error)


def _decode_share(job: Job, reader: Reader, share: _Share) -> list[Outcome]:
    images = np.zeros((len(share.files), job.resolution, job.resolution, 3), np.uint8)
    outcomes = []
    with quiet_decoding():
        for place, file in enumerate(share.files):
            try:
                data = reader.read(file)
            except UnreadableError as reason:
                findings = [Finding("unreadable", str(reason), "set aside")]
                outcomes.append(Outcome(share.first_row + place, False, b"", findings))
                continue
            pixels, findings = decode_image(data, job.resolution, job.crop)
            if pixels is not None:
                images[place] = pixels
            digest = hashlib.sha256(data).digest()
            outcomes.append(Outcome(share.first_row + place, pixels is not None, digest, findings))
    with job.images_file.open("r+b") as file_:
        file_.seek(job.first_byte + share.first_row * images[0].nbytes)
        file_.write(images.data)
    return outcomes
