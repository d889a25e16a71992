"""``facegan demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = Path("faces"),
    images: Annotated[str, typer.Option(help="Images to train on, each time.")] = "10k",
    count: Annotated[str, typer.Option(help="Faces to draw and train on.")] = "3000",
    threads: Annotated[int | None, typer.Option(help="CPU threads; default: all cores.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON line for each event.")] = False,
) -> None:
    """Draw a small set of faces, train a small DCGAN on it for about two minutes, and make faces from noise.

    Nothing is downloaded. Again, it goes on from where it stopped, and the faces get better.

    \b
    facegan demo
    facegan demo --images 50k --out better-faces
    """
    from facegan.cli.options import count_option
    from facegan.errors import UserError

    number, faces_drawn = count_option(images, "--images"), count_option(count, "--count", least=64)
    if faces_drawn > 200_000:
        raise UserError(f"--count {count}: draw at most 200k faces")
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file; name a folder")

    import signal

    import facegan
    from facegan import pixels, recipes
    from facegan.cli.film import stages_picture
    from facegan.cli.prepare import progress_reporter
    from facegan.cli.progress import make_watcher
    from facegan.config import with_settings
    from facegan.data.drawn_dataset import write_drawn_dataset
    from facegan.data.prepare import prepare
    from facegan.run import RunFolder
    from facegan.training.schedule import Schedule
    from facegan.training.train import train

    def say(text: str, **fields: Any) -> None:
        if json:
            watcher.event("demo", message=text, **fields)
        else:
            typer.echo(text)

    drawn, packed, run, faces = out / "drawn", out / "drawn64", out / "run", out / "faces.png"
    if faces.exists() and not run.exists():
        raise UserError(f"{faces} is not the demo's; choose another folder with --out")
    folder = RunFolder(run)
    recipe = with_settings(recipes.recipe("dcgan", 64), DEMO_SETTINGS)
    with make_watcher(json) as watcher:
        if not packed.exists():
            say(f"1/3  Drawing {faces_drawn:,} faces in CelebA's layout, then packing them at 64 px: {drawn}")
            if not drawn.exists():
                write_drawn_dataset(drawn, faces_drawn, seed=0, progress=progress_reporter(watcher))
            prepare(drawn, packed, resolution=64, progress=progress_reporter(watcher))
        seen = int(folder.latest_snapshot().name.removeprefix("nimg-")) if folder.list_snapshots() else 0
        say(f"2/3  Training a small DCGAN on {number:,} images; look at {run / 'samples'} meanwhile.")
        schedule = Schedule(images=seen + number, log_every=1024, sample_every=2000, snapshot_every=16000)
        result = train([packed], run, recipe, batch=16, schedule=schedule, threads=threads, watcher=watcher)
    stages = out / "stages.png"
    pixels.save_png(stages, stages_picture(folder))
    pixels.save_png(faces, pixels.grid(facegan.load(run).sample(64, seed=0)))
    say(f"3/3  Faces made from noise after {result.nimg:,} images; how they came about: {stages}", stages=str(stages))
    say(str(faces.absolute()), faces=str(faces.absolute()))
    if result.signal is not None:
        typer.echo(f"Stopped early by {signal.Signals(result.signal).name}; facegan demo goes on from there.", err=True)
        raise typer.Exit(128 + result.signal)


# Narrow, small batches, and a D that is held back: drawn faces are easy to tell from early fakes.
DEMO_SETTINGS = [
    "generator.width=32",
    "discriminator.width=32",
    "generator_optimizer.learning_rate=3e-4",
    "discriminator_optimizer.learning_rate=1e-4",
    "real_label=0.9",
    "ema_halflife=2000",
]
