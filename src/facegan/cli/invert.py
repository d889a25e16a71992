"""``facegan invert``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from facegan.cli import options
from facegan.errors import UserError

if TYPE_CHECKING:
    from facegan.editing.face_search import Frame


def invert(
    model: options.Model,
    photo: Annotated[Path, Argument(help="A photo with one face.")],
    eyes: Annotated[
        str | None,
        Option(
            metavar="X1,Y1,X2,Y2",
            help="Pixels of both eyes, left and right as seen; without, the face is looked for, and a photo of the "
            "shape of CelebA's aligned ones (178x218) is taken as such.",
        ),
    ] = None,
    attr: Annotated[
        list[str] | None,
        Option(metavar="NAME=AMOUNT", help="Also show the face edited, as facegan edit does: Smiling=+2 (repeatable)."),
    ] = None,
    out: Annotated[Path, Option(help="A picture of photo, face and edits, side by side (.png).")] = Path(
        "inverted.png"
    ),
    face: Annotated[
        Path | None, Option(help="Write the face found as a file for morph, mix and edit (.safetensors).")
    ] = None,
    steps: Annotated[int, Option(help="Steps of the last stage; more come nearer.", min=10, max=10_000)] = 300,
    scale: options.Scale = 2,
    force: options.Force = False,
) -> None:
    """Find the model's face that is most like a photo.

    It says how near it came: in dB (20 is alike, 25 very alike), and how many of 40 attributes are the same. Below 18,
    and where it is not certain that a face is in the square that it found, it says that it failed, with exit code 1;
    the files are written all the same.

    \b
    facegan invert celeba64 anna.jpg --out anna.png --face anna.safetensors
    facegan invert celeba64 group.jpg --eyes 410,220,466,224 --attr Smiling=2 --attr Young=-2
    facegan edit celeba64 anna.safetensors --attr Eyeglasses=2 --out glasses.png
    """
    options.check_suffix("--out", out, ".png")
    options.check_free(out, force)
    if face is not None:
        options.check_suffix("--face", face, ".safetensors")
        options.check_free(face, force, "--face")
    frame = _frame(eyes)
    edits = [options.amounts([text]) for text in attr or []]

    import numpy as np

    from facegan import api, pixels
    from facegan.cli.progress import stages
    from facegan.editing.directions import directions_of
    from facegan.editing.edit import check_amounts, edit_face
    from facegan.editing.invert import Inverter, read_photo
    from facegan.editing.saved_face import pictures
    from facegan.machine import keep_freed_memory
    from facegan.provenance import Provenance

    keep_freed_memory()
    image = read_photo(photo)
    if frame is not None and not (0 <= frame.x < image.shape[1] and 0 <= frame.y < image.shape[0]):
        raise UserError(
            f"--eyes {eyes}: {photo} has {image.shape[1]} x {image.shape[0]} pixels, and the face is outside"
        )
    loaded = api.load(model)
    for amounts in edits:
        check_amounts(amounts)
    directions = directions_of(loaded) if edits else None
    if edits and directions is None:
        raise UserError(f"no directions come with {loaded.name}: facegan directions finds them; leave --attr out")
    with stages() as stage:
        found = Inverter(loaded).invert(image, frame=frame, steps=steps, report=stage)
    changed = [edit_face(loaded, found.face, amounts, directions=directions) for amounts in edits]
    shown = [found.photo, found.made, *(pictures(loaded, changed) if changed else [])]
    captions = ["photo", "face", *(text[:12] for text in attr or [])]
    with options.writing("--out", out):
        enlarged = pixels.enlarge(np.stack(shown), scale)
        picture = pixels.grid(enlarged, columns=len(shown), captions=captions)
        pixels.save_png(out, picture, Provenance(model=loaded.name, sha256=loaded.sha256, sheet=True, in_part=True))
    if face is not None:
        with options.writing("--face", face):
            found.face.save(face)
    place = found.frame
    said = "failed: " if found.failed else ""
    typer.echo(
        f"{said}{found.psnr:.1f} dB, {found.attributes_kept} of 40 attributes kept; the face is in the square of "
        f"{place.side:.0f} px around {place.x:.0f},{place.y:.0f}, turned by {place.angle:.0f} degrees: {out}", err=True,
    )  # fmt: skip
    if found.failed:
        why = "the face is not like the photo" if found.placed else "it is not certain that a face is in this square"
        typer.echo(f"{why}. Name the eyes (--eyes), or take a photo from the front", err=True)
        raise typer.Exit(1)


def _frame(eyes: str | None) -> Frame | None:
    if eyes is None:
        return None
    from facegan.editing.face_search import Frame

    try:
        x1, y1, x2, y2 = (float(part) for part in eyes.split(","))
    except ValueError:
        raise UserError(f"--eyes {eyes}: give four numbers, X1,Y1,X2,Y2, such as 410,220,466,224") from None
    if not x2 - x1 >= 4:
        raise UserError(
            f"--eyes {eyes}: the left eye as seen comes first, and the right one lies 4 pixels or more beside it"
        )
    return Frame.of_eyes((x1, y1), (x2, y2))
