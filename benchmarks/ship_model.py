"""Make the model that comes with the package out of a run, measure it, and write its card.

    python benchmarks/ship_model.py runs/flagship data/part-a data/part-b --wrong wrong.txt --blind blind.txt
    python benchmarks/ship_model.py celeba64 data/part-a data/part-b --only-prior
    python benchmarks/ship_model.py celeba64 data/part-a data/part-b --wrong wrong.txt --blind blind.txt --again

Takes a run's newest snapshot, or the one that is named: its averaged generator and its discriminator go into
src/facegan/models/celeba64 as float16, and its label prior; of a run of 0.1.0, which has none, one is fitted to the
labels of the data, and those of attributes-net where it has none; the directions of its attributes are found. Then
10,000 of its faces, made with those very weights, no truncation and no attributes asked for, are scored (receipt.json)
and audited for copies and for who is left out (audit.json). The share of near copies is written where ``facegan
synth-dataset`` reads it, and model_card.md is filled in. --wrong: a file with what was found wrong with the first 64
faces, and by whom. --blind: one with what came of ``facegan blind``. The run's settings, log and curves go to
docs/celeba64; ``facegan evaluate RUN --follow`` before gives them the scores over the training. --only-prior: fit a
label prior anew and put it into the model that is there; everything else stays. --run: where the settings and the log
are of a model that ``facegan average`` made. --earlier: logs of trainings before it whose weights it began with, first
to last, where its ancestors' folders do not have them. --again: measure the model that is there and write its card
anew; its weights stay, and so does docs/celeba64. --only-card: write the card alone anew.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

import facegan
from facegan.data.packed import DataView, PackedDataset
from facegan.editing.directions import STEM as DIRECTIONS
from facegan.evaluation.follow import read_scores
from facegan.evaluation.receipt import four_digits, read_receipt
from facegan.files import read_json_lines
from facegan.perception.labeller import shipped
from facegan.report.curves import score_curves, training_curves
from facegan.runs.folder import SHIPPED, RunFolder, find_snapshot
from facegan.runs.snapshot import INFO_FILE, LABEL_PRIOR, SnapshotInfo, read_tensors, write_snapshot
from facegan.sampling.label_prior import fit
from facegan.training.labels import label_faces

COMMAND = [sys.executable, "-m", "facegan"]
COUNT = "10000"
STEMS = ("ema", "discriminator")
NOT_TESTED = "It has not been tested: `facegan blind celeba64 DATA`."
SHOWN = 10
LOG_EVERY = 10_000
"""Images between the lines of the log that are kept."""
DOCUMENTS = Path(__file__).parent.parent / "docs" / "celeba64"


def half(tensor: torch.Tensor) -> torch.Tensor:
    """Return float16 of a float32 tensor."""
    return tensor.half() if tensor.dtype == torch.float32 else tensor


def fitted_prior(view: DataView) -> dict[str, torch.Tensor]:
    """Return the label prior of what a training on these faces learns with."""
    prior = fit(label_faces(view, shipped().logits))
    assert prior is not None, "fewer than 50 faces"
    return prior.to_tensors()


def put_prior(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write a label prior into a snapshot, over the one that is there."""
    file = folder / f"{LABEL_PRIOR}.safetensors"
    save_file(tensors, file)
    description = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
    description["sha256"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    (folder / INFO_FILE).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
    print(f"{file}: {len(tensors['weights'])} components")


def measure(folder: Path, data: list[Path]) -> None:
    """Write receipt.json and audit.json."""
    paths = [str(path) for path in data]
    receipt = ["--count", COUNT, "--out", str(folder / "receipt.json"), "--force"]
    subprocess.run([*COMMAND, "evaluate", "celeba64", *paths, *receipt], check=True)
    audit = [*COMMAND, "audit", "celeba64", *paths, "--count", COUNT, "--json"]
    found = json.loads(subprocess.run(audit, stdout=subprocess.PIPE, text=True).stdout)
    (folder / "audit.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def near_copies(audit: dict[str, Any]) -> dict[str, Any]:
    """Return the largest share of faces nearer to a training face than about 1% of unseen people are."""
    first_percentile = min(abs(tail["held_out_share"] - 0.01) for tail in audit["tails"])
    tails = [tail for tail in audit["tails"] if abs(tail["held_out_share"] - 0.01) <= first_percentile + 1e-9]
    worst = max(tails, key=lambda tail: tail["below"])
    return {
        "generated": audit["generated"],
        "share": worst["below"] / audit["generated"],
        "held_out_share": worst["held_out_share"],
        "space": worst["space"],
        "p_value": audit["p_value"],
        "copies": audit["copies"],
        "labels": "prior" if f"{LABEL_PRIOR}.safetensors" in find_snapshot(Path("celeba64")).sha256 else "none",
    }


def scores_table(file: Path) -> str:
    """Return a receipt's scores as rows of Markdown."""
    rows = ["| space | score | value | 95% interval | floor |", "|---|---|---|---|---|"]
    for score in read_receipt(file).scores:
        values = [four_digits(value) for value in (score.estimate.value, score.estimate.low, score.estimate.high)]
        floor = "" if score.floor is None else four_digits(score.floor.value)
        rows.append(f"| {score.space} | {score.name} | {values[0]} | {values[1]} to {values[2]} | {floor} |")
    return "\n".join(rows)


def coverage_table(audit: dict[str, Any]) -> str:
    """Return the largest differences of who is there as rows of Markdown."""
    rows = ["| attribute | generated | real | |", "|---|---|---|---|"]
    differing = [row for row in audit["coverage"] if row["verdict"]]
    differing.sort(key=lambda row: -abs(row["generated"] - row["real"]))
    rows += [
        f"| {row['name']} | {row['generated']:.1%} | {row['real']:.1%} | {row['verdict']} |"
        for row in differing[:SHOWN]
    ]
    return "\n".join(rows) if differing else "None."


def document(run: RunFolder, nimg: int, out: Path, earlier: list[Path]) -> None:
    """Write a run's settings, its log to ``nimg`` images with those of trainings before it, and its curves."""
    out.mkdir(parents=True, exist_ok=True)
    contents = run.read()
    kept = {name: contents.get(name) for name in ("config", "choices", "machine", "created", "facegan", "ancestry")}
    kept["machine"].pop("system", None)
    lines = training_log(run, nimg, kept["ancestry"] or [], [read_json_lines(log) for log in earlier])
    for past in kept["ancestry"] or []:
        past["snapshot"] = "/".join(Path(past["snapshot"]).parts[-3:])
    (out / "run.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    few, last = [], -LOG_EVERY
    for line in lines:
        if "D_loss" not in line:
            few.append(line)
        elif line["nimg"] - last >= LOG_EVERY:
            few.append(line)
            last = line["nimg"]
    (out / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in few), encoding="utf-8")
    for number, drawing in enumerate(training_curves(lines)):
        (out / f"curve-{number}.svg").write_text(drawing, encoding="utf-8")
    if (drawing := score_curves(read_scores(run))) is not None:
        (out / "scores.svg").write_text(drawing, encoding="utf-8")


def training_log(
    run: RunFolder, nimg: int, ancestry: list[dict[str, Any]], earlier: list[list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Return a run's log to ``nimg`` images after ``earlier`` logs and those of its ancestors that are there.

    Each log reaches to where the next one begins.
    """
    logs = list(earlier)
    for past in reversed(ancestry):
        log = RunFolder(Path(past["snapshot"]).parents[1]).log
        if log.is_file():
            logs.append([line for line in read_json_lines(log) if line["nimg"] <= past["nimg"]])
        else:
            print(f"{log.parent.name}: its log is not there any more and stays out")
    logs.append([line for line in read_json_lines(run.log) if line["nimg"] <= nimg])
    logs = [log for log in logs if log]
    begins = [log[0]["nimg"] for log in logs[1:]] + [nimg]
    return [line for log, begin in zip(logs, begins, strict=True) for line in log if line["nimg"] <= begin]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path, nargs="+")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--wrong", type=Path)
    what.add_argument("--only-prior", action="store_true")
    parser.add_argument("--blind", type=Path)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--only-card", action="store_true")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--earlier", type=Path, nargs="+", default=[])
    arguments = parser.parse_args()
    info, folder = find_snapshot(arguments.model), SHIPPED["celeba64"]
    view = DataView([PackedDataset.open(path) for path in arguments.data])
    if arguments.only_prior:
        put_prior(info.path, fitted_prior(view))
        return
    if arguments.blind is None and (arguments.again or arguments.only_card):
        parser.error("--blind: say what came of the test, or that there was none, in a file")
    blind = NOT_TESTED if arguments.blind is None else arguments.blind.read_text(encoding="utf-8")
    words = {"wrong": arguments.wrong.read_text(encoding="utf-8").strip(), "blind": blind.strip()}
    if not (arguments.again or arguments.only_card):
        put_model(folder, info, view)
        document(RunFolder(arguments.run or info.path.parents[1]), info.nimg, DOCUMENTS, arguments.earlier)
    if not arguments.only_card:
        measure(folder, arguments.data)
    write_card(folder, view, words)


def put_model(folder: Path, info: SnapshotInfo, view: DataView) -> None:
    """Write a snapshot's averaged G, D and label prior, and directions, in place of the model that is there."""
    tensors = {stem: {name: half(tensor) for name, tensor in read_tensors(info, stem).items()} for stem in STEMS}
    if info.config["recipe"]["attributes"]:
        kept = f"{LABEL_PRIOR}.safetensors" in info.sha256
        tensors[LABEL_PRIOR] = read_tensors(info, LABEL_PRIOR) if kept else fitted_prior(view)
    shutil.rmtree(folder, ignore_errors=True)
    write_snapshot(folder, nimg=info.nimg, config=info.config, state={}, tensors=tensors)
    found = ["--out", str(folder / f"{DIRECTIONS}.safetensors"), "--measure", "0"]
    subprocess.run([*COMMAND, "directions", "celeba64", *found], check=True)


def write_card(folder: Path, view: DataView, words: dict[str, str]) -> None:
    """Write what was measured of the model that is there, and the words on it, into its description and its card."""
    audit = json.loads((folder / "audit.json").read_text(encoding="utf-8"))
    copies = near_copies(audit)
    description = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
    description["state"]["near_copies"] = copies
    (folder / INFO_FILE).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
    model = facegan.load("celeba64")
    card = (Path(__file__).parent / "model_card.md").read_text(encoding="utf-8").format(
        recipe=model.recipe.name,
        resolution=model.resolution,
        parameters=f"{sum(parameter.numel() for parameter in model.generator.parameters()):,}",
        people=f"{len(view):,}",
        nimg=f"{model.nimg:,}",
        components=0 if model.label_prior is None else len(model.label_prior.weights_K),
        sha=model.sha256[:16],
        real=f"{read_receipt(folder / 'receipt.json').protocol['reference']['count']:,}",
        scores=scores_table(folder / "receipt.json"),
        copies=f"{'COPIES' if copies['copies'] else 'No copies seen'} (p = {copies['p_value']:.2g}): "
        f"{copies['share']:.2%} of its faces are as near to a training face as the nearest "
        f"{copies['held_out_share']:.2%} of unseen people are ({copies['space']}).",
        generated=f"{audit['generated']:,}",
        training=f"{audit['training']:,}",
        held_out=f"{audit['held_out']:,}",
        coverage=coverage_table(audit),
        **words,
    )  # fmt: skip
    (folder / "MODEL_CARD.md").write_text(card, encoding="utf-8")
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{folder}: {model.nimg:,} images, {size / 1e6:.1f} MB; {copies}")


if __name__ == "__main__":
    main()
