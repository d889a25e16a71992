"""Four ways to train a face generator, the same minutes each on the same faces and machine, one after the other.

    python benchmarks/equal_budget.py data/celeba64 --out budget --minutes 25

Sides: ``style-s``, ``dcgan``, ``classic-dcgan``, and the plain PyTorch DCGAN example. Each starts from scratch;
held-out people are left out. Then 10,000 faces of each (no truncation, no attributes asked for) are scored against all
people, held-out ones too. Prints one table and leaves receipts and a picture of each side's first 36 faces in --out. A
side whose receipt is there already is not trained again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np

import facegan
from facegan import pixels
from facegan.evaluation.receipt import read_receipt

SIDES = ("style-s", "dcgan", "classic-dcgan", "plain")
COUNT = 10_000
SHOWN = 36


def train(side: str, data: Path, out: Path, minutes: float) -> str:
    """Train a side, write its receipt and its picture; return its images and rate in words."""
    if side == "plain":
        faces = out / "plain.npy"
        example = Path(__file__).parent / "peers" / "pytorch_dcgan.py"
        command = [sys.executable, str(example), str(data), f"--minutes={minutes}", f"--faces={faces}"]
        said = subprocess.run([*command, f"--count={COUNT}"], check=True, stdout=subprocess.PIPE, text=True).stdout
        source, first = faces, np.load(faces, mmap_mode="r")[:SHOWN]
    else:
        source = out / side
        command = [sys.executable, "-m", "facegan", "train", str(data), "--recipe", side, "--run", str(source)]
        subprocess.run([*command, f"--minutes={minutes}"], check=True, stdout=subprocess.DEVNULL)
        model = facegan.load(source)
        said, first = f"{model.nimg:,} images, {model.nimg / minutes / 60:.1f} images/s", model.sample(SHOWN, seed=0)
    pixels.save_png(out / f"{side}.png", pixels.grid(first))
    command = [sys.executable, "-m", "facegan", "evaluate", str(source), str(data), f"--count={COUNT}"]
    subprocess.run([*command, f"--out={out / f'{side}.json'}"], check=True, stdout=subprocess.DEVNULL)
    return said.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("sides", nargs="*", default=list(SIDES))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for side in arguments.sides:
        words = arguments.out / f"{side}.txt"
        if not (arguments.out / f"{side}.json").exists():
            words.write_text(train(side, arguments.data, arguments.out, arguments.minutes) + "\n", encoding="utf-8")
        scores = {(score.space, score.name): score for score in read_receipt(arguments.out / f"{side}.json").scores}
        print(f"{side:<14} {words.read_text(encoding='utf-8').strip():<34}", end="")
        for space in ("judge-net", "random-net"):
            estimate = scores[space, "frechet"].estimate
            print(f"  {space} {estimate.value:8.3f} ({estimate.low:.3f} to {estimate.high:.3f})", end="")
        print(flush=True)


if __name__ == "__main__":
    main()
