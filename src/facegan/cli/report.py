"""``facegan report``."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from facegan.cli import options
from facegan.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from facegan.evaluation.audit import Audit
    from facegan.evaluation.receipt import Receipt

_SHOWN = 64


def report(
    model: Annotated[Path, Argument(help="A run, or a snapshot.")],
    data: Annotated[
        list[Path] | None, Option(help="Real faces to measure against (repeatable); default: the run's own.")
    ] = None,
    out: Annotated[Path, Option(help="The page to write (.html).")] = Path("report.html"),
    count: options.Count = "5k",
    seed: options.Seed = 0,
    measure: Annotated[
        bool, Option("--measure/--no-measure", help="Score the model and audit it, which takes minutes.")
    ] = True,
    no_real_faces: Annotated[
        bool, Option("--no-real-faces", help="Leave out photographs of real people, so that you may share it.")
    ] = False,
    device: options.Device = "auto",
    force: options.Force = False,
) -> None:
    """Write one HTML page about a model: its faces, how they developed, scores, audits, incidents, settings.

    It needs no other file and no network, and reads well on a phone. It shows the closest training faces next to
    generated ones: keep such a page to yourself; --no-real-faces makes one to share.

    \b
    facegan report runs/first
    facegan report runs/first --no-real-faces --out first.html
    facegan report runs/first --no-measure
    """
    number = options.count(count, "--count")
    options.check_suffix("--out", out, ".html", ".htm")
    from facegan.report.curves import need_matplotlib

    need_matplotlib()
    options.check_free(out, force)
    missing, shows_people = write_report(
        model,
        out,
        data=data,
        count=number,
        seed=seed,
        measure=measure,
        real_faces=not no_real_faces,
        device=device,
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
    device: str = "auto",
) -> tuple[list[str], bool]:
    """Write the page, over what is there; return sentences on what is missing, and whether it shows training faces.

    ``note``: replaces the sentence about the faces on a page without real ones.
    """
    from facegan import api
    from facegan.cli.progress import stages
    from facegan.files import write_text
    from facegan.machine import inference_device, keep_freed_memory
    from facegan.report.page import Findings, render
    from facegan.runs.folder import RUN_FILE, RunFolder

    keep_freed_memory()
    place = inference_device(device)
    loaded = api.load(model, device=str(place))
    run = RunFolder(model) if (model / RUN_FILE).is_file() else None
    described = {
        "path": model.resolve().name, "recipe": loaded.recipe.name, "resolution": loaded.resolution,
        "nimg": loaded.nimg, "sha256": loaded.sha256,
    }  # fmt: skip
    if measure:
        with stages() as stage:
            receipt, audit, missing = _measured(model, data, count, seed, place, stage)
    else:
        receipt, audit, missing = None, None, ["Scores and audits were left out (--no-measure)."]
    findings = Findings(loaded.sample(_SHOWN, seed=seed), seed, receipt, audit, missing)
    page = render(described, run, findings, real_faces=real_faces, note=note)
    with options.writing("--out", out):
        write_text(out, page)
    return missing, audit is not None and real_faces


def _measured(
    model: Path,
    data: list[Path] | None,
    count: int,
    seed: int,
    device: torch.device,
    stage: Callable[[str, int, int], None],
) -> tuple[Receipt | None, Audit | None, list[str]]:
    """Return the receipt, the audit, and sentences on what is missing."""
    from facegan.api import faces_of
    from facegan.evaluation.audit import SPACES, audit
    from facegan.evaluation.evaluate import evaluate, open_view
    from facegan.evaluation.faces import real_faces
    from facegan.perception.labeller import Labeller
    from facegan.perception.spaces import DEFAULT, open_space

    try:
        datasets = real_faces(model, data, warn=options.warn)
    except UserError as error:
        return None, None, [f"Nothing was measured: {error}.{'' if data else ' Name the real faces with --data.'}"]
    spaces = [open_space(name, device=device) for name in DEFAULT]
    batches, described, number = faces_of(model, datasets, count, seed, device=device)
    to_score, to_audit = itertools.tee(batches)
    missing: list[str] = []
    receipt = found = None
    try:
        receipt = evaluate(to_score, described, open_view(datasets, "all"), spaces, count=number, stage=stage)
    except UserError as error:
        missing.append(f"No scores: {error}.")
    try:
        audited = [space for space in spaces if space.name in SPACES]
        found = audit(to_audit, described, number, datasets, audited, Labeller(device=device), stage=stage)
    except UserError as error:
        missing.append(f"No audit: {error}.")
    return receipt, found, missing
