"""``facegan morph`` and ``facegan mix``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from facegan.cli import options
from facegan.errors import UserError

if TYPE_CHECKING:
    import numpy as np


def morph(
    model: options.Model,
    faces: Annotated[
        list[str] | None,
        Argument(help="Two faces or more: numbers of the seed, SEED:NUMBER, or saved faces (.safetensors)."),
    ] = None,
    out: Annotated[
        Path, Option(help="A film (.avif, .webp, .gif, .mp4), or a folder for its pictures (a name without a suffix).")
    ] = Path("morph.webp"),
    seconds: Annotated[float, Option(help="Length of the film.")] = 6.0,
    rate: Annotated[float, Option(help="Pictures a second.")] = 25.0,
    once: Annotated[bool, Option("--once", help="End at the last face, instead of going back to the first.")] = False,
    through: Annotated[
        str, Option(metavar="styles|latents", help="Straight through styles, or along great circles through latents.")
    ] = "styles",
    seed: options.Seed = 0,
    attr: options.Attr = None,
    truncation: options.Truncation = 1.0,
    labels: options.Labels = "prior",
    scale: options.Scale = 1,
    device: options.Device = "auto",
    force: options.Force = False,
) -> None:
    """Film the way from face to face. Without --once, the film loops: its end meets its beginning.

    With no face named, it goes through faces 0 to 3.

    \b
    facegan morph celeba64 0 1 2 --truncation 0.7 --scale 4 --out morph.avif
    facegan sample --first 7 --count 1 --out seven.safetensors
    facegan morph celeba64 3:10 seven.safetensors --once --seconds 3 --out to-seven.webp
    facegan morph runs/tanh 0 1 2 --through latents --rate 12 --out frames
    """
    if through not in ("styles", "latents"):
        raise UserError(f"--through {through}: choose styles or latents")
    if not 0.1 <= seconds <= 3600:
        raise UserError(f"--seconds {seconds}: choose from 0.1 to 3600")
    options.check_between("--rate", rate, 0.5, 120)

    from facegan.editing.film_file import check_kind, kept_rate, save_film

    check_kind(out)
    options.check_free(out, force)
    loaded, saved = options.load_faces(
        model, faces or ["0", "1", "2", "3"], seed, truncation, labels, device, options.amounts(attr or [])
    )

    from facegan import pixels
    from facegan.cli.progress import stages
    from facegan.editing.morph import morph as pictures_between
    from facegan.provenance import Provenance

    kept = kept_rate(out, rate)
    frames = round(seconds * kept)
    if frames < len(saved):
        raise UserError(
            f"--seconds {seconds:g} at {kept:g} pictures a second are {frames} for {len(saved)} faces: give more"
        )
    if kept != rate:
        typer.echo(f"a GIF counts in hundredths of a second: {kept:.3g} pictures a second, not {rate:g}", err=True)
    pictures = pictures_between(loaded, saved, frames=frames, loop=not once, in_latents=through == "latents")
    provenance = Provenance(model=loaded.name, nimg=loaded.nimg, sha256=loaded.sha256, truncation=truncation)
    with stages() as stage, options.writing("--out", out):

        def shown() -> Iterator[np.ndarray]:
            for number, picture in enumerate(pictures, 1):
                yield pixels.enlarge(picture[None], scale)[0]
                stage("pictures", number, frames)

        save_film(out, shown(), provenance, count=frames, rate=kept)
    typer.echo(f"{frames:,} pictures through {len(saved)} faces: {out}", err=True)


def mix(
    model: options.Model,
    coarse: Annotated[list[str], Option(metavar="FACE", help="A row: its face gives pose and shape (repeatable).")],
    fine: Annotated[
        list[str], Option(metavar="FACE", help="A column: its face gives colours and small things (repeatable).")
    ],
    layer: Annotated[
        int | None,
        Option(
            help="Layers of the coarse face; the others are the fine one's. Default: those below 16 px, of 4 px and up."
        ),
    ] = None,
    seed: options.Seed = 0,
    truncation: options.Truncation = 1.0,
    labels: options.Labels = "prior",
    scale: options.Scale = 1,
    out: Annotated[
        Path, Option(help="A picture (.png), or, of one row and column, the mixed face (.safetensors).")
    ] = Path("mixed.png"),
    device: options.Device = "auto",
    force: options.Force = False,
) -> None:
    """Mix faces: coarse layers of one, fine layers of another, as a table of all pairs.

    \b
    facegan mix celeba64 --coarse 0 --coarse 1 --coarse 2 --fine 3 --fine 4 --fine 5 --scale 2 --out mixed.png
    facegan mix celeba64 --coarse 0 --fine 5:3 --layer 4 --out child.safetensors
    """
    options.check_suffix("--out", out, ".png", ".safetensors")
    options.check_free(out, force)
    if out.suffix.lower() == ".safetensors" and len(coarse) * len(fine) > 1:
        raise UserError(f"--out {out} holds one face: name one --coarse and one --fine, or choose a .png")
    loaded, saved = options.load_faces(model, [*coarse, *fine], seed, truncation, labels, device)
    rows, columns = saved[: len(coarse)], saved[len(coarse) :]

    import numpy as np

    from facegan import pixels
    from facegan.editing.morph import default_layer, mixed_face
    from facegan.editing.saved_face import pictures
    from facegan.provenance import Provenance

    first = default_layer(loaded) if layer is None else layer
    table = [[mixed_face(loaded, row, column, first) for column in columns] for row in rows]
    with options.writing("--out", out):
        if out.suffix.lower() == ".safetensors":
            table[0][0].save(out)
        else:
            below = [face for row, cells in zip(rows, table, strict=True) for face in (row, *cells)]
            made = pictures(loaded, [*columns, *below])
            corner = np.full_like(made[:1], 255)
            shown = pixels.enlarge(np.concatenate([corner, made]), scale)
            provenance = Provenance(model=loaded.name, nimg=loaded.nimg, sha256=loaded.sha256, sheet=True)
            pixels.save_png(out, pixels.grid(shown, columns=len(columns) + 1), provenance)
    typer.echo(f"the first {first} layers are the rows', the others the columns': {out}", err=True)
