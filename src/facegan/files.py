"""Files: small ones of strangers read with care, whole ones written or none, and locks.

Reading: ordinary files only, of bounded size; JSON of bounded depth. Writing: beside the place, synced, renamed into
it, so that a reader, or a machine that loses its power, never has half a file or half a folder.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from filelock import FileLock, Timeout

from facegan.errors import UserError, reason

LARGEST_JSON = 1 << 20
"""Bytes of a description (``run.json``, ``snapshot.json``, ``dataset.json``); ours have some thousand."""


def nearest_existing(path: Path) -> Path:
    """Return a path as an absolute one, or the nearest folder around it that is there."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.exists())


def free_bytes(path: Path) -> int:
    """Return what is free on the disk where ``path`` is, or will be."""
    return shutil.disk_usage(nearest_existing(path)).free


def file_sha256(path: Path) -> str:
    """Return the digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_unwritable(path: Path) -> None:
    """Refuse a new file or folder where none can be made, before what is to be in it is computed.

    Raises:
        UserError: the nearest folder that is there takes no files.
    """
    place = nearest_existing(path.absolute().parent)
    if not place.is_dir() or not os.access(place, os.W_OK) or not shutil.disk_usage(place).total:
        raise UserError(f"{path} cannot be written: {place} takes no files; give another place")


def check_regular(path: Path) -> os.stat_result:
    """Return the status of an ordinary file.

    Raises:
        FileNotFoundError, NotADirectoryError: it is not there.
        ValueError: it is a symbolic link, a folder, a pipe or a device; the message says which.
    """
    status = path.lstat()
    if stat.S_ISREG(status.st_mode):
        return status
    kinds = {stat.S_ISLNK: "a symbolic link", stat.S_ISDIR: "a folder", stat.S_ISFIFO: "a pipe"}
    kind = next((name for is_kind, name in kinds.items() if is_kind(status.st_mode)), "a device")
    raise ValueError(f"it is {kind}, and not an ordinary file")


def read_bytes(path: Path, limit: int) -> bytes:
    """Return a file's content, of at most ``limit`` bytes.

    Raises:
        OSError, ValueError: as ``check_regular``, or it is larger.
    """
    size = check_regular(path).st_size
    if size > limit:
        raise ValueError(f"it has {size:,} bytes, where at most {limit:,} are expected")
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        return file.read(limit)


def parse_json(content: bytes) -> Any:
    """Return the value that JSON text in UTF-8 stands for.

    Raises:
        ValueError: it is none, has NaN or infinite numbers, or is nested too deeply.
    """
    if not content.strip():
        raise ValueError("it is empty")
    try:
        return json.loads(content, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise ValueError(f"it stops being JSON in line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def read_json(path: Path, limit: int = LARGEST_JSON) -> dict[str, Any]:
    """Return the names and values in a JSON file.

    Raises:
        OSError, ValueError: as ``read_bytes`` and ``parse_json``, or what it holds is no object.
    """
    value = parse_json(read_bytes(path, limit))
    if not isinstance(value, dict):
        raise ValueError("it holds something else than names and values")
    return value


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects in a file of JSON lines, skipping damaged lines; [] if there is no file."""
    try:
        content = path.read_bytes()
    except OSError:
        return []
    lines = []
    for text in content.splitlines():
        try:
            value = parse_json(text)
        except ValueError:
            continue
        if isinstance(value, dict):
            lines.append(value)
    return lines


