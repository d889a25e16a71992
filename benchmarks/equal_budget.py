"""Ways to train a face generator, the same minutes each on the same faces and machine, one after the other.

    python benchmarks/equal_budget.py data/celeba64 --out budget --minutes 25
    python benchmarks/equal_budget.py data/celeba64 --out ablation --minutes 9 --ablation --threads 1 --count 5000
    python benchmarks/equal_budget.py data/celeba64 r1-r2-3 --out ablation --minutes 9 --threads 1

Sides: ``style-s``, ``dcgan``, ``classic-dcgan``, and the plain PyTorch DCGAN example; with --ablation ``style-s`` and
its variants, each with one choice changed. Each starts from scratch; held-out people are left out; the time begins with
the first step, when networks are built and convolutions measured. Then faces of each
(no truncation, no attributes asked for) are scored against all people, held-out ones too. Prints one table and leaves
in --out receipts, a picture of each side's first 36 faces, and sheet.png with a row of faces for each line of the
table. A side whose receipt is there already is not trained again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import facegan
from facegan import pixels
from facegan.evaluation.receipt import read_receipt
from facegan.provenance import Provenance

SIDES = ("style-s", "dcgan", "classic-dcgan", "plain")
RATE = "{0}_optimizer.learning_rate={1}"
VARIANTS: dict[str, list[str]] = {
    "non-saturating": ["loss=non-saturating", "r2=0"],
    "hinge": ["loss=hinge", "r2=0"],
    "least-squares": ["loss=least-squares", "r2=0"],
    "wasserstein": ["loss=wasserstein", "r1=0", "r2=0", "gradient_penalty=10"],
    "r1-r2-0.3": ["r1=0.3", "r2=0.3"],
    "r1-r2-3": ["r1=3", "r2=3"],
    "rate-1e-3": [RATE.format(side, 1e-3) for side in ("generator", "discriminator")],
    "rate-2e-3": [RATE.format(side, 2e-3) for side in ("generator", "discriminator")],
    "rate-4e-3": [RATE.format(side, 4e-3) for side in ("generator", "discriminator")],
    "rate-falls-from-20k": ["lr_decay_start=20k"],
    "rate-falls-from-50k": ["lr_decay_start=50k"],
    "rate-never-falls": ["lr_decay_start=0"],
    "penalty-8": ["penalty_every=8"],
    "no-attributes": ["attributes=false"],
    "diffaugment": ["augment=diffaugment"],
    "narrow": [f"{side}.{size}" for side in ("generator", "discriminator") for size in ("width=8", "max_channels=64")],
    "wide": [f"{side}.{size}" for side in ("generator", "discriminator") for size in ("width=32", "max_channels=256")],
    "batch-32": [],
    "batch-64": [],
}
"""What is changed of ``style-s``, by name."""
SHOWN = 12
"""Faces of a side on the sheet."""


def train(side: str, arguments: argparse.Namespace) -> str:
    """Train a side, write its receipt and its picture; return its images and rate in words."""
    data, out, minutes = arguments.data, arguments.out, arguments.minutes
    if side == "plain":
        faces = out / "plain.npy"
        example = Path(__file__).parent / "peers" / "pytorch_dcgan.py"
        command = [sys.executable, str(example), str(data), f"--minutes={minutes}", f"--faces={faces}"]
        command += [f"--count={arguments.count}"]
        threads = {"OMP_NUM_THREADS": str(arguments.threads)} if arguments.threads else {}
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | threads).stdout
        source, first = faces, np.load(faces, mmap_mode="r")[:36]
    else:
        source = out / side
        recipe = side if side in SIDES else "style-s"
        command = [sys.executable, "-m", "facegan", "train", str(data), "--recipe", recipe, "--run", str(source)]
        command += ["--score-faces=0"]  # the others look at no faces either
        command += [f"--set={setting}" for setting in VARIANTS.get(side, [])]
        command += [f"--batch={side.removeprefix('batch-')}"] if side.startswith("batch-") else []
        command += [f"--threads={arguments.threads}"] if arguments.threads else []
        subprocess.run([*command, f"--minutes={minutes}"], check=True, stdout=subprocess.DEVNULL)
        model = facegan.load(source)
        said, first = f"{model.nimg:,} images, {model.nimg / minutes / 60:.1f} images/s", model.sample(36, seed=0)
    pixels.save_png(out / f"{side}.png", pixels.grid(first), Provenance(model=side, sheet=True))
    np.save(out / f"{side}-first.npy", first[:SHOWN])
    command = [sys.executable, "-m", "facegan", "evaluate", str(source), str(data), f"--count={arguments.count}"]
    subprocess.run([*command, f"--out={out / f'{side}.json'}"], check=True, stdout=subprocess.DEVNULL)
    return said.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("sides", nargs="*", help="default: all four, or with --ablation style-s and its variants")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--count", type=int, default=10_000, help="faces to score")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--ablation", action="store_true")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if strange := [side for side in arguments.sides if side not in (*SIDES, *VARIANTS)]:
        parser.error(f"unknown: {', '.join(strange)}; known: {', '.join((*SIDES, *VARIANTS))}")
    sides = arguments.sides or (("style-s", *VARIANTS) if arguments.ablation else SIDES)
    for side in sides:
        words, receipt = (arguments.out / f"{side}.{ending}" for ending in ("txt", "json"))
        if not receipt.exists():
            words.write_text(train(side, arguments) + "\n", encoding="utf-8")
        scores = {(score.space, score.name): score for score in read_receipt(receipt).scores}
        print(f"{side:<14} {words.read_text(encoding='utf-8').strip():<34}", end="")
        for space in ("judge-net", "random-net"):
            estimate = scores[space, "frechet"].estimate
            print(f"  {space} {estimate.value:8.3f} ({estimate.low:.3f} to {estimate.high:.3f})", end="")
        print(flush=True)
    rows = np.concatenate([np.load(arguments.out / f"{side}-first.npy") for side in sides])
    pixels.save_png(arguments.out / "sheet.png", pixels.grid(rows, columns=SHOWN), Provenance(sheet=True))


if __name__ == "__main__":
    main()
