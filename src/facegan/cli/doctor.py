"""``facegan doctor``."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from facegan.cli import options

if TYPE_CHECKING:
    from facegan.doctor.finding import Finding

_MARKS = {"ok": "ok", "note": "note", "warning": "WARNING", "fault": "FAULT"}


def doctor(
    paths: Annotated[
        list[Path] | None,
        Argument(metavar="[PATH]...", help="Packed data, sources of images, runs, folders of runs, or models."),
    ] = None,
    short: Annotated[bool, Option("--short", help="Leave out what is as it should be.")] = False,
    as_json: options.Json = False,
) -> None:
    """Examine this machine, and data, runs and models: what is wrong, and what cures it.

    Versions, processor, memory, GPUs, folders and locks, what torchrun or Slurm set; of packed data every byte, of
    runs and models every tensor. Nothing is changed, and nothing is deleted. Exit code 1 if there is a fault.

    For a bug report: facegan doctor --json. It writes ~ for your home folder; other paths, and names of your files,
    stand in it as you gave them.

    \b
    facegan doctor
    facegan doctor data/celeba64 runs/style --short
    facegan doctor runs --json
    """
    from facegan.doctor.examination import examine, without_home

    counts: Counter[str] = Counter()
    topic = ""
    for finding in examine(paths or []):
        counts[finding.level] += 1
        if as_json:
            typer.echo(without_home(json.dumps({"event": "finding", **asdict(finding)})))
        elif not (short and finding.level == "ok"):
            topic = _print(finding, topic)
    if as_json:
        from facegan.machine import describe_machine

        told = {"event": "verdict", "faults": counts["fault"], "warnings": counts["warning"]}
        typer.echo(without_home(json.dumps({**told, "machine": describe_machine()})))
    else:
        typer.echo(f"\n{_verdict(counts)}")
    if counts["fault"]:
        raise typer.Exit(1)


def _print(finding: Finding, topic: str) -> str:
    """Print a finding, under its topic's heading if that is new; return its topic."""
    if finding.topic != topic:
        typer.echo(("\n" if topic else "") + _plain(finding.topic))
    typer.echo(f"  {_MARKS[finding.level]:<8}{_plain(finding.sentence)}")
    if finding.cure:
        typer.echo(f"  {'':<8}-> {_plain(finding.cure)}")
    return finding.topic


def _plain(text: str) -> str:
    """Return a text that cannot control the terminal: it may hold names of files."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _verdict(counts: Counter[str]) -> str:
    if not counts["fault"] and not counts["warning"]:
        return "nothing is wrong"
    parts = [
        f"{counts[level]} {level}{'s' if counts[level] > 1 else ''}" for level in ("fault", "warning") if counts[level]
    ]
    return f"{' and '.join(parts)} found"
