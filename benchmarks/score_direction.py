"""What each score sees: real held-out faces made worse step by step: python benchmarks/score_direction.py DATA

    python benchmarks/score_direction.py data/celeba64 --mix runs/first --out direction

Held-out people's faces, made worse in eight ways, repeated, or without men, in five strengths, are scored against
everybody else in the data. Writes
OUT.json, OUT.md (a table) and OUT.png (a plot; needs matplotlib). ``--mix``: a run whose faces are mixed in.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from facegan import api
from facegan.attributes import attribute_index
from facegan.data.packed import DataView, PackedDataset
from facegan.evaluation.receipt import HIGHER_IS_BETTER
from facegan.evaluation.reference import reference_of
from facegan.evaluation.scores import all_scores
from facegan.metrics.neighbours import NAMES
from facegan.perception.corruptions import CORRUPTIONS
from facegan.perception.spaces import open_space
from facegan.randomness import Stream

STRENGTHS = (0.0, 0.1, 0.25, 0.5, 1.0)
SHOWN = ("frechet", "kernel", *NAMES)


def corrupted(kind: str) -> Callable[[np.ndarray, float], np.ndarray]:
    def change(image_NHWC: np.ndarray, strength: float) -> np.ndarray:
        x_NCHW = torch.from_numpy(image_NHWC).permute(0, 3, 1, 2).float() / 127.5 - 1
        if strength:
            x_NCHW = CORRUPTIONS[kind](x_NCHW, torch.full((len(x_NCHW),), strength), np.arange(len(x_NCHW)))
        found = ((x_NCHW.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        return found.permute(0, 2, 3, 1).contiguous().numpy()

    return change


def repeated(image_NHWC: np.ndarray, strength: float) -> np.ndarray:
    """So many of the faces are copies of the others: at 1, of 16 faces."""
    kept = max(16, round(len(image_NHWC) * (1 - strength)))
    return image_NHWC[np.arange(len(image_NHWC)) % kept]


def without(image_NHWC: np.ndarray, missing_N: np.ndarray, strength: float) -> np.ndarray:
    """So many of the faces of some people are replaced by others'."""
    doomed = np.flatnonzero(missing_N)
    doomed = doomed[: round(len(doomed) * strength)]
    others = np.flatnonzero(~missing_N)
    changed = image_NHWC.copy()
    changed[doomed] = image_NHWC[others[Stream(0, "without").below(doomed, len(others))]]
    return changed


def mixed(image_NHWC: np.ndarray, made_NHWC: np.ndarray, strength: float) -> np.ndarray:
    count = round(len(image_NHWC) * strength)
    return np.concatenate([made_NHWC[:count], image_NHWC[count:]])


def plot(rows: list[dict], out: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    changes = list(dict.fromkeys(row["change"] for row in rows))
    spaces = list(dict.fromkeys(row["space"] for row in rows))
    figure, axes = pyplot.subplots(len(SHOWN), len(spaces), figsize=(5 * len(spaces), 14), sharex=True, squeeze=False)
    for column, space in enumerate(spaces):
        for line, score in enumerate(SHOWN):
            for number, change in enumerate(changes):
                chosen = [row for row in rows if row["change"] == change and row["space"] == space]
                axes[line][column].plot(
                    [row["strength"] for row in chosen],
                    [row[score] for row in chosen],
                    marker=".",
                    label=change,
                    color=pyplot.get_cmap("tab20")(number),
                    linestyle="-" if number % 2 else "--",
                )
            axes[line][column].set_ylabel(score)
            axes[line][column].set_yscale("symlog", linthresh=1e-3) if score in ("frechet", "kernel") else None
        axes[0][column].set_title(space)
        axes[-1][column].set_xlabel("strength")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="lower center", ncols=6)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    figure.savefig(out, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--space", nargs="+", default=["judge-net", "random-net", "attributes-net"])
    parser.add_argument("--mix", type=Path)
    parser.add_argument("--out", type=Path, default=Path("direction"))
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    dataset = PackedDataset.open(arguments.data)
    held_out, others = DataView([dataset], held_out=True), DataView([dataset])
    number_N = np.arange(len(held_out))
    image_NHWC = held_out.images(number_N)
    changes: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {kind: corrupted(kind) for kind in CORRUPTIONS}
    changes["repeated"] = repeated
    if dataset.labelled:
        men_N = held_out.attributes(number_N)[:, attribute_index("Male")] > 0
        changes["without men"] = lambda faces, strength: without(faces, men_N, strength)
    if arguments.mix:
        made_NHWC = api.load(arguments.mix).sample(len(image_NHWC), seed=0)
        changes["generated mixed in"] = lambda faces, strength: mixed(faces, made_NHWC, strength)
    rows = []
    for name in arguments.space:
        space = open_space(name)
        reference = reference_of(others, "training", space)
        for change, function in changes.items():
            for strength in STRENGTHS:
                changed = function(image_NHWC, strength)
                features_ND = torch.cat([space.features(part) for part in np.array_split(changed, 8)])
                scores = {score.name: score.estimate for score in all_scores(features_ND, reference, name, None)}
                row = {"space": name, "change": change, "strength": strength}
                row |= {score: scores[score].value for score in SHOWN}
                row |= {f"{score} error": scores[score].standard_error for score in SHOWN}
                rows.append(row)
            chosen = [row for row in rows if row["change"] == change and row["space"] == name]
            print(
                f"{name:<16} {change:<20} " + "  ".join(f"{score} {verdict(chosen, score)}" for score in SHOWN),
                flush=True,
            )
    arguments.out.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n")
    arguments.out.with_suffix(".md").write_text(table(rows))
    plot(rows, arguments.out.with_suffix(".png"))


def table(rows: list[dict]) -> str:
    """Return a table in Markdown: before and at full strength, and what is wrong where not every step made it worse."""
    lines = ["| space | change | " + " | ".join(SHOWN) + " |", "|---|---|" + "---|" * len(SHOWN)]
    for space, change in dict.fromkeys((row["space"], row["change"]) for row in rows):
        chosen = [row for row in rows if row["change"] == change and row["space"] == space]
        cells, ends = [], (chosen[0], chosen[-1])
        for score in SHOWN:
            found = verdict(chosen, score)
            values = " to ".join(f"{row[score]:.2g}" if row[score] < 100 else f"{row[score]:.0f}" for row in ends)
            cells.append(values if found == "worse" else f"{values}, **{found.removeprefix('worse, ')}**")
        lines.append(f"| {space} | {change} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def verdict(rows: list[dict], score: str) -> str:
    """Return whether a score got worse with every step, in the end, not at all, or better."""
    sign = -1 if HIGHER_IS_BETTER[score] else 1
    steps = [sign * (after[score] - before[score]) for before, after in pairwise(rows)]
    noise = [2 * np.hypot(before[f"{score} error"], after[f"{score} error"])
             for before, after in pairwise(rows)]  # fmt: skip
    total = sign * (rows[-1][score] - rows[0][score])
    clear = 2 * np.hypot(rows[0][f"{score} error"], rows[-1][f"{score} error"])
    if total < -clear:
        return "BETTER"
    if total <= clear:
        return "blind"
    return "worse" if all(step > -slack for step, slack in zip(steps, noise, strict=True)) else "worse, not steadily"


if __name__ == "__main__":
    main()
