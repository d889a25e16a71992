"""``facegan film``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facegan.errors import UserError
from facegan.files import is_taken

if TYPE_CHECKING:
    import numpy as np

    from facegan.runs.folder import RunFolder


def film(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    out: Annotated[Path, typer.Option(help="A strip of stages (.png), or all grids as a film (.gif, .webp).")] = Path(
        "stages.png"
    ),
    faces: Annotated[int, typer.Option(help="Faces in each row of the strip, 1 to 64.")] = 8,
    stages: Annotated[int, typer.Option(help="Rows of the strip.")] = 6,
    seconds: Annotated[float, typer.Option(help="Time each grid of a film is shown.")] = 0.25,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is at --out.")] = False,
) -> None:
    """Show how a run's faces came about: the same latents over time.

    \b
    facegan film runs/first --out stages.png
    facegan film runs/first --out film.webp --seconds 0.1
    """
    import numpy as np
    from PIL import Image

    from facegan import pixels
    from facegan.runs.folder import RunFolder

    if not 1 <= faces <= 64 or not 1 <= stages <= 1000:
        raise UserError(f"--faces {faces} --stages {stages}: choose from 1 to 64 faces and from 1 to 1000 stages")
    if not 0 < seconds <= 60:
        raise UserError(f"--seconds {seconds}: choose a time above 0 and up to 60")
    if is_taken(out) and not force:
        raise UserError(f"{out} exists already: choose another --out, or add --force to overwrite it")
    folder = RunFolder(run)
    folder.read()
    match out.suffix.lower():
        case ".png":
            pixels.save_png(out, stages_picture(folder, faces=faces, stages=stages))
        case ".gif" | ".webp":
            pictures = [np.asarray(Image.open(path).convert("RGB")) for path in _grids(folder)]
            pixels.save_animation(out, pictures, seconds=seconds)
        case _:
            raise UserError(f"--out {out}: give a name that ends in .png, .gif or .webp")
    typer.echo(f"{out}", err=True)


def stages_picture(folder: RunFolder, *, faces: int = 8, stages: int = 6) -> np.ndarray:
    """Return one uint8 [H, W, 3] picture: the first faces of several grids of a run, a row each, earliest on top.

    Early stages change most, so the steps between them grow: place i of n is the grid (i / (n - 1)) ** 1.5 of the way.

    Raises:
        UserError: the run has no grid yet.
    """
    import numpy as np
    from PIL import Image

    from facegan import pixels

    grids = _grids(folder)
    side = folder.read()["config"]["recipe"]["resolution"]
    places = np.unique(np.round(np.linspace(0, 1, stages) ** 1.5 * (len(grids) - 1)).astype(int))
    cells = []
    for place in places:
        picture = np.asarray(Image.open(grids[place]).convert("RGB"))
        cells += list(pixels.ungrid(picture, side)[:faces])
    return pixels.grid(np.stack(cells), columns=faces)


def _grids(folder: RunFolder) -> list[Path]:
    grids = folder.list_grids()
    if not grids:
        raise UserError(f"{folder.path} has no grid of samples yet; train it further, then try again")
    return grids
