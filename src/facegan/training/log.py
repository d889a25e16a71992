"""What a run says about itself: ``log.jsonl``, TensorBoard events, and whoever watches."""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from facegan.files import parse_json
from facegan.runs.folder import RunFolder


class RunLog:
    """The one writer of ``log.jsonl`` and of the TensorBoard events of a run.

    A disk that is full costs no line: lines wait in memory until they can be written.
    """

    def __init__(self, folder: RunFolder, nimg: int) -> None:
        """Open the log of a run that stands at ``nimg``: lines from beyond (of a killed process) are cut away."""
        self._folder, self._path = folder, folder.log
        self.history: list[dict[str, Any]] = []
        """The lines so far, for the watchdog; values that were not finite are None."""
        self._waiting: list[dict[str, Any]] = []
        """Lines that are not on the disk yet."""
        self._written = 0
        """Bytes of the file that the next line stands behind."""
        self._events: Any = None
        self.cut_back(nimg)

    def cut_back(self, nimg: int) -> None:
        """Drop the lines beyond ``nimg`` and whatever is no line.

        Lines of an unfinished window stay until the next line is written, which takes their place.
        """
        self.close()
        self._waiting = [line for line in self._waiting if line["nimg"] <= nimg and not line.get("unfinished")]
        self.history, self._written, whole = [], 0, 0
        content = self._path.read_bytes() if self._path.exists() else b""
        for text in content.splitlines(keepends=True):
            line = _decode(text)
            if line is None or line["nimg"] > nimg:
                break
            whole += len(text)
            if not line.get("unfinished"):
                self.history.append(line)
                self._written = whole
        with self._path.open("ab") as file:
            file.truncate(whole)
        self.history += self._waiting
        self._open_events(nimg)

    def _open_events(self, nimg: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        threading.excepthook = _excepthook
        try:
            self._events = SummaryWriter(str(self._folder.tensorboard), purge_step=nimg + 1, flush_secs=30)
        except OSError:
            self._events = None

    def last_losses(self) -> dict[str, Any] | None:
        """Return the newest line that has a rate of training, or None."""
        return next((line for line in reversed(self.history) if "images_per_s" in line), None)

    def line(self, nimg: int, values: Mapping[str, float], *, unfinished: bool = False) -> None:
        """Write one line, and one event for each value, at ``nimg`` images.

        ``unfinished``: the run stops within a window; a resumed run writes the whole window's line instead.
        """
        rounded = {name: float(f"{value:.6g}") if math.isfinite(value) else None for name, value in values.items()}
        entry = {"nimg": nimg, **rounded}
        self.history.append(entry)
        self._waiting.append({**entry, "unfinished": True} if unfinished else entry)
        self.flush()
        if not unfinished:
            self._event(nimg, lambda events: [events.add_scalar(name, value, nimg) for name, value in values.items()])

    def flush(self) -> bool:
        """Write what waits; return whether it is on the disk."""
        content = "".join(json.dumps(line) + "\n" for line in self._waiting).encode()
        if not content:
            return True
        try:
            with self._path.open("r+b", buffering=0) as file:
                file.seek(self._written)
                if file.write(content) != len(content):
                    raise OSError("the disk is full")
                file.truncate()
                os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                os.truncate(self._path, self._written)
            return False
        self._written += len(content)
        self._waiting.clear()
        return True

    def picture(self, nimg: int, png: Path, shape: Sequence[int]) -> None:
        """Write a grid of samples as an event: the bytes of its file, whose picture is [H, W, 3]."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        def write(events: Any) -> None:
            height, width, channels = shape
            image = Summary.Image(
                height=height, width=width, colorspace=channels, encoded_image_string=png.read_bytes()
            )
            events.file_writer.add_summary(Summary(value=[Summary.Value(tag="samples", image=image)]), nimg)

        self._event(nimg, write)

    def _event(self, nimg: int, write: Callable[[Any], object]) -> None:
        try:
            if self._events is None:
                self._open_events(nimg)
            if self._events is not None:
                write(self._events)
        except OSError:  # its writer died of a full disk; the next one begins a file of its own
            self._drop_events()

    def _drop_events(self) -> None:
        events, self._events = self._events, None
        with contextlib.suppress(OSError):
            if events is not None:
                events.close()

    def close(self) -> None:
        """Flush and close both."""
        self._drop_events()
        if self._waiting:
            self.flush()


_default_excepthook = threading.excepthook


def _excepthook(arguments: threading.ExceptHookArgs) -> None:
    """Pass over the traceback of TensorBoard's thread when its disk fails: the training notices and goes on."""
    ours = type(arguments.thread).__module__.startswith("tensorboard")
    if not (ours and issubclass(arguments.exc_type, OSError)):
        _default_excepthook(arguments)


def _decode(text: bytes) -> dict[str, Any] | None:
    """Return the line that a resumed run keeps, or None if it is to be cut away."""
    try:
        line = parse_json(text)
    except ValueError:
        return None
    whole = isinstance(line, dict) and type(line.get("nimg")) is int and text.endswith(b"\n")
    if not whole or line.get("unfinished", True) is not True:
        return None
    values = [value for name, value in line.items() if name != "unfinished"]
    if not all(value is None or type(value) in (int, float) for value in values):
        return None
    return line
