"""A folder that appears whole or not at all: written under another name beside it, synced, renamed into place."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import IO

from facegan.errors import UserError

try:
    import fcntl
except ImportError:  # Windows: two writers of one folder at the same time go unnoticed
    fcntl = None  # type: ignore[assignment]

SUFFIX = ".partial"


class PartialFolder:
    """Context manager: write into ``folder`` (``<out>.partial``), then call ``put_in_place``.

    Without that call, after an exception or Ctrl-C, the folder is removed on leaving; what a killed process left
    behind is removed on entering.

    Raises:
        UserError: ``out`` exists and is not an empty folder, or it cannot be created, or another process is writing
            it.
    """

    def __init__(self, out: Path) -> None:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UserError(f"{out} exists already and nothing is overwritten: give another name, or remove it first")
        self.out = out
        self.folder = out.with_name(out.name + SUFFIX)
        self._lock: IO[str] | None = None

    def __enter__(self) -> PartialFolder:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            for left_over in self.folder.iterdir():
                if left_over.name != "lock":
                    shutil.rmtree(left_over) if left_over.is_dir() else left_over.unlink()
        except OSError as error:
            self._remove()
            raise UserError(f"cannot write {self.folder}: {error.strerror or error}; give another place") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._remove()

    def put_in_place(self) -> None:
        """Sync the files to the disk and give the folder its name.

        Raises:
            UserError: somebody else made ``out`` in the meantime.
        """
        for file in self.folder.iterdir():
            sync(file)
        sync(self.folder)
        if fcntl is None:
            self._release_lock()  # Windows cannot rename a folder with an open file in it
        try:
            if self.out.exists():
                self.out.rmdir()
            self.folder.rename(self.out)
        except OSError as error:
            raise UserError(f"{self.out} was made by somebody else in the meantime and stays as it is") from error
        (self.out / "lock").unlink()
        self._release_lock()
        sync(self.out.parent)

    def _take_lock(self) -> None:
        self._lock = (self.folder / "lock").open("w")
        if fcntl is None:
            return
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._release_lock()
            raise UserError(f"another facegan is writing {self.out} now: wait for it, or give another name") from error
        except OSError:  # a network file system without locks
            return

    def _release_lock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _remove(self) -> None:
        if self._lock is not None:  # without it, the folder is another writer's, or has its name already
            self._release_lock()
            shutil.rmtree(self.folder, ignore_errors=True)


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    if path.is_dir() and os.name != "posix":
        return  # Windows cannot open a folder, and keeps its names in a journal
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
