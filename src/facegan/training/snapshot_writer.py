"""Snapshots while training goes on: copied at once, written behind it, tried again where a write failed."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from facegan.config import RunConfig, to_dict
from facegan.runs.folder import RunFolder, nimg_of
from facegan.runs.retention import kept, scores
from facegan.runs.snapshot import SnapshotWriteError, snapshot_bytes, write_snapshot
from facegan.training.checkpointing import state_tensors
from facegan.training.context import Listener
from facegan.training.state import TrainingState


@dataclass
class _Writing:
    """A snapshot on its way to the disk."""

    nimg: int
    size: int
    paused: float
    """Seconds that training waited for the copy."""
    thread: threading.Thread | None = None
    seconds: float = 0.0
    error: BaseException | None = None


class SnapshotWriter:
    """Writes a run's snapshots in a thread of its own, and keeps those that are to be kept."""

    def __init__(
        self,
        folder: RunFolder,
        listener: Listener,
        *,
        newest: int,
        every: int,
        constant_tensors: Mapping[str, Mapping[str, Tensor]] | None = None,
    ) -> None:
        """``constant_tensors``: further tensors of every snapshot, by stem and name, which never change."""
        self._folder, self._listener = folder, listener
        self._constant_tensors = dict(constant_tensors or {})
        self._newest, self._every = newest, every
        self._writing: _Writing | None = None
        self.failed: SnapshotWriteError | None = None
        """Why the last write failed, until another begins."""

    def save(self, state: TrainingState, config: RunConfig, extra: dict[str, Any]) -> None:
        """Copy the state and begin to write it; waits for the write before it, if that is still going on."""
        self.wait()
        self.failed = None
        started = time.perf_counter()
        tensors = {
            stem: {name: tensor.detach().to("cpu", copy=True) for name, tensor in named.items()}
            for stem, named in (state_tensors(state) | self._constant_tensors).items()
        }
        path, nimg, settings = self._folder.snapshot(state.nimg), state.nimg, to_dict(config)
        writing = _Writing(nimg, snapshot_bytes(tensors), time.perf_counter() - started)

        def write() -> None:
            began = time.perf_counter()
            try:
                write_snapshot(path, nimg=nimg, config=settings, state=extra, tensors=tensors)
            except BaseException as error:
                writing.error = error
            writing.seconds = time.perf_counter() - began

        writing.thread = threading.Thread(target=write, name="facegan-snapshot")
        self._writing = writing
        writing.thread.start()

    def wait(self) -> None:
        """Wait until nothing is being written."""
        self._collect(wait=True)

    def poll(self) -> None:
        """Take note of a write that has ended."""
        self._collect(wait=False)

    def _collect(self, *, wait: bool) -> None:
        writing = self._writing
        if writing is None or writing.thread is None or (writing.thread.is_alive() and not wait):
            return
        writing.thread.join()
        self._writing = None
        if isinstance(writing.error, SnapshotWriteError):
            self.failed = writing.error
            self._listener.event("warning", nimg=writing.nimg, message=f"{writing.error}; training goes on meanwhile")
            return
        if writing.error is not None:
            raise writing.error
        self._listener.event(
            "snapshot",
            nimg=writing.nimg,
            path=str(self._folder.snapshot(writing.nimg)),
            megabytes=round(writing.size / 1e6, 3),
            paused_s=round(writing.paused, 4),
            written_s=round(writing.seconds, 4),
        )
        self._delete_what_is_not_kept()

    def _delete_what_is_not_kept(self) -> None:
        paths = {nimg_of(path): path for path in self._folder.list_snapshots()}
        staying = kept(list(paths), scores(self._folder), newest=self._newest, every=self._every)
        for nimg in paths.keys() - staying:
            self._folder.delete_snapshot(paths[nimg])
