"""``facegan edit`` and ``facegan directions``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from facegan.cli import options
from facegan.errors import UserError

if TYPE_CHECKING:
    from facegan.api import Model
    from facegan.editing.directions import Directions

_AMOUNTS_HELP = (
    "How to change an attribute, such as Smiling=+2 or Young=-1.5 (repeatable). Along a direction, 1 is a standard "
    "deviation among the model's faces; as a label, -1 is absent, 1 present and 2 louder."
)
_HOW_HELP = (
    "directions: move the face's style; labels: make it again with other labels. Default: directions where there are "
    "any (they come with celeba64), else labels."
)


def edit(
    model: options.Model,
    faces: options.Faces,
    attr: Annotated[list[str], Option(metavar="NAME=AMOUNT", help=_AMOUNTS_HELP)],
    how: Annotated[str, Option(metavar="directions|labels", help=_HOW_HELP)] = "auto",
    directions: Annotated[
        Path | None, Option(help="File of directions that facegan directions wrote, instead of the model's own.")
    ] = None,
    steps: Annotated[
        int, Option(help="Pictures in each row, from the face as it was to the face changed, 2 to 16.")
    ] = 2,
    seed: options.Seed = 0,
    truncation: options.Truncation = 1.0,
    labels: options.Labels = "prior",
    scale: options.Scale = 1,
    out: Annotated[
        Path,
        Option(
            help="A picture (.png), or, of one face, the changed one as a file for morph, mix and edit (.safetensors)."
        ),
    ] = Path("edited.png"),
    device: options.Device = "auto",
    force: options.Force = False,
) -> None:
    """Change attributes of faces: a smile, glasses, hair.

    A row for each face: as it was, then changed.

    \b
    facegan edit celeba64 0 1 2 --attr Smiling=+2 --out smile.png
    facegan edit celeba64 7 --attr Eyeglasses=2.5 --steps 6 --scale 2 --out glasses.png
    facegan edit celeba64 7 --attr Young=-2 --attr Smiling=1 --out old.safetensors
    facegan edit celeba64 old.safetensors --attr Male=1 --out older.png
    facegan edit celeba64 0 1 2 --attr Smiling=1 --how labels --out smile-labels.png
    """
    if how not in ("auto", "directions", "labels"):
        raise UserError(f"--how {how}: choose directions or labels")
    options.check_between("--steps", steps, 2, 16)
    options.check_suffix("--out", out, ".png", ".safetensors")
    options.check_free(out, force)
    amounts = options.amounts(attr)
    loaded, saved = options.load_faces(model, faces, seed, truncation, labels, device)

    import numpy as np

    from facegan import pixels
    from facegan.editing.edit import edit_face
    from facegan.editing.saved_face import layered_styles
    from facegan.provenance import Provenance

    chosen = _directions(loaded, how, directions)
    changed = [edit_face(loaded, face, amounts, directions=chosen) for face in saved]
    with options.writing("--out", out):
        if out.suffix.lower() == ".safetensors":
            if len(saved) > 1:
                raise UserError(f"--out {out} holds one face, and {len(saved)} were named: choose a .png, or one face")
            changed[0].save(out)
        else:
            before_NLW, after_NLW = layered_styles(loaded, saved), layered_styles(loaded, changed)
            style_NSLW = np.linspace(before_NLW, after_NLW, steps, axis=1)
            made = loaded.generate(styles=style_NSLW.reshape(-1, *before_NLW.shape[1:]))
            shown = pixels.grid(pixels.enlarge(made, scale), columns=steps)
            provenance = Provenance(model=loaded.name, nimg=loaded.nimg, sha256=loaded.sha256, sheet=True)
            pixels.save_png(out, shown, provenance)
    way = "labels" if chosen is None else "directions"
    typer.echo(f"{', '.join(f'{name} {amount:+g}' for name, amount in amounts.items())} by {way}: {out}", err=True)


def _directions(model: Model, how: str, file: Path | None) -> Directions | None:
    from facegan.editing.directions import directions_of

    if how == "labels":
        if file is not None:
            raise UserError(f"--directions {file} has no part in --how labels: leave one of them out")
        return None
    if not model.style_layers:
        return None
    found = directions_of(model, file)
    if found is None and how == "directions":
        raise UserError(
            f"no directions come with {model.name}: facegan directions MODEL --out directions.safetensors finds them, "
            "--directions FILE uses them"
        )
    return found


def directions(
    model: options.Model,
    count: Annotated[str, Option(help="Faces to look at, 1000 or more.")] = "20k",
    seed: options.Seed = 0,
    orthogonal: Annotated[
        list[str] | None,
        Option(metavar="NAME", help="An attribute that the directions of all others leave exactly alone (repeatable)."),
    ] = None,
    out: Annotated[Path, Option(help="The file to write (.safetensors).")] = Path("directions.safetensors"),
    measure: Annotated[
        int, Option(help="Faces on which each direction is measured, for the table; 0: no table.")
    ] = 256,
    device: options.Device = "auto",
    force: options.Force = False,
) -> None:
    """Find the directions in a model's styles along which one attribute changes, for facegan edit.

    attributes-net looks at faces of the model. The table says what one unit of each direction does to faces that were
    not looked at: to its attribute, to the 39 others, and, in judge-net, to the whole face.

    \b
    facegan directions runs/style --out directions.safetensors
    facegan directions runs/style --orthogonal Male --orthogonal Young --out apart.safetensors
    facegan edit runs/style 0 1 2 --attr Smiling=2 --directions directions.safetensors
    """
    number = options.count(count, "--count")
    if measure == 1:
        raise UserError("--measure 1: faces are compared with each other: choose 2 or more, or 0 for no table")
    options.check_between("--measure", measure, 0, 100_000)
    options.check_suffix("--out", out, ".safetensors")
    options.check_free(out, force)

    from facegan import api
    from facegan.cli.console import print_table
    from facegan.cli.progress import stages
    from facegan.editing.directions import find_directions, save_directions
    from facegan.editing.effects import Effect, effects_of_directions
    from facegan.machine import inference_device, keep_freed_memory

    keep_freed_memory()
    loaded = api.load(model, device=str(inference_device(device)))
    with stages() as stage:
        found = find_directions(loaded, count=number, seed=seed, orthogonal=orthogonal or (), report=stage)
        with options.writing("--out", out):
            save_directions(found, out)
        effects: list[Effect] = effects_of_directions(loaded, found, count=measure, report=stage) if measure else []
    if effects:
        rows = [(effect.name, *(f"{value:.2f}" for value in (effect.rise, effect.spill, effect.drift)))
                for effect in sorted(effects, key=lambda effect: effect.spill)]  # fmt: skip
        print_table(("attribute", "effect", "on the others", "on the face"), rows, left=("attribute",))
        typer.echo(
            "effect and on the others: in standard deviations of attributes-net's logits, for one unit; on the face: "
            "the distance in judge-net, as a share of that between two faces", err=True,
        )  # fmt: skip
    typer.echo(f"{out}", err=True)
