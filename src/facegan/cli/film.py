"""``facegan film``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from facegan.cli import options
from facegan.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from facegan.runs.folder import RunFolder


def film(
    run: Annotated[Path, Argument(help="Folder of a run.")],
    out: Annotated[Path, Option(help="A strip of stages (.png), or all grids as a film (.gif, .webp).")] = Path(
        "stages.png"
    ),
    faces: Annotated[int, Option(help="Faces in each row of the strip, 1 to 64.")] = 8,
    stages: Annotated[int, Option(help="Rows of the strip.")] = 6,
    seconds: Annotated[float, Option(help="How long a film shows each grid.")] = 0.25,
    force: options.Force = False,
) -> None:
    """Show how a run's faces developed: the same latents over time.

    \b
    facegan film runs/first --out stages.png
    facegan film runs/first --out film.webp --seconds 0.1
    """
    from facegan import pixels
    from facegan.report.pictures import read_picture
    from facegan.runs.folder import RunFolder

    options.check_between("--faces", faces, 1, 64)
    options.check_between("--stages", stages, 2, 1000)
    if not 0 < seconds <= 60:
        raise UserError(f"--seconds {seconds}: choose a time above 0 and up to 60")
    options.check_suffix("--out", out, ".png", ".gif", ".webp")
    options.check_free(out, force)
    folder = RunFolder(run)
    folder.read()
    if out.suffix.lower() == ".png":
        pixels.save_png(out, stages_picture(folder, faces=faces, stages=stages), folder.provenance())
    else:
        pictures = [read_picture(path) for path in _grids(folder)]
        pixels.save_animation(out, pictures, folder.provenance(), seconds=seconds)
    typer.echo(f"{out}", err=True)


def stages_picture(folder: RunFolder, *, faces: int = 8, stages: int = 6) -> np.ndarray:
    """Return one uint8 [H, W, 3] picture: the first faces of several grids of a run, a row each, earliest on top.

    Early stages change most, so the steps between them grow: place i of n is the grid (i / (n - 1)) ** 1.5 of the way.

    Raises:
        UserError: the run has no grid yet.
    """
    import numpy as np

    from facegan import pixels
    from facegan.report.pictures import read_picture

    grids = _grids(folder)
    side = folder.read()["config"]["recipe"]["resolution"]
    places = np.unique(np.round(np.linspace(0, 1, stages) ** 1.5 * (len(grids) - 1)).astype(int))
    rows = [pixels.ungrid(read_picture(grids[place]), side)[:faces] for place in places]
    return pixels.grid(np.concatenate(rows), columns=faces)


def _grids(folder: RunFolder) -> list[Path]:
    grids = folder.list_grids()
    if not grids:
        raise UserError(f"{folder.path} has no grid of samples yet; train it further, then try again")
    return grids
