"""How the command line shows a training: a progress bar and lines for people, JSON lines for programs."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from facegan.cli.failures import talk_to_nobody
from facegan.training.watchdog import POLICY


class OutputConsole(Console):
    """Rich's console, which would end the process when its reader goes away."""

    def on_broken_pipe(self) -> None:
        talk_to_nobody()


class JsonListener:
    """One JSON line on standard output for each event."""

    def event(self, kind: str, **fields: Any) -> None:
        try:
            print(json.dumps({"event": kind, **fields}), flush=True)
        except BrokenPipeError:
            talk_to_nobody()

    def progress(self, nimg: int, target: int | None, rate: float, seconds_left: float | None = None) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...


class TerminalListener:
    """A progress bar with rate and time left; lines for what is worth keeping on the screen."""

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
        self._task = self._bar.add_task("", rate=0.0, left="?", total=None, visible=False)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def event(self, kind: str, **fields: Any) -> None:
        match kind:
            case "start":
                held_out = f" ({fields['held_out']:,} of held-out people left out)" if fields["held_out"] else ""
                begun = f"goes on at {fields['nimg']:,} images" if fields["nimg"] else "begins"
                self._say(
                    f"{fields['recipe']} at {fields['resolution']} px on {fields['faces']:,} faces{held_out} {begun}: "
                    f"{fields['device']}, {fields['precision']}, "
                    f"{fields['threads']} thread{'s' if fields['threads'] > 1 else ''}"
                    + (f", {fields['processes']} processes" if fields["processes"] > 1 else "")
                    + f"; run folder {fields['run']}"
                )
                if fields["origin"]:
                    self._say(f"  {fields['origin']}")
                self._say(f"  {_computing(fields)}")
                self._say(f"  {_space(fields)}")
                self._say(f"  watchdog: {POLICY}; on a suspected collapse: {fields['on_collapse']}")
            case "labels":
                self._say(
                    f"attributes-net labels the {fields['faces']:,} faces without attributes (once, before the run "
                    "begins) ..."
                )
            case "reference":
                self._say(
                    f"attributes-net looks at {fields['faces']:,} faces of the data, for the quick score (once, before "
                    "the run begins) ..."
                )
            case "log":
                self._say(
                    f"{fields['nimg']:>10,} images  D loss {fields['D_loss']:.3f}  G loss {fields['G_loss']:.3f}  "
                    f"D right on real {fields['D_accuracy_real']:.0%}, fake {fields['D_accuracy_fake']:.0%}  "
                    f"{fields['images_per_s']:.0f} images/s"
                )
            case "grid":
                self._say(f"{fields['nimg']:>10,} images  grid {fields['path']}")
            case "snapshot":
                rate = fields["megabytes"] / max(fields["written_s"], 1e-9)
                self._say(
                    f"{fields['nimg']:>10,} images  snapshot {fields['path']}  ({fields['megabytes']:,.0f} MB at "
                    f"{rate:,.0f} MB/s, training paused {fields['paused_s']:.2f} s)"
                )
            case "alarm":
                action = fields["action"] if fields["rewind_to"] is None else f"back to {fields['rewind_to']:,} images"
                self._say(f"{fields['nimg']:>10,} images  ALARM {fields['alarm']}: {fields['message']}; {action}")
            case "warning":
                self._say(f"{fields['nimg']:>10,} images  WARNING {fields['message']}")

    def _say(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def progress(self, nimg: int, target: int | None, rate: float, seconds_left: float | None = None) -> None:
        if seconds_left is None and target is not None:
            seconds_left = (target - nimg) / max(rate, 1e-9)
        if seconds_left is not None:
            target = nimg + round(rate * seconds_left)  # the end may be a time
        left = (
            "?" if seconds_left is None or seconds_left > 1e9 else str(timedelta(seconds=max(0, round(seconds_left))))
        )
        self._bar.update(
            self._task, completed=nimg, total=target, rate=rate, left=left, description=f"{nimg:,} images", visible=True
        )


def _computing(choices: dict[str, Any]) -> str:
    """Return how the run computes, in a sentence."""
    forms = Counter([*choices["generator"].values(), *choices["discriminator"].values()])
    counted = ", ".join(f"{number} {form}" for form, number in forms.most_common())
    asked = "measured here: " if choices["forms"] == "auto" else ""
    rate = choices["images_per_s"]
    expected = "" if rate is None else f"; about {rate:.3g} images/s, measured when the run began"
    return f"layers {asked}{counted or 'direct'}{expected}"


def _space(fields: dict[str, Any]) -> str:
    """Return what the run will take of the disk, in a sentence."""
    size, needed, free = (fields[f"{name}_bytes"] / 1e6 for name in ("snapshot", "needed", "free"))
    short = "" if needed < free else "; NOT ENOUGH: make room in time, or keep fewer"
    return f"disk: {size:,.1f} MB a snapshot, {needed:,.0f} MB in all, {free:,.0f} MB free{short}"


def make_listener(as_json: bool) -> JsonListener | TerminalListener:
    """Return the listener that a command's ``--json`` asks for."""
    return JsonListener() if as_json else TerminalListener(OutputConsole())
