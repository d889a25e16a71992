"""``facegan report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from facegan.cli.options import count_option
from facegan.errors import UserError, reason
from facegan.files import is_taken

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from facegan.evaluation.audit import Audit
    from facegan.evaluation.receipt import Receipt

_SHOWN = 64


def report(
    model: Annotated[Path, typer.Argument(help="A run, or a snapshot.")],
    data: Annotated[
        list[Path] | None, typer.Option(help="Real faces to measure against (repeatable); default: the run's own.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The page to write (.html).")] = Path("report.html"),
    count: Annotated[str, typer.Option(help="Faces to measure.")] = "5k",
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 0,
    measure: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Score the model and audit it, which takes minutes.")
    ] = True,
    no_real_faces: Annotated[
        bool, typer.Option("--no-real-faces", help="Leave photographs of real people out, so that it can be shared.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is at --out.")] = False,
) -> None:
    """Write one HTML page about a model: its faces, how they came about, scores, audits, incidents, settings.

    It needs no other file and no network, and reads well on a phone. The closest training faces are shown beside
    generated ones: such a page is for yourself; --no-real-faces makes one to share.

    \b
    facegan report runs/first
    facegan report runs/first --no-real-faces --out first.html
    facegan report runs/first --no-measure
    """
    number = count_option(count, "--count")
    if out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--out {out}: give a name that ends in .html")
    from facegan.report.curves import need_matplotlib

    need_matplotlib()
    if is_taken(out) and not force:
        raise UserError(f"{out} exists already: choose another --out, or add --force to overwrite it")
    missing, shows_people = write_report(
        model, out, data=data, count=number, seed=seed, measure=measure, real_faces=not no_real_faces
    )
    for sentence in missing:
        typer.echo(sentence, err=True)
    if shows_people:
        typer.echo("the page shows photographs of real people: keep it to yourself, or use --no-real-faces", err=True)
    typer.echo(f"{out}  ({out.stat().st_size / 1e6:.1f} MB)")


def write_report(
    model: Path,
    out: Path,
    *,
    data: list[Path] | None = None,
    count: int = 5000,
    seed: int = 0,
    measure: bool = True,
    real_faces: bool = True,
    note: str = "",
) -> tuple[list[str], bool]:
    """Write the page, over what is there; return what could not be had, and whether it shows training faces.

    ``note``: what a page without real faces says of the faces, in place of its usual sentence.
    """
    from facegan import api
    from facegan.cli.faces import stages
    from facegan.files import write_text
    from facegan.machine import keep_freed_memory
    from facegan.report.page import Findings, render
    from facegan.runs.folder import RUN_FILE, RunFolder

    keep_freed_memory()
    loaded = api.load(model)
    run = RunFolder(model) if (model / RUN_FILE).is_file() else None
    described = {
        "path": model.resolve().name, "recipe": loaded.recipe.name, "resolution": loaded.resolution,
        "nimg": loaded.nimg, "sha256": loaded.sha256,
    }  # fmt: skip
    if measure:
        with stages() as stage:
            receipt, audit, missing = _measured(model, data, count, seed, stage)
    else:
        receipt, audit, missing = None, None, ["Scores and audits were left out (--no-measure)."]
    findings = Findings(loaded.sample(_SHOWN, seed=seed), seed, receipt, audit, missing)
    page = render(described, run, findings, real_faces=real_faces, note=note)
    try:
        write_text(out, page)
    except OSError as error:
        raise UserError(f"--out {out} cannot be written: {reason(error)}") from None
    return missing, audit is not None and real_faces


def _measured(
    model: Path, data: list[Path] | None, count: int, seed: int, stage: Callable[[str, int, int], None]
) -> tuple[Receipt | None, Audit | None, list[str]]:
    """Return the receipt, the audit, and sentences on what could not be had."""
    from facegan.cli.faces import faces_of, real_faces
    from facegan.data.packed import PackedDataset
    from facegan.evaluation.audit import SPACES, audit
    from facegan.evaluation.evaluate import evaluate, open_view
    from facegan.perception.labeller import Labeller
    from facegan.perception.spaces import DEFAULT, open_space

    try:
        datasets = [PackedDataset.open(path) for path in real_faces(model, data)]
    except UserError as error:
        return None, None, [f"Nothing was measured: {error}. --data names the real faces."]
    spaces = [open_space(name) for name in DEFAULT]
    batches, described, number = faces_of(model, count, seed)
    kept: list[np.ndarray] = []

    def keep() -> Any:
        for image_NHWC in batches:
            kept.append(image_NHWC)
            yield image_NHWC

    missing: list[str] = []
    receipt = found = None
    try:
        receipt = evaluate(keep(), described, open_view(datasets, "all"), spaces, count=number, stage=stage)
    except UserError as error:
        missing.append(f"No scores: {error}.")
    try:
        source = iter(kept) if receipt is not None else faces_of(model, count, seed)[0]
        looked_at = [space for space in spaces if space.name in SPACES]
        found = audit(source, described, number, datasets, looked_at, Labeller(), stage=stage)
    except UserError as error:
        missing.append(f"No audit: {error}.")
    return receipt, found, missing
