"""What a studio shows: models and runs, under names that a client may say. No path of a client's is ever opened."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facegan.api import Model, load
from facegan.errors import UserError
from facegan.export.page import describe
from facegan.runs.folder import RUN_FILE, SHIPPED, RunFolder, nimg_of

_KEPT_MODELS = 4
"""Models that are held in memory; the one that was not used for longest goes first."""


class UnknownSourceError(UserError):
    """A client named a model or run that is not there."""


@dataclass(frozen=True)
class Source:
    """A model, or a run, whose newest snapshot is the model."""

    id: str
    title: str
    path: Path
    run: RunFolder | None = None
    command: str = ""
    """What a command calls it."""


class Sources:
    """The sources of a studio, and their models, loaded when they are first asked for."""

    def __init__(self, paths: list[Path], *, device: str = "cpu") -> None:
        """Raises:
        UserError: one of the paths is neither a model nor a run.
        """
        self._device = device
        self._models: OrderedDict[Path, Model] = OrderedDict()
        self._lock = threading.Lock()
        self.sources: dict[str, Source] = {}
        for path in [*paths, *(Path(name) for name in SHIPPED if Path(name) not in paths)]:
            source = self._source(path)
            self.sources[source.id] = source

    def _source(self, path: Path) -> Source:
        number = len(self.sources)
        if str(path) in SHIPPED:
            return Source(str(path), str(path), path, command=str(path))
        if (path / RUN_FILE).is_file():
            run = RunFolder(path)
            run.read()
            return Source(f"run-{number}", path.resolve().name, path, run, str(path))
        model = load(path, device=self._device)
        title = model.name if str(path).startswith("hf:") else path.resolve().name
        return Source(f"model-{number}", title, path, command=str(path))

    def find(self, name: str) -> tuple[Source, int | None]:
        """Return the source that a client names, such as ``run-0``, or ``run-0@25000``: a snapshot of it.

        Raises:
            UnknownSourceError: there is none.
        """
        first, _, nimg = name.partition("@")
        source = self.sources.get(first)
        if source is None or (nimg and (source.run is None or not nimg.isdecimal() or len(nimg) > 18)):
            raise UnknownSourceError(f"there is no model {name[:80]!r}")
        return source, int(nimg) if nimg else None

    def run(self, name: str) -> RunFolder:
        """Return the run that a client names.

        Raises:
            UnknownSourceError: there is none.
        """
        source, _ = self.find(name)
        if source.run is None:
            raise UnknownSourceError(f"{name[:80]!r} is no run")
        return source.run

    def _path(self, name: str) -> Path:
        source, nimg = self.find(name)
        if source.run is None:
            return source.path
        path = source.run.latest_snapshot() if nimg is None else source.run.snapshot(nimg)
        if not path.is_dir():
            raise UnknownSourceError(f"the run has no snapshot at {nimg:,} images")
        return path

    def ready(self, name: str) -> Model | None:
        """Return a model as ``model`` does, if it is in memory already.

        Raises:
            UserError: as ``model``.
        """
        path = self._path(name)
        with self._lock:
            if path in self._models:
                self._models.move_to_end(path)
            return self._models.get(path)

    def model(self, name: str) -> Model:
        """Return the model that a client names; of a run its newest snapshot.

        Raises:
            UnknownSourceError: there is none.
            UserError: the run has no snapshot yet.
        """
        path, found = self._path(name), self.ready(name)
        if found is not None:
            return found
        model = load(path, device=self._device)
        with self._lock:
            self._models[path] = model
            while len(self._models) > _KEPT_MODELS:
                self._models.popitem(last=False)
        return model

    def describe(self, name: str) -> dict[str, Any]:
        """Return what the page knows of a model, and which others there are."""
        source, _ = self.find(name)
        model = self.model(name)
        about = describe(model, source.command)
        return {
            **about,
            "id": name,
            "title": source.title,
            "style_layers": model.style_layers,
            "style_size": model.style_size,
        }

    def listed(self) -> list[dict[str, Any]]:
        """Return the sources for the page's menus."""
        return [
            {"id": each.id, "title": each.title, "run": each.run is not None, "ready": _has_model(each)}
            for each in self.sources.values()
        ]

    def snapshots(self, name: str) -> list[int]:
        """Return at how many images a run's snapshots were taken, oldest first."""
        return [nimg_of(path) for path in self.run(name).list_snapshots()]


def _has_model(source: Source) -> bool:
    return source.run is None or bool(source.run.list_snapshots())
