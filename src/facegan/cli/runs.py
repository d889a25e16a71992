"""``facegan runs`` and ``facegan runs clean``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from facegan.cli import options
from facegan.cli.console import print_table
from facegan.errors import UserError, system_failure

if TYPE_CHECKING:
    from facegan.runs.folder import RunFolder


def runs(
    words: Annotated[
        list[str] | None, Argument(metavar="[clean] [DIR]...", help="Folders that hold runs; default: runs.")
    ] = None,
    yes: Annotated[bool, Option("--yes", help="clean: delete without asking.")] = False,
    as_json: options.Json = False,
) -> None:
    """List the runs in a folder: recipe, progress, rate, quick score, health, size; or free the space they waste.

    clean deletes what a killed process left half-written, snapshots that a rewind set aside, and all snapshots but the
    newest and the best of each run that is not being trained. It lists them and asks first.

    \b
    facegan runs
    facegan runs experiments/ --json
    facegan runs clean runs/first
    """
    from facegan.runs.overview import find_runs

    words = words or []
    cleaning = words[:1] == ["clean"]
    if yes and not cleaning:
        raise UserError("--yes is for facegan runs clean: runs by itself deletes nothing")
    if cleaning and as_json:
        raise UserError("--json lists runs; facegan runs clean only prints what it would delete, and asks")
    folders = [Path(word) for word in words[cleaning:]] or [Path("runs")]

    def unlisted(error: OSError) -> None:
        typer.echo(f"warning: left out {system_failure(error)}", err=True)

    listed = [run for folder in folders for run in find_runs(folder, unlisted)]
    found = list({run.path.resolve(): run for run in reversed(listed)}.values())[::-1]
    if not found:
        typer.echo(f"no runs in {', '.join(str(folder) for folder in folders)}", err=True)
    elif cleaning:
        _clean(found, yes)
    elif as_json:
        for folder in found:
            typer.echo(json.dumps(_values(folder)))
    else:
        headings = ("run", "recipe", "images", "rate", "best quick score", "Frechet", "health", "size", "now")
        print_table(headings, map(_row, map(_values, found)), left=set(headings) - {"images", "rate", "size"})


def _values(folder: RunFolder) -> dict[str, Any]:
    """Return a run as JSON values."""
    from facegan.evaluation.follow import headline, read_scores
    from facegan.runs.overview import overview

    try:
        run = overview(folder)
    except (UserError, OSError) as error:
        return {"path": str(folder.path), "error": str(error)}
    scores = {str(nimg): headline(receipt) for nimg, receipt in read_scores(folder).items()}
    return asdict(run) | {"frechet": scores}


def _row(run: dict[str, Any]) -> tuple[str, ...]:
    """Return a run's values as a row of the table."""
    if "error" in run:
        return (run["path"], "?", "", "", "", "", run["error"], "", "")
    frechet = ""
    if run["frechet"]:
        newest, scores = list(run["frechet"].items())[-1]
        frechet = ", ".join(f"{space} {value:.3g}" for space, value in scores.items()) + f" at {int(newest):,}"
    return (
        run["path"],
        f"{run['recipe']} {run['resolution']}",
        f"{run['nimg']:,}" + (f" of {run['target']:,}" if run["target"] else ""),
        "" if run["images_per_s"] is None else f"{run['images_per_s']:.0f}/s",
        "" if run["quick_score"] is None else f"{run['quick_score']:.2f} {run['best']}",
        frechet,
        run["health"],
        f"{run['bytes'] / 1e6:,.0f} MB",
        "training" if run["training"] else "",
    )


def _clean(found: list[RunFolder], yes: bool) -> None:
    from facegan.runs.overview import reclaim, reclaimable

    offered = {folder: items for folder in found if (items := reclaimable(folder))}
    if not offered:
        typer.echo("nothing to delete")
        return
    total = 0
    for item in (item for items in offered.values() for item in items):
        typer.echo(f"{item.bytes / 1e6:>10,.1f} MB  {item.path}  ({item.reason})")
        total += item.bytes
    if not yes:
        try:
            agreed = typer.confirm(f"Delete these {total / 1e6:,.1f} MB?")
        except typer.Abort:
            typer.echo("\nnothing deleted: there was no answer; --yes deletes without asking")
            raise typer.Exit(1) from None
        if not agreed:
            typer.echo("nothing deleted")
            return
    freed = sum(reclaim(folder, items) for folder, items in offered.items())
    typer.echo(f"{freed / 1e6:,.1f} MB freed")
