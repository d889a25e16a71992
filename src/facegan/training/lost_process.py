"""What a run keeps of processes that came and went: an incident, and one sentence for all of them."""

from __future__ import annotations

import signal
import socket
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from facegan.collectives import LostProcessError
from facegan.errors import OthersSayError, UserError
from facegan.runs import incidents
from facegan.runs.folder import RunFolder, nimg_of
from facegan.training.engine import Engine


def record_lost_process(error: LostProcessError, engine: Engine, folder: RunFolder) -> UserError:
    """Leave an incident of another process that was lost; return the error with which this one ends.

    Of those that are left, the one of lowest rank speaks; the others end without a word. None does where a process
    has ended with an error that it has told itself.
    """
    recorded = _losses(folder)
    answering, already_reported = engine.who_answers()
    if not answering:  # the notes went with the main process: one after the other looks whether another one spoke
        answering = {0} if engine.is_main else set(range(1, engine.world_size))
        time.sleep(max(0, engine.rank - 1))
        already_reported = _losses(folder) > recorded
    elif engine.rank != min(answering):
        already_reported = True
    if already_reported:
        return _silent(LostProcessError.exit_code)
    missing = sorted(set(range(engine.world_size)) - answering)
    named = f"process{'es' if len(missing) > 1 else ''} {', '.join(map(str, missing))}" if missing else "a process"
    message = f"{named} of {engine.world_size} was lost: {error}"
    evidence = {"processes": engine.world_size, "missing": missing, "timeout": engine.timeout}
    kept = _record(folder, "lost process", message, evidence, "stop")
    again = "the same command goes on from there"
    if engine.launch is not None and engine.launch.restarts < engine.launch.most_restarts:
        again = "torchrun starts all processes again, from there"
    saved = f"; the last snapshot is of {kept:,} images, and {again}" if kept is not None else ""
    return LostProcessError(f"{message}{saved}")


@contextmanager
def sigterm_ignored() -> Iterator[None]:
    """Inside, SIGTERM is ignored: what has to be said takes a few seconds, and the process ends then anyway."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def record_error(error: BaseException, engine: Engine, folder: RunFolder) -> None:
    """Leave an incident of an unexpected error, and let the other processes know that it is told."""
    engine.say_told()
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else ""
    evidence = {"type": type(error).__name__, "where": where, "process": engine.rank, "host": socket.gethostname()}
    _record(folder, "error", f"{type(error).__name__}: {' '.join(str(error).split())[:300]}", evidence, "stop")


def record_change(folder: RunFolder, nimg: int, before: int, now: int, engine: Engine) -> None:
    """Leave an incident of a run that goes on in another number of processes."""
    restarts = engine.launch.restarts if engine.launch is not None else 0
    evidence = {"before": before, "now": now, "hosts": engine.hosts, "restarts": restarts}
    message = f"{before} process{'es' if before > 1 else ''} until {nimg:,} images, {now} from there on"
    _record(folder, "processes", message, evidence, "go on", nimg)


def _record(
    folder: RunFolder, kind: str, message: str, evidence: Mapping[str, object], action: str, nimg: int | None = None
) -> int | None:
    """Append an incident where the run's folder can be seen; return the images of its newest snapshot, or None."""
    try:
        snapshots = folder.list_snapshots() if folder.exists() else []
    except OSError:
        snapshots = []
    if not snapshots:
        return None
    newest = nimg_of(snapshots[-1])
    entry = {"kind": kind, "nimg": newest if nimg is None else nimg, "message": message, "evidence": evidence}
    incidents.append(folder, {**entry, "action": action, "rollbacks": 0})
    return newest


def _losses(folder: RunFolder) -> int:
    """Return how many processes a run has lost so far, by its incidents."""
    return sum(entry["kind"] == "lost process" for entry in incidents.read_incidents(folder))


def _silent(code: int) -> OthersSayError:
    error = OthersSayError("another process of this training says why")
    error.exit_code = code
    return error
