"""``facegan demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

_NOTE = (
    "This run learnt from faces that the model celeba64 made. Where this page says real, training or held-out, it "
    "means those: no photograph of a person has a part in it."
)
_TRUNCATION = 0.7
"""Of the faces that are there to be looked at. What is trained on, and what is measured, is not truncated."""
_MEASURED = 1000
"""Faces that the demo's report looks at."""


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = Path("faces"),
    minutes: Annotated[float, typer.Option(help="How long to train, each time.")] = 2.5,
    count: Annotated[str, typer.Option(help="Faces to make and train on.")] = "3000",
    threads: Annotated[
        int | None, typer.Option(help="CPU threads; default: all cores, or fewer where a trial of fewer is faster.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON line for each event.")] = False,
) -> None:
    """Make faces from noise with the shipped model; then train one on a dataset of such faces, and report on it.

    Nothing is downloaded, and no photograph is used. Again, the training goes on from where it stopped, and its faces
    get better.

    \b
    facegan demo
    facegan demo --minutes 20 --out longer
    """
    from facegan.cli.options import count_option
    from facegan.errors import UserError
    from facegan.files import is_taken

    number = count_option(count, "--count", least=64)
    if number > 200_000:
        raise UserError(f"--count {count}: make at most 200k faces")
    if not 0 < minutes < 1e6:
        raise UserError(f"--minutes {minutes:g}: give a time above 0 and below a million minutes")
    if is_taken(out) and not out.is_dir():
        raise UserError(f"--out {out} is a file; name a folder")

    import signal

    import facegan
    from facegan import pixels, recipes
    from facegan.cli.film import stages_picture
    from facegan.cli.prepare import progress_reporter
    from facegan.cli.progress import make_listener
    from facegan.data.prepare import prepare
    from facegan.machine import keep_freed_memory
    from facegan.perception.labeller import shipped
    from facegan.runs.folder import RunFolder
    from facegan.synthetic_dataset import write_synthetic_dataset
    from facegan.training.execution_plan import Requested
    from facegan.training.schedule import Schedule
    from facegan.training.train import train

    def say(text: str, **fields: Any) -> None:
        if json:
            listener.event("demo", message=text, **fields)
        else:
            typer.echo(text)

    made, packed, run, faces = out / "made", out / "made64", out / "run", out / "faces.png"
    begun = out / ".demo"
    if out.is_dir() and any(out.iterdir()) and not begun.exists():
        raise UserError(f"{out} holds other things than a demo; choose another folder with --out")
    keep_freed_memory()
    folder, model = RunFolder(run), facegan.load("celeba64")
    with make_listener(json) as listener:
        out.mkdir(parents=True, exist_ok=True)
        begun.touch()
        pixels.save_png(faces, pixels.grid(model.sample(64, seed=0, truncation=_TRUNCATION)))
        say(
            f"1/4  64 faces from noise, by the model that comes along (facegan sample --truncation {_TRUNCATION}: "
            f"likelier, less varied faces): {faces.absolute()}",
            faces=str(faces.absolute()),
        )
        if not packed.exists():
            say(f"2/4  {number:,} more, untruncated, labelled and packed, to train on: {made}")
            if not made.exists():
                labeller = shipped()
                write_synthetic_dataset(made, model, labeller, number, seed=1, progress=progress_reporter(listener))
            prepare(made, packed, resolution=64, progress=progress_reporter(listener))
        say(f"3/4  A new model learns from these for {minutes:g} minutes; look at {run / 'samples'} meanwhile.")
        schedule = Schedule(minutes=minutes, log_every=1024, sample_every=1000, snapshot_every=16000, score_count=0)
        result = train(
            [packed], run, recipes.recipe("style-s"), schedule=schedule,
            requested=Requested(threads=threads, devices=1), listener=listener,
        )  # fmt: skip
    stages = out / "stages.png"
    pixels.save_png(stages, stages_picture(folder))
    say(
        f"     its faces, from {folder.samples}, the earliest on top: {stages.absolute()}",
        stages=str(stages.absolute()),
    )
    if result.signal is not None:
        typer.echo(f"Stopped early by {signal.Signals(result.signal).name}; facegan demo goes on from there.", err=True)
        raise typer.Exit(128 + result.signal)
    _report(run, out / "report.html", say)


def _report(run: Path, page: Path, say: Any) -> None:
    from facegan.cli.report import write_report
    from facegan.errors import UserError
    from facegan.report.curves import need_matplotlib

    try:
        need_matplotlib()
    except UserError as error:
        say(f"4/4  no report: {error}")
        return
    say(f"4/4  The report: {_MEASURED:,} of its faces against those it learnt from")
    write_report(run, page, count=_MEASURED, real_faces=False, note=_NOTE)
    say(str(page.absolute()), report=str(page.absolute()))
