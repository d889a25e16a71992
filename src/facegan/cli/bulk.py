"""How ``facegan sample`` writes many faces: into a folder or into shards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

if TYPE_CHECKING:
    from facegan.bulk.job import Face, Job, Tell
    from facegan.bulk.job import Progress as Report


def write_folder(job: Job, out: Path, *, force: bool) -> str:
    """Write or go on with a folder of PNGs; return what became of it."""
    from facegan.bulk.png_folder import PngFolder, write

    def seen(name: str, face: Face) -> None:
        if face.score is not None:
            typer.echo(f"{name} {face.score:.4f}")

    with _shown() as (progress, tell):
        made = write(PngFolder(job, out), force=force, seen=seen, progress=progress, tell=tell)
    faces = f"{job.count:,} face{'s' if job.count > 1 else ''} of seed {job.seed} in {out}"
    return faces if made == job.count else f"{faces}: {job.count - made:,} were there already, {made:,} made now"


def write_shards(job: Job, out: Path, *, size: int, form: str, share: tuple[int, int], force: bool) -> str:
    """Write or go on with a share of tar shards; return what became of it."""
    from facegan.bulk.shards import Shards, make

    shards = Shards(job, out, size, form)
    with _shown() as (progress, tell):
        result = make(shards, shards.share(*share), force=force, progress=progress, tell=tell)
    kept = f", {result.kept:,} whole already" if result.kept else ""
    made = f"{result.made:,} shard{'' if result.made == 1 else 's'} made"
    mine = f"share {share[0]}/{share[1]}: " if share != (1, 1) else ""
    if result.missing:
        rest = f"{len(result.missing):,} of {shards.count:,} shards are still missing, such as "
        return f"{mine}{made}{kept}; {rest}{shards.path(result.missing[0]).name}"
    return (
        f"{mine}{made}{kept}; all {job.count:,} faces of seed {job.seed} are in {shards.count:,} "
        f"shards, listed in {shards.manifest}"
    )


@contextmanager
def _shown() -> Iterator[tuple[Report, Tell]]:
    """Show on standard error how far it is: a bar with rate and time left, or, in no terminal, a line now and then."""
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    begin = time.monotonic()
    state = "0 faces/s"
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=None)

        def progress(done: int, whole: int) -> None:
            nonlocal state
            rate = done / max(time.monotonic() - begin, 1e-9)
            left = timedelta(seconds=round((whole - done) / max(rate, 1e-9)))
            state = f"{rate:,.0f} faces/s, {left} left"
            bar.update(task, completed=done, total=whole, description=state)

        def tell(sentence: str) -> None:
            line = f"{sentence} ({state})" if sentence.endswith(" faces") else sentence
            console.print(line, highlight=False, markup=False, soft_wrap=True)

        try:
            yield progress, tell
        except KeyboardInterrupt as stop:
            stop.add_note("what is made stays, and the same command goes on")
            raise
