"""What the runs in a folder are and how they are doing, from their files alone; and what could be deleted of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from facegan.errors import UserError
from facegan.files import read_json
from facegan.runs.folder import RUN_FILE, RunFolder, nimg_of
from facegan.runs.incidents import read_incidents
from facegan.runs.retention import best_of, scores
from facegan.runs.snapshot import damage_of


@dataclass(frozen=True)
class RunOverview:
    """One run at a glance."""

    path: str
    recipe: str
    resolution: int
    nimg: int
    """Images seen when the newest line of the log or snapshot was written."""
    target: int | None
    """Images that the last command asked for, or None."""
    images_per_s: float | None
    quick_score: float | None
    """The best quick score of its snapshots; of this run only."""
    best: str | None
    """Name of the snapshot that has it; of the newest one, where none has a score."""
    health: str
    """"well", or the kind of its newest alarm and what was done."""
    bytes: int
    training: bool
    """Whether a process is training it now."""


def find_runs(folder: Path, unlisted: Callable[[OSError], None] = lambda _: None) -> list[RunFolder]:
    """Return the runs in a folder, itself included, at most three levels down, by name.

    ``unlisted`` is told of each folder that cannot be looked into.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; give one that holds runs, such as the parent of a --run")
    return sorted(_runs_below(folder, 3, unlisted), key=lambda run: run.path)


def _runs_below(folder: Path, levels: int, unlisted: Callable[[OSError], None]) -> Iterator[RunFolder]:
    inner: list[Path] = []
    try:
        if (folder / RUN_FILE).is_file():
            yield RunFolder(folder)
            return
        if levels:
            inner = [child for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")]
    except OSError as error:
        unlisted(error)
    for child in inner:
        yield from _runs_below(child, levels - 1, unlisted)


def overview(folder: RunFolder) -> RunOverview:
    """Return a run at a glance.

    Raises:
        UserError: its ``run.json`` is damaged.
    """
    config = folder.read().get("config")
    recipe = config.get("recipe") if isinstance(config, dict) else None
    if not isinstance(recipe, dict):
        raise folder.damaged()
    lines = folder.log_lines()
    snapshots = [nimg_of(path) for path in folder.list_snapshots()]
    rates = [line["images_per_s"] for line in lines[-50:] if isinstance(line.get("images_per_s"), float)]
    known = scores(folder)
    best = best_of(snapshots, known)
    incidents = [entry for entry in read_incidents(folder) if entry["kind"] != "processes"]  # that number may change
    health = (
        f"{incidents[-1]['kind']} at {incidents[-1]['nimg']:,}: {incidents[-1].get('action')}" if incidents else "well"
    )
    return RunOverview(
        path=str(folder.path),
        recipe=str(recipe.get("name")),
        resolution=int(recipe.get("resolution", 0)),
        nimg=max([*snapshots, *(line["nimg"] for line in lines[-1:])], default=0),
        target=_target(folder),
        images_per_s=rates[-1] if rates else None,
        quick_score=None if best is None else known.get(best),
        best=None if best is None else folder.snapshot(best).name,
        health=health,
        bytes=size_of(folder.path),
        training=folder.is_locked(),
    )


def _target(folder: RunFolder) -> int | None:
    try:
        images = read_json(folder.status)["images"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return images if type(images) is int else None


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of everything in a folder; what vanishes meanwhile counts nothing."""
    try:
        if not path.is_dir() or path.is_symlink():
            return path.lstat().st_size
        return sum(size_of(child) for child in path.iterdir())
    except OSError:
        return 0


@dataclass(frozen=True)
class Reclaimable:
    """Something of a run that could be deleted."""

    path: Path
    bytes: int
    reason: str


def reclaimable(folder: RunFolder) -> list[Reclaimable]:
    """Return what could be deleted of a run that no process is training: what a killed process left, snapshots that a
    rewind set aside, and all but the newest and the best snapshot, and the newest that is whole."""
    if folder.is_locked():
        return []
    found = [(path, "half-written") for path in sorted(folder.snapshots.glob(".nimg-*"))]
    found += [(path, "set aside") for path in folder.list_set_aside()]
    snapshots = {nimg_of(path): path for path in folder.list_snapshots()}
    staying = {max(snapshots, default=0), best_of(list(snapshots), scores(folder))}
    staying.add(next((nimg for nimg in sorted(snapshots, reverse=True) if not damage_of(snapshots[nimg])), 0))
    found += [(path, "neither newest nor best") for nimg, path in snapshots.items() if nimg not in staying]
    return [Reclaimable(path, size_of(path), reason) for path, reason in found]


def reclaim(folder: RunFolder, items: list[Reclaimable]) -> int:
    """Delete what ``reclaimable`` named; return the bytes that it had. Nothing, if the run is being trained again."""
    try:
        with folder.locked():
            for item in items:
                if item.path.name.startswith("nimg-"):
                    folder.delete_snapshot(item.path)
                else:
                    shutil.rmtree(item.path, ignore_errors=True)
    except UserError:
        return 0
    return sum(item.bytes for item in items if not item.path.exists())
