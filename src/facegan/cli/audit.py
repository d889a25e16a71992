"""``facegan audit``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from facegan.cli import options
from facegan.cli.console import print_table

if TYPE_CHECKING:
    from facegan.evaluation.audit import Audit

_SHOWN = 15
"""Attributes and pairs that are printed."""


def audit(
    model: options.Source,
    data: Annotated[
        list[Path] | None, Argument(help="The folders that the model was trained on; default: the run's.")
    ] = None,
    count: options.Count = "5k",
    seed: options.Seed = 0,
    labels: options.Labels = "prior",
    gallery: Annotated[
        Path | None, Option(help="Save the closest pairs as a .png: it shows real people, so keep it to yourself.")
    ] = None,
    attributes_net: Annotated[
        Path | None, Option(metavar="FILE", help="A network from facegan train-attributes; default: the shipped one.")
    ] = None,
    device: options.Device = "auto",
    force: Annotated[bool, Option("--force", help="Overwrite what is at --gallery.")] = False,
    as_json: options.Json = False,
) -> None:
    """Check whether faces are copies of the training set, and whom the generator leaves out.

    For each generated face the nearest training face is found, mirror images included, in pixels and in features, and
    likewise for real people who were held out of training. Generated faces that are nearer than chance allows are
    copies. Exit code 1 if there are any.

    How often attributes-net sees each of the 40 attributes, and their main pairs, among generated faces and among
    held-out people shows who is generated too seldom or too often. --json lists every attribute with its interval.

    \b
    facegan audit runs/first data/celeba64
    facegan audit other-gan/samples data/celeba64
    facegan audit runs/first data/celeba64 --count 10k --gallery closest.png
    """
    number = options.count(count, "--count")
    if gallery is not None:
        options.check_suffix("--gallery", gallery, ".png")
        options.check_free(gallery, force, "--gallery")
    from facegan import pixels
    from facegan.api import faces_of, pairs_provenance
    from facegan.cli.progress import stages
    from facegan.evaluation.audit import SPACES
    from facegan.evaluation.audit import audit as run_audit
    from facegan.evaluation.faces import real_faces
    from facegan.machine import inference_device, keep_freed_memory
    from facegan.perception.labeller import Labeller
    from facegan.perception.spaces import open_space
    from facegan.report.pictures import pairs

    keep_freed_memory()
    place = inference_device(device)
    labeller = Labeller(attributes_net, device=place)
    datasets = real_faces(model, data, warn=options.warn)
    batches, described, number = faces_of(model, datasets, number, seed, device=place, labels=labels)
    spaces = [open_space(name, device=place) for name in SPACES]
    with stages() as stage:
        found = run_audit(batches, described, number, datasets, spaces, labeller, stage=stage)
    if gallery is not None:
        with options.writing("--gallery", gallery):
            pixels.save_png(gallery, pairs(found.closest, shown=32), pairs_provenance(described))
    if as_json:
        counts = {name: getattr(found, name) for name in ("generated", "training", "held_out", "other_data")}
        copies = {"copies": found.copy_test.copies, **asdict(found.copy_test)}
        representation = [asdict(row) | {"verdict": row.verdict} for row in found.representation]
        typer.echo(json.dumps(copies | counts | {"coverage": representation}))
    else:
        _show_coverage(found)
        _show_copies(found)
    if found.copy_test.copies:
        raise typer.Exit(1)


def _show_coverage(found: Audit) -> None:
    """Print who appears too seldom or too often, the largest differences first."""
    shares = found.representation
    differing = sorted((row for row in shares if row.verdict), key=lambda row: -abs(row.generated - row.real))
    typer.echo(
        f"coverage: {len(differing)} of {len(shares)} attributes and pairs appear too seldom or too often"
        + ("" if differing else "; none differs measurably from held-out faces")
        + (f"; the {_SHOWN} largest differences (--json lists all):" if len(differing) > _SHOWN else "")
    )
    if differing:
        rows = (
            (row.name, f"{row.generated:.1%}", f"{row.real:.1%}", f"{row.low:+.1%} to {row.high:+.1%}", row.verdict)
            for row in differing[:_SHOWN]
        )
        print_table(("attribute", "generated", "real", "difference, 95%", ""), rows, left=("attribute", ""))


def _show_copies(found: Audit) -> None:
    typer.echo(
        f"\n{found.generated:,} generated faces, {found.training:,} training faces and their mirror images, "
        f"{found.held_out:,} held-out faces"
    )
    for tail in found.copy_test.tails:
        typer.echo(
            f"{tail.space:<10} the nearest {tail.held_out_share:6.2%} of held-out faces set the limit; "
            f"{tail.below / found.generated:6.2%} of generated faces are nearer to a training face  "
            f"(p = {tail.p_value:.2g})"
        )
    typer.echo(found.copy_test.sentence())
    if found.other_data:
        typer.echo(
            "WARNING: the model was trained on other data (named in its run.json): copies of faces that are not in "
            "this data cannot be detected",
            err=True,
        )
