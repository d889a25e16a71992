"""``facegan runs`` and ``facegan runs clean``."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.text import Text

    from facegan.runs.folder import RunFolder


def runs(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[clean] [DIR]...", help="Folders that hold runs; default: runs.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="clean: delete without asking.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON line for each run.")] = False,
) -> None:
    """Show the runs in a folder: recipe, progress, rate, quick score, health, size; or free the space they waste.

    clean deletes what a killed process left half-written, snapshots that a rewind set aside, and all snapshots but the
    newest and the best of each run that nobody is training. It shows them and asks first.

    \b
    facegan runs
    facegan runs experiments/ --json
    facegan runs clean runs/first
    """
    from facegan.errors import UserError, system_failure
    from facegan.runs.overview import find_runs

    words = words or []
    cleaning = words[:1] == ["clean"]
    if cleaning and json:
        raise UserError("--json shows runs; facegan runs clean only prints what it would delete, and asks")
    folders = [Path(word) for word in words[cleaning:]] or [Path("runs")]

    def unlisted(error: OSError) -> None:
        typer.echo(f"warning: left out {system_failure(error)}", err=True)

    found = [run for folder in folders for run in find_runs(folder, unlisted)]
    if not found:
        typer.echo(f"no run is in {', '.join(str(folder) for folder in folders)}", err=True)
        return
    if cleaning:
        _clean(found, yes)
    else:
        _show(found, json)


def _show(found: list[RunFolder], json: bool) -> None:
    from dataclasses import asdict

    from rich.table import Table

    from facegan.cli.progress import OutputConsole
    from facegan.errors import UserError
    from facegan.runs.overview import overview

    table = Table(box=None, pad_edge=False)
    for heading in ("run", "recipe", "images", "rate", "quick score", "Frechet", "health", "size", "now"):
        table.add_column(heading, overflow="fold", justify="right" if heading in ("images", "rate", "size") else "left")
    for folder in found:
        try:
            run = overview(folder)
        except (UserError, OSError) as error:
            if json:
                typer.echo(json_format.dumps({"path": str(folder.path), "error": str(error)}))
            table.add_row(_plain(str(folder.path)), "?", "", "", "", "", _plain(str(error)), "", "")
            continue
        if json:
            from facegan.evaluation.follow import headline, read_scores

            scored = {str(nimg): headline(receipt) for nimg, receipt in read_scores(folder).items()}
            typer.echo(json_format.dumps(asdict(run) | {"frechet": scored}))
        share = f" of {run.target:,}" if run.target else ""
        row = (
            run.path,
            f"{run.recipe} {run.resolution}",
            f"{run.nimg:,}{share}",
            "" if run.images_per_s is None else f"{run.images_per_s:.0f}/s",
            "" if run.quick_score is None else f"{run.quick_score:.2f} {run.best}",
            _newest_score(folder),
            run.health,
            f"{run.bytes / 1e6:,.0f} MB",
            "training" if run.training else "",
        )
        table.add_row(*map(_plain, row))
    if not json:
        console = OutputConsole()
        console = console if console.is_terminal else OutputConsole(width=400)
        console.print(table, highlight=False)


def _plain(text: str) -> Text:
    """Return text of a file as it is: no markup, nothing that commands the terminal."""
    from rich.text import Text

    return Text("".join(letter if letter.isprintable() else "?" for letter in text))


def _newest_score(folder: RunFolder) -> str:
    """Return what facegan evaluate --follow found of the newest snapshot that it scored."""
    from facegan.evaluation.follow import headline, read_scores

    receipts = read_scores(folder)
    if not receipts:
        return ""
    newest = max(receipts)
    values = ", ".join(f"{space} {value:.3g}" for space, value in headline(receipts[newest]).items())
    return f"{values} at {newest:,}"


def _clean(found: list[RunFolder], yes: bool) -> None:
    from facegan.runs.overview import reclaim, reclaimable

    offered = {folder: items for folder in found if (items := reclaimable(folder))}
    for items in offered.values():
        for item in items:
            typer.echo(f"{item.bytes / 1e6:>10,.1f} MB  {item.path}  ({item.reason})")
    if not offered:
        typer.echo("nothing to delete")
        return
    total = sum(item.bytes for items in offered.values() for item in items)
    if not yes:
        try:
            agreed = typer.confirm(f"Delete these {total / 1e6:,.1f} MB?")
        except typer.Abort:
            typer.echo("\nnothing deleted: nobody answered; --yes deletes without asking")
            raise typer.Exit(1) from None
        if not agreed:
            typer.echo("nothing deleted")
            return
    freed = sum(reclaim(folder, items) for folder, items in offered.items())
    typer.echo(f"{freed / 1e6:,.1f} MB freed")
