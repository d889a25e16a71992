"""How the command line shows long work: progress bars and lines for people, JSON lines for programs."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from facegan.durations import duration_text
from facegan.training.watchdog import POLICY


def _finite(value: Any) -> Any:
    """Return a value as JSON has it: null for what is not finite, as in ``log.jsonl``."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


class JsonListener:
    """One JSON line on standard output for each event."""

    def event(self, kind: str, **fields: Any) -> None:
        print(json.dumps({"event": kind} | {name: _finite(value) for name, value in fields.items()}), flush=True)

    def progress(self, nimg: int, target: int | None, rate: float, seconds_left: float | None = None) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...


class TerminalListener:
    """A progress bar with rate and time left; lines for the events that people want to see."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]:.0f} images/s"),
            TextColumn("{task.fields[left]} left"),
            console=console,
            disable=not console.is_terminal,
        )
        self._first: int | None = None
        """Images when the bar was first drawn."""
        self._task = self._bar.add_task("", rate=0.0, left="?", total=None, visible=False)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def event(self, kind: str, **fields: Any) -> None:
        for line in _lines(kind, fields):
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def progress(self, nimg: int, target: int | None, rate: float, seconds_left: float | None = None) -> None:
        first = 0
        if target is None and seconds_left is not None:  # the end is a time: a bar of this call, not of the whole run
            self._first = first = nimg if self._first is None else self._first
            target = nimg + round(rate * seconds_left)
        elif target is not None and seconds_left is None:
            seconds_left = (target - nimg) / max(rate, 1e-9)
        left = "?"
        if seconds_left is not None and seconds_left <= 1e9:
            left = str(timedelta(seconds=max(0, round(seconds_left))))
        self._bar.update(
            self._task, completed=nimg - first, total=None if target is None else target - first, rate=rate, left=left,
            description=f"{nimg:,} images", visible=True,
        )  # fmt: skip


def _lines(kind: str, fields: dict[str, Any]) -> list[str]:
    """Return what people see of an event."""
    at = f"{fields.get('nimg', 0):>10,} images  "
    match kind:
        case "measuring":
            return ["measuring what is fastest on this machine: precision, threads, layers ..."]
        case "start":
            return _start_lines(fields)
        case "labels":
            return [f"attributes-net labels the {fields['faces']:,} faces without attributes (once per run) ..."]
        case "reference":
            return [
                f"attributes-net reads {fields['faces']:,} faces of the data for the quick score (once per run) ..."
            ]
        case "log" if "loss" in fields:  # attributes-net
            return [f"{at}loss {fields['loss']:.4f}  {fields['images_per_s']:.0f} images/s"]
        case "log":
            losses = "  ".join(f"{side} loss {fields[key]:.3f}" for side in "DG" if (key := f"{side}_loss") in fields)
            right = f"D right on real {fields['D_accuracy_real']:.0%}, fake {fields['D_accuracy_fake']:.0%}"
            return [f"{at}{losses}  {right}  {fields['images_per_s']:.0f} images/s"]
        case "grid":
            return [f"{at}grid {fields['path']}"]
        case "snapshot":
            size, rate = fields["megabytes"], fields["megabytes"] / max(fields["written_s"], 1e-9)
            paused = f"training paused {fields['paused_s']:.2f} s"
            return [f"{at}snapshot {fields['path']}  ({size:,.0f} MB at {rate:,.0f} MB/s, {paused})"]
        case "alarm":
            action = fields["action"] if fields["rewind_to"] is None else f"back to {fields['rewind_to']:,} images"
            return [f"{at}ALARM {fields['alarm']}: {fields['message']}; {action}"]
        case "warning":
            return [f"{at}WARNING {fields['message']}"]
        case "stopping":
            return [f"{at}stopping, once a snapshot is written; a second Ctrl-C ends it at once, without one"]
        case "demo":
            return [fields["message"]]
    return []


def _start_lines(fields: dict[str, Any]) -> list[str]:
    """Return what a training that starts consists of: data, device, layers, disk space, watchdog."""
    held_out = f" ({fields['held_out']:,} held out)" if fields["held_out"] else ""
    begun = f"goes on at {fields['nimg']:,} images" if fields["nimg"] else "begins"
    threads = f"{fields['threads']} thread{'s' if fields['threads'] > 1 else ''}"
    processes = f", {fields['processes']} processes" if fields["processes"] > 1 else ""

    forms = Counter([*fields["generator"].values(), *fields["discriminator"].values()])
    counted = ", ".join(f"{number} {form}" for form, number in forms.most_common()) or "direct"
    measured = "measured here: " if fields["forms"] == "auto" else ""
    rate = fields["images_per_s"]
    expected = "" if rate is None else f"; about {rate:.3g} images/s when that was measured"

    size, needed, free = (fields[f"{name}_bytes"] / 1e6 for name in ("snapshot", "needed", "free"))
    short = "" if needed < free else "; NOT ENOUGH: make room in time, or keep fewer"
    return [
        f"{fields['recipe']} at {fields['resolution']} px on {fields['faces']:,} faces{held_out} {begun}: "
        f"{fields['device']}, {fields['precision']}, {threads}{processes}; run folder {fields['run']}",
        *([f"  {fields['origin']}"] if fields["origin"] else []),
        f"  layers {measured}{counted}{expected}",
        *([f"  {long}"] if (long := _length(fields)) else []),
        f"  disk: {size:,.1f} MB a snapshot, {needed:,.0f} MB still to come, {free:,.0f} MB free{short}",
        f"  watchdog: {POLICY}; on a suspected collapse: {fields['on_collapse']}",
    ]


def _length(fields: dict[str, Any]) -> str:
    """Return how long a training that starts will be, as far as that is known."""
    images, minutes, nimg, rate = (fields[name] for name in ("images", "minutes", "nimg", "images_per_s"))
    said = []
    if images is not None:
        about = "" if rate is None or images <= nimg else f" (about {duration_text((images - nimg) / rate)})"
        said.append(f"until {images:,} images{about}")
    if minutes is not None:
        about = "" if rate is None else f" (about {float(f'{rate * minutes * 60:.2g}'):,.0f} images)"
        said.append(f"for {minutes:g} minute{'' if minutes == 1 else 's'}{about}")
    return " or ".join(said) + (", whichever is first" if len(said) > 1 else "")


def make_listener(as_json: bool) -> JsonListener | TerminalListener:
    """Return the listener that a command's ``--json`` calls for."""
    return JsonListener() if as_json else TerminalListener(Console())


def progress_reporter(listener: JsonListener | TerminalListener) -> Callable[[int, int], None]:
    """Return a function of (images done, images in all) that shows them: a bar, or one JSON line a second."""
    begin = reported = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal reported
        now = time.monotonic()
        rate = done / max(now - begin, 1e-9)
        listener.progress(done, total, rate)
        if now - reported >= 1:
            reported = now
            left = (total - done) / rate
            listener.event("progress", done=done, total=total, images_per_s=round(rate, 1), seconds_left=round(left, 1))

    return report


@contextmanager
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """Show stages of work on standard error: yields a function of (name, done, whole).

    A terminal shows a bar with the time left for each stage; anything else gets the name of each stage, if it has one.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), "left", TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def stage(name: str, done: int, whole: int) -> None:
            if name not in tasks:
                if name and not console.is_terminal:
                    console.print(f"{name} ({whole:,}) ...", highlight=False, markup=False, soft_wrap=True)
                tasks[name] = bar.add_task(name, total=whole)
            bar.update(tasks[name], completed=done)

        yield stage
