"""The run folder: everything about one training, and the lock that keeps a second process out.

run.json        the config, versions, and what was measured at the start; frozen for the run's life
log.jsonl       one line every few steps        tensorboard/   the same, as events
samples/        grids of fixed latents          snapshots/     nimg-000064000/ ...
incidents.jsonl alarms, with their evidence     incidents/     a small grid of each
quick-reference.safetensors     the data as the quick score sees it     status.json    what it is asked to do
labels.safetensors, label-prior.safetensors     attributes to learn with, and how they go together

Of version 0.1.0 a folder may hold score-reference.safetensors, which nothing reads any more.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facegan.errors import UserError, check_not_denied, reason
from facegan.files import LockedError, is_held, locked, read_json, read_json_lines, write_bytes, write_text
from facegan.provenance import Provenance
from facegan.runs.snapshot import INFO_FILE, SnapshotInfo, read_info

FORMAT_VERSION = 1
RUN_FILE = "run.json"


def nimg_of(snapshot: Path) -> int:
    """Return the images seen when a snapshot of a run was taken, by the name of its folder."""
    return int(snapshot.name.removeprefix("nimg-"))


class RunFolder:
    """A run's folder: the names of its files, ``run.json``, the log, the snapshots and the lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path / "log.jsonl"
        self.samples = path / "samples"
        self.tensorboard = path / "tensorboard"
        self.snapshots = path / "snapshots"
        self.incidents = path / "incidents.jsonl"
        self.scores = path / "scores.jsonl"
        self.status = path / "status.json"
        self.labels = path / "labels.safetensors"
        """Attributes that the run learns with, where the data has none."""
        self.label_prior = path / "label-prior.safetensors"
        """How the attributes that the run learns with go together."""
        self.quick_reference = path / "quick-reference.safetensors"
        """What the quick score knows of the data."""
        self._file, self._lock_file = path / RUN_FILE, path / ".lock"

    def exists(self) -> bool:
        return self._file.is_file()

    def log_lines(self) -> list[dict[str, Any]]:
        """Return the lines of ``log.jsonl``, each with "nimg"; damaged ones are skipped."""
        return [line for line in read_json_lines(self.log) if type(line.get("nimg")) is int]

    def snapshot(self, nimg: int) -> Path:
        return self.snapshots / f"nimg-{nimg:09d}"

    def list_snapshots(self) -> list[Path]:
        """Return the whole snapshots, oldest first."""
        found = self.snapshots.glob("nimg-*") if self.snapshots.is_dir() else []
        whole = (path for path in found if re.fullmatch(r"nimg-\d{1,18}", path.name) and path.is_dir())
        return sorted(whole, key=nimg_of)

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
            raise self._no_run()
        snapshots = self.list_snapshots()
        if not snapshots:
            raise UserError(f"{self.path} has no snapshot yet; train it further, then try again")
        return snapshots[-1]

    def delete_snapshot(self, path: Path) -> None:
        """Delete a snapshot; it is renamed first, so that no half is ever seen. One that cannot be deleted stays."""
        doomed = path.with_name(f".{path.name}.deleted")
        try:
            path.rename(doomed)
        except OSError:
            return
        shutil.rmtree(doomed, ignore_errors=True)

    def set_aside(self, nimg: int) -> None:
        """Take the snapshots beyond ``nimg`` out of the run, newest first, by renaming them."""
        for path in reversed(self.list_snapshots()):
            if path == self.snapshot(nimg):
                break
            path.rename(_free_name(path, "set-aside"))

    def set_aside_damaged(self, path: Path) -> None:
        """Take a damaged snapshot out of the run by renaming it."""
        path.rename(_free_name(path, "damaged"))

    def list_set_aside(self) -> list[Path]:
        """Return the snapshots that were taken out of the run: by a rewind, or since they are damaged."""
        if not self.snapshots.is_dir():
            return []
        return sorted([*self.snapshots.glob("set-aside-*"), *self.snapshots.glob("damaged-*")])

    def remove_leftovers(self) -> None:
        """Delete what a killed process left half-written or half-deleted. Only the holder of the lock may call this."""
        for path in self.snapshots.glob(".nimg-*"):
            shutil.rmtree(path, ignore_errors=True)

    def create(self, contents: dict[str, Any]) -> None:
        """Write ``run.json`` of a new run."""
        for folder in (self.samples, self.snapshots):
            folder.mkdir(parents=True, exist_ok=True)
        write_text(self._file, json.dumps({"format_version": FORMAT_VERSION, **contents}, indent=1))

    def update(self, changes: Mapping[str, Any]) -> None:
        """Write these entries of ``run.json`` anew, and leave the others.

        Raises:
            UserError: it is damaged.
        """
        write_text(self._file, json.dumps({**self.read(), **changes}, indent=1))

    def write_status(self, contents: dict[str, Any]) -> None:
        """Write ``status.json``: what this process has been asked to do."""
        write_text(self.status, json.dumps(contents, indent=1))

    def write_ending(self, ended: str) -> None:
        """Add to ``status.json`` what ended the process: "images", "minutes", "signal" or "alarm"."""
        with contextlib.suppress(OSError, ValueError):
            self.write_status({**read_json(self.status), "ended": ended})

    def read(self) -> dict[str, Any]:
        """Return what ``run.json`` holds.

        Raises:
            UserError: there is none, or it is damaged.
        """
        try:
            contents = read_json(self._file)
            version = contents["format_version"]
        except (FileNotFoundError, NotADirectoryError):
            raise self._no_run() from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            check_not_denied(error)
            raise self.damaged(f" ({error})") from None
        if version != FORMAT_VERSION:
            raise UserError(f"{self._file} has format version {version!r:.40}, this facegan reads {FORMAT_VERSION}")
        return contents

    def provenance(self) -> Provenance:
        """Return what a picture of this run's grids says of itself, as far as ``run.json`` knows it.

        Raises:
            UserError: as ``read``.
        """
        config = self.read().get("config")
        config = config if isinstance(config, dict) else {}
        recipe, seed = config.get("recipe"), config.get("seed")
        name = recipe.get("name") if isinstance(recipe, dict) else ""
        return Provenance(model=str(name), seed=seed if type(seed) is int else None, sheet=True)

    def _no_run(self) -> UserError:
        found = f"it holds no {RUN_FILE}" if self.path.exists() else "it does not exist"
        if (self.path / "dataset.json").is_file():
            found = "it is a packed dataset (a model comes first, then the data)"
        elif (self.path / INFO_FILE).is_file():
            found = "it is a snapshot"
        elif (self.path / "faces.onnx").is_file():
            found = "it is an ONNX export, which runs without facegan"
        return UserError(f"{self.path} is no run: {found}; give the folder that train --run wrote")

    def damaged(self, how: str = "") -> UserError:
        """Return the error that says that ``run.json`` is damaged."""
        return UserError(f"{self._file} is damaged{how}; restore it from a copy, or train a new run")

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Hold the run for this process. The system drops the lock when the process ends, however it ends.

        Yields whether it is held: a file system without locks cannot tell.

        Raises:
            UserError: another process holds it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as held:
            try:
                # facegan runs holds it when it looks
                is_held = held.enter_context(locked(self._lock_file, patience=0.7))
            except LockedError:
                raise UserError(
                    f"{self.path} is being trained by another process: wait for it, or use another --run"
                ) from None
            yield is_held

    def is_locked(self) -> bool:
        """Return whether a process is training this run now."""
        return self._lock_file.is_file() and is_held(self._lock_file)


