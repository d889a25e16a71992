"""The run folder: everything about one training, and the lock that keeps a second process out.

run.json        the config, versions, and what was measured at the start; frozen for the run's life
log.jsonl       one line every few steps        tensorboard/   the same, as events
samples/        grids of fixed latents          snapshots/     nimg-000064000/ ...
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facegan.data.partial import sync
from facegan.errors import UserError

FORMAT_VERSION = 1
RUN_FILE = "run.json"


@dataclass(frozen=True)
class RunFolder:
    """Names of the files of a run."""

    path: Path

    @property
    def log(self) -> Path:
        return self.path / "log.jsonl"

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def snapshots(self) -> Path:
        return self.path / "snapshots"

    def exists(self) -> bool:
        return (self.path / RUN_FILE).is_file()

    def snapshot(self, nimg: int) -> Path:
        return self.snapshots / f"nimg-{nimg:09d}"

    def list_snapshots(self) -> list[Path]:
        """Return the whole snapshots, oldest first."""
        found = self.snapshots.glob("nimg-*") if self.snapshots.is_dir() else []
        return sorted((path for path in found if path.is_dir()), key=lambda path: int(path.name.removeprefix("nimg-")))

    def list_grids(self) -> list[Path]:
        """Return the grids of samples, earliest first."""

        def moment(path: Path) -> tuple[int, int]:
            epoch, step = path.stem.removeprefix("epoch").split("-")
            return int(epoch), int(step)

        named = [path for path in self.samples.glob("epoch*-*.png") if re.fullmatch(r"epoch\d+-\d+", path.stem)]
        return sorted(named, key=moment)

    def latest_snapshot(self) -> Path:
        """Return the newest snapshot.

        Raises:
            UserError: the folder is no run, or the run has no snapshot.
        """
        if not self.exists():
            raise UserError(f"{self.path} is no run: it holds no {RUN_FILE}; give the folder that train --run wrote")
        snapshots = self.list_snapshots()
        if not snapshots:
            raise UserError(f"{self.path} has no snapshot yet; train it further, then try again")
        return snapshots[-1]

    def keep_latest(self, count: int) -> None:
        """Delete all but the newest ``count`` snapshots; each is renamed first, so that no half is ever seen."""
        for path in self.list_snapshots()[:-count]:
            doomed = path.with_name(f".{path.name}.deleted")
            path.rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)

    def remove_leftovers(self) -> None:
        """Delete what a killed process left half-written or half-deleted. Only the holder of the lock may call this."""
        for path in self.snapshots.glob(".nimg-*"):
            shutil.rmtree(path, ignore_errors=True)

    def create(self, contents: dict[str, Any]) -> None:
        """Write ``run.json`` of a new run."""
        for folder in (self.samples, self.snapshots):
            folder.mkdir(parents=True, exist_ok=True)
        partial = self.path / f".{RUN_FILE}.partial"
        with partial.open("w", encoding="utf-8") as file:
            json.dump({"format_version": FORMAT_VERSION, **contents}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path / RUN_FILE)
        sync(self.path)

    def read(self) -> dict[str, Any]:
        """Return what ``run.json`` holds.

        Raises:
            UserError: there is none, or it is damaged.
        """
        file = self.path / RUN_FILE
        try:
            contents = json.loads(file.read_text(encoding="utf-8"))
            version = contents["format_version"]
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(f"{self.path} is no run: it holds no {RUN_FILE}") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{file} is damaged ({error}); restore it from a copy, or train a new run") from None
        if version != FORMAT_VERSION:
            raise UserError(f"{file} has format version {version}, this facegan reads {FORMAT_VERSION}")
        return contents

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for this process. The system drops the lock when the process ends, however it ends.

        Raises:
            UserError: another process holds it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("a+", encoding="utf-8") as file:
            if not _try_lock(file.fileno()):
                raise UserError(f"{self.path} is being trained by another process: wait for it, or use another --run")
            yield


def _try_lock(handle: int) -> bool:
    try:
        if os.name == "posix":
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError:
        return False
    return True
