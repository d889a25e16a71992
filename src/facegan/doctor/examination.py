"""The whole examination: this machine, and the data, runs and models that are named."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from facegan.doctor import accelerators, data_health, launch, places, processor, run_health, software
from facegan.doctor.finding import Finding
from facegan.errors import UserError
from facegan.runs.folder import RUN_FILE, SHIPPED, RunFolder
from facegan.runs.overview import find_runs
from facegan.runs.snapshot import EXPORTED_FILE, INFO_FILE


def examine(paths: Sequence[Path]) -> Iterator[Finding]:
    """Yield what is found, part by part: the machine first, then each of ``paths`` (packed data, sources of images,
    runs, folders of runs, snapshots, shipped models).

    Raises:
        UserError: a path is not there.
    """
    for path in paths:
        if str(path) not in SHIPPED and not (path.exists() or "*" in path.name):
            raise UserError(f"there is nothing at {path}: give packed data, a folder of images, a run or a model")
    folders = {f"folder of {path}": path.parent for path in paths if (path / RUN_FILE).is_file()}
    folders |= {str(path): path for path in paths if _holds_runs(path)}
    if not paths and Path("runs").is_dir():
        folders["runs"] = Path("runs")
    yield from software.examine()
    yield from processor.examine()
    yield from accelerators.examine()
    yield from places.examine(folders)
    yield from launch.examine(os.environ)
    yield from _named(paths)


def _named(paths: Sequence[Path]) -> Iterator[Finding]:
    yield from data_health.examine([path for path in paths if (path / "dataset.json").is_file()])
    for path in paths:
        if (path / "dataset.json").is_file():
            continue
        if str(path) in SHIPPED and not path.exists():
            yield from run_health.model(SHIPPED[str(path)])
        elif (path / RUN_FILE).is_file():
            yield from run_health.run(RunFolder(path))
        elif (path / INFO_FILE).is_file() or (path / EXPORTED_FILE).is_file():
            yield from run_health.model(path)
        elif _holds_runs(path):
            for folder in find_runs(path):
                yield from run_health.run(folder)
        else:
            yield from data_health.source(path)


def _holds_runs(path: Path) -> bool:
    return path.is_dir() and not (path / RUN_FILE).is_file() and bool(find_runs(path))


def without_home(text: str) -> str:
    """Return a text with ~ in place of the user's home folder."""
    home = str(Path.home())
    if len(home) < 2:
        return text
    for written in {home, json.dumps(home)[1:-1]}:
        text = re.sub(rf"{re.escape(written)}(?![\w.-])", "~", text)
    return text
