"""``facegan synth-dataset``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from facegan.cli import options


def synth_dataset(
    out: Annotated[Path, Argument(metavar="OUT", help="New folder; nothing is ever overwritten.")],
    count: options.Count = "2000",
    seed: Annotated[int, Option(help="The same seed makes the same faces.")] = 0,
    model: Annotated[Path, Option(help=options.MODEL_HELP)] = Path("celeba64"),
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Make a labelled set of faces in CelebA's exact layout, without a photograph and without a download.

    The model generates the faces, and attributes-net labels each with the 40 attributes. Every face counts as a
    different person, and as with CelebA one in ten is held out when facegan trains on them.

    \b
    facegan synth-dataset faces --count 5000
    facegan prepare faces faces64 --preview
    facegan synth-dataset mine --model runs/mine --seed 1
    """
    from facegan import api
    from facegan.cli.progress import make_listener, progress_reporter
    from facegan.machine import inference_device, keep_freed_memory
    from facegan.perception.labeller import shipped
    from facegan.synthetic_dataset import copies_sentence, write_synthetic_dataset

    number = options.count(count, "--count")
    options.check_between("--seed", seed, 0, 2**63 - 1)
    keep_freed_memory()
    with make_listener(as_json) as listener:
        place = str(inference_device(device))
        about = write_synthetic_dataset(
            out, api.load(model, device=place), shipped(place), number, seed, progress=progress_reporter(listener)
        )
    if as_json:
        listener.event("made", dataset=str(out), count=number, seed=seed)
    else:
        typer.echo(
            f"{out}: {number:,} synthetic faces; {copies_sentence(about)}; "
            f"next: facegan prepare {out} {out}-64 --resolution 64"
        )
