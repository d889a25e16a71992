"""Options that several commands share, and checks of what options say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from facegan.config_changes import parse_count
from facegan.errors import UserError, reason
from facegan.files import is_taken, refuse_unwritable

if TYPE_CHECKING:
    from facegan.api import Model as LoadedModel
    from facegan.editing.saved_face import SavedFace

MOST = 10**15
RECIPES = "style-s, style, style-m, dcgan, classic-dcgan or classic-tanh"


def _check_labels(text: str) -> str:
    if text not in ("prior", "none"):
        raise UserError(f"--labels {text}: choose prior or none")
    return text


SOURCE_HELP = (
    "A run, a snapshot or celeba64; or faces of any tool: a folder, zip or tars, Parquet, .npy, a packed dataset."
)
Source = Annotated[Path, Argument(help=SOURCE_HELP)]
"""Where faces to be measured come from."""
PackedData = Annotated[list[Path], Argument(help="One or several folders written by facegan prepare.")]
RealFaces = Annotated[
    list[Path] | None,
    Argument(help="Folders of real faces, written by facegan prepare; default: those the run was trained on."),
]
Count = Annotated[str, Option(help="Number of faces to generate, such as 500 or 10k.")]
Seed = Annotated[int, Option(help="Seed of the latents.")]
Labels = Annotated[
    str,
    Option(
        metavar="prior|none",
        callback=_check_labels,
        help="Attributes that are not given: drawn as in training (prior), or unknown, as in facegan 0.1.0 (none).",
    ),
]
Truncation = Annotated[
    float,
    Option(help="From 0 to 1; below 1, nearer to the mean of faces with the same attributes: less varied."),
]
Device = Annotated[
    str,
    Option(help="auto (a GPU if there is one), cpu, cuda, one of several GPUs: cuda:1, or mps (Apple's; untested)."),
]
"""Where a command computes that does not train."""
Recipe = Annotated[str, Option(help=f"{RECIPES}.")]
Resolution = Annotated[int, Option(help="Width and height of the images in pixels.")]
Settings = Annotated[
    list[str] | None,
    Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Change a setting of the recipe, such as generator.width=32 (repeatable); facegan summary RECIPE "
        "--settings lists them all.",
    ),
]
Precision = Annotated[str, Option(help="auto (the faster one, measured at the start), float32, bfloat16 or float16.")]
Forms = Annotated[
    str, Option(help="auto (the fastest form of each layer, measured at the start), direct, or plain (as defined).")
]
Threads = Annotated[
    int | None,
    Option(help="CPU threads of each process; default: all cores, or fewer where that is measured to be faster."),
]
MODEL_HELP = "celeba64 (shipped), a run, a snapshot, an exported hub folder, or hf:USER/NAME."
Model = Annotated[Path, Argument(help=MODEL_HELP)]
Faces = Annotated[
    list[str],
    Argument(help="Faces: numbers of the seed, such as 0 7; SEED:NUMBER; or saved faces (.safetensors)."),
]
Scale = Annotated[int, Option(help="Enlarge the faces so many times, 1 to 8.", min=1, max=8)]
Attr = Annotated[
    list[str] | None,
    Option(
        metavar="NAME=VALUE",
        help="One of CelebA's 40 attributes, from -1 (absent) to 1 (present), such as Smiling=1; 0: unknown "
        "(repeatable).",
    ),
]
Force = Annotated[bool, Option("--force", help="Overwrite what is at --out.")]
Json = Annotated[bool, Option("--json", help="Print JSON for programs: one line for each result or event.")]


def count(text: str, flag: str, *, least: int = 1) -> int:
    """Return the number that a flag gives as ``64``, ``100k`` or ``2M``.

    Raises:
        UserError: it is not a whole number, below ``least`` or above 10^15.
    """
    try:
        number = parse_count(text)
    except OverflowError:
        raise UserError(f"{flag} {text}: give a number from {least:,} to {MOST:,}") from None
    except ValueError:
        raise UserError(f"{flag} {text}: give a whole number such as 5000, 100k or 2M") from None
    if number < least:
        raise UserError(f"{flag} {text}: give at least {least}")
    if number > MOST:
        raise UserError(f"{flag} {text}: give at most {MOST:,}")
    return number


def check_between(flag: str, value: float | None, least: float, most: float) -> None:
    """Refuse a number outside of [least, most], or one that is not a number; None, a flag not given, is fine."""
    if value is not None and not least <= value <= most:
        raise UserError(f"{flag} {value}: choose a number from {least} to {most}")


def check_suffix(flag: str, path: Path, *suffixes: str) -> None:
    """Refuse a file whose name ends in none of these suffixes."""
    if path.suffix.lower() not in suffixes:
        raise UserError(f"{flag} {path}: give a name that ends in {' or '.join(suffixes)}")


def check_free(out: Path, force: bool | None = None, flag: str = "--out") -> None:
    """Refuse to overwrite what is at ``flag``. ``force``: the value of ``--force``; None where there is no such flag.

    A folder is never overwritten.
    """
    if is_taken(out) and (out.is_dir() or not force):
        hint = "" if out.is_dir() or force is None else ", or add --force to overwrite it"
        raise UserError(f"{flag} {out} exists already: choose another name{hint}")
    refuse_unwritable(out)


@contextmanager
def writing(flag: str, path: Path) -> Iterator[None]:
    """Report a file that cannot be written as the user's mistake, with the flag that names it."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{flag} {path} cannot be written: {reason(error)}") from None


def amounts(texts: list[str]) -> dict[str, float]:
    """Return {name: value} of what ``--attr`` says.

    Raises:
        UserError: one is not NAME=VALUE, or a name is given twice.
    """
    values: dict[str, float] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if name in values:
            raise UserError(f"--attr {text}: {name} is given twice")
        try:
            values[name] = float(value if equals else "missing")
        except ValueError:
            raise UserError(f"--attr {text}: write it as NAME=VALUE, such as --attr Smiling=1") from None
    return values


def load_faces(
    model: Path,
    faces: list[str],
    seed: int,
    truncation: float,
    labels: str,
    device: str,
    attributes: dict[str, float] | None = None,
) -> tuple[LoadedModel, list[SavedFace]]:
    """Return a model and the faces that ``FACES`` names.

    Raises:
        UserError: there is no such model, or no such face.
    """
    from facegan import api
    from facegan.editing.saved_face import named_face
    from facegan.machine import inference_device, keep_freed_memory

    keep_freed_memory()
    loaded = api.load(model, device=str(inference_device(device)))
    asked = {"attributes": attributes, "truncation": truncation, "labels": labels}
    return loaded, [named_face(loaded, text, seed, **asked) for text in faces]  # type: ignore[arg-type]


def warn(sentence: str) -> None:
    """Print a warning, beside what a command prints as its result."""
    typer.echo(f"warning: {sentence}", err=True)