SHIPPED = {"celeba64": Path(__file__).parents[1] / "models" / "celeba64"}
"""Models that come with the package, by name."""


def write_run_file(path: Path, content: bytes) -> None:
    """Write a file of a run, whole or not at all.

    Raises:
        UserError: the disk is full, or may not be written.
    """
    try:
        write_bytes(path, content)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({reason(error)})") from None


_OTHER_WEIGHTS = {
    ".safetensors": "; give the folder that it lies in",
    **dict.fromkeys((".h5", ".hdf5", ".keras"), "; facegan import-keras takes over weights of Keras (.h5)"),
    **dict.fromkeys((".pkl", ".pt", ".pth", ".ckpt"), "; weights of other programs cannot be used"),
}
"""What to say of files that hold models, by the ends of their names."""


def find_snapshot(path: Path) -> SnapshotInfo:
    """Return what describes a snapshot folder, the newest snapshot of a run, or a shipped model by its name.

    Raises:
        UserError: nothing is there, or it is neither, or a shipped model and a folder here have the same name.
    """
    if str(path) in SHIPPED:
        if (path / RUN_FILE).is_file() or (path / INFO_FILE).is_file():
            raise UserError(
                f"{path} is the name of the model that comes with facegan, and a model in this folder too: "
                f"for that one write {path.absolute()}"
            )
        return read_info(SHIPPED[str(path)])
    if path.is_dir():
        if not (path / RUN_FILE).is_file() and any(path.glob("*.safetensors")):
            return read_info(path)
        return read_info(path if (path / INFO_FILE).is_file() else RunFolder(path).latest_snapshot())
    if path.exists():
        raise UserError(
            f"{path} is a file: expected the folder of a run, as facegan train --run writes it, or a snapshot"
            f"{_OTHER_WEIGHTS.get(path.suffix.lower(), '')}"
        )
    near = difflib.get_close_matches(str(path), SHIPPED, n=1)
    hint = f"did you mean {near[0]}, the model that comes along? Or " if near else ""
    raise UserError(
        f"there is no model at {path}: {hint}give the folder of a run, as facegan train --run "
        f"writes it, a snapshot, or {' or '.join(SHIPPED)}"
    )


def _free_name(path: Path, prefix: str) -> Path:
    number = 1
    while (free := path.with_name(f"{prefix}-{number}-{path.name}")).exists():
        number += 1
    return free