def cache_folder() -> Path:
    """Return where things are kept that can be made or fetched again: ``FACEGAN_CACHE``, or facegan in the user's cache
    folder."""
    named = os.environ.get("FACEGAN_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(named) if named else Path(base) / "facegan"


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    if path.is_dir() and os.name != "posix":
        return  # Windows cannot open a folder, and keeps its names in a journal
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replaced(path: Path, *, synced: bool = True) -> Iterator[Path]:
    """Yield the path of a new file to write, which then takes the place of ``path``; missing folders are made.

    After an error or Ctrl-C what was there before stays, and nothing else. Where it is not ``synced``, a power cut may
    take the file: for what is made again at will, such as thousands of pictures.

    Raises:
        OSError: the disk is full, or may not be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        if synced:
            sync(partial)
        partial.replace(path)
        if synced:
            sync(path.parent)
    except OSError as error:
        if error.filename in (None, str(partial)):
            error.filename = str(path)
        raise
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all.

    Raises:
        OSError: as ``replaced``.
    """
    with replaced(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a file of UTF-8 text with ``\\n`` at the end of its lines, whole or not at all.

    In names of files, what is no Unicode is escaped.

    Raises:
        OSError: as ``replaced``.
    """
    write_bytes(path, text.encode(errors="backslashreplace"))


_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
"""What file systems without locks answer."""


def is_taken(path: Path) -> bool:
    """Return whether anything has this name, be it a link that leads nowhere."""
    return path.is_symlink() or path.exists()


class LockedError(Exception):
    """Another process holds the lock."""


@contextmanager
def locked(path: Path, *, patience: float = 0.0) -> Iterator[bool]:
    """Hold a lock file for this process; the system drops the lock when the process ends, however it ends.

    Yields whether it is held: on a file system without locks it is not.
    ``patience``: seconds to wait for another holder.

    Raises:
        LockedError: another process holds it.
        OSError: the file cannot be opened.
    """
    lock = FileLock(path, timeout=patience, poll_interval=0.1, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise LockedError(path) from None
    except (NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
            raise
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Return whether another process holds a lock file, also one that this user may only read."""
    try:
        with locked(path):
            return False
    except LockedError:
        return True
    except OSError:
        pass
    try:
        import fcntl

        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (ImportError, OSError):
        pass
    return False


class NewFolder:
    """Context manager: write into ``folder`` (``<out>.partial``), then call ``put_in_place``: whole or not at all.

    Without that call, after an exception or Ctrl-C, the folder is removed on leaving; what a killed process left
    behind is removed on entering.

    Raises:
        UserError: ``out`` exists and is not an empty folder, or it cannot be created, or another process is writing
            it, or ``<out>.partial`` is somebody else's.
    """

    def __init__(self, out: Path) -> None:
        if out.is_symlink() and out.is_dir():
            out = out.resolve()  # so that both folders are on the disk that it points to
        if out.suffix == ".partial":
            raise UserError(f"{out}: an unfinished folder has a name that ends in .partial; give another name")
        if out.exists() and os.path.ismount(out):
            raise UserError(f"{out} is where a disk is mounted, and cannot be replaced: give a new folder in it")
        if is_taken(out) and (not out.is_dir() or any(out.iterdir())):
            raise UserError(f"{out} exists already and nothing is overwritten: give another name, or remove it first")
        if out.name in ("", ".."):
            raise UserError(f"{out} has no name of its own: give that of a new folder")
        self.out = out
        self.folder = out.with_name(out.name + ".partial")
        self._lock = contextlib.ExitStack()
        self._held = False

    def __enter__(self) -> NewFolder:
        is_new = not self.folder.exists()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / "lock").exists() and any(self.folder.iterdir()):
                raise UserError(f"{self.folder}, where {self.out} is to be written first, is not facegan's: rename it")
            self._lock.enter_context(locked(self.folder / "lock"))
            self._held = True
            for left_over in self.folder.iterdir():
                if left_over.name != "lock":
                    shutil.rmtree(left_over) if left_over.is_dir() else left_over.unlink()
        except LockedError:
            raise UserError(f"another facegan is writing {self.out} now: wait for it, or give another name") from None
        except OSError as error:
            self.__exit__()
            raise UserError(f"cannot write {self.folder}: {reason(error)}") from error
        except BaseException:  # Ctrl-C, before there was a lock to know that the folder is ours
            self._held = self._held or is_new
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._held:  # without the lock the folder is another writer's; in its place it is whole
            self._held = False
            self._lock.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def put_in_place(self) -> None:
        """Sync the files to the disk and give the folder its name.

        Raises:
            UserError: somebody else made ``out`` in the meantime.
        """
        for file in self.folder.iterdir():
            sync(file)
        sync(self.folder)
        if os.name != "posix":
            self._lock.close()  # Windows cannot rename a folder with an open file in it
        try:
            if self.out.exists():
                self.out.rmdir()
            self.folder.rename(self.out)
        except OSError as error:
            raise UserError(f"{self.out} was made by somebody else in the meantime and stays as it is") from error
        self._held = False
        (self.out / "lock").unlink(missing_ok=True)
        self._lock.close()
        sync(self.out.parent)
