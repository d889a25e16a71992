"""Make the model that comes with the package out of a run, and measure it.

    python benchmarks/ship_model.py runs/flagship data/part-a data/part-b

Takes the newest snapshot (or the one that is named): its averaged generator and its discriminator go into
src/facegan/models/celeba64 as float16. Then 10,000 of its faces, made with those very weights, no truncation and no
attributes asked for, are scored (receipt.json), and audited for copies and for who is left out (audit.json). The share
of near copies is written where ``facegan synth-dataset`` reads it. The model card beside is written by hand.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

import torch

from facegan.run import SHIPPED, find_snapshot
from facegan.snapshot import INFO_FILE, read_tensors, write_snapshot

COUNT = "10000"
STEMS = ("ema", "discriminator")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path, nargs="+")
    arguments = parser.parse_args()
    info, folder = find_snapshot(arguments.model), SHIPPED["celeba64"]
    tensors = {stem: {name: half(tensor) for name, tensor in read_tensors(info, stem).items()} for stem in STEMS}
    card = folder / "MODEL_CARD.md"
    kept = card.read_text(encoding="utf-8") if card.exists() else None
    shutil.rmtree(folder, ignore_errors=True)
    write_snapshot(folder, nimg=info.nimg, config=info.config, state={}, tensors=tensors)
    if kept is not None:
        card.write_text(kept, encoding="utf-8")
    data = [str(path) for path in arguments.data]
    facegan = [sys.executable, "-m", "facegan"]
    subprocess.run(
        [*facegan, "evaluate", "celeba64", *data, "--count", COUNT, "--out", str(folder / "receipt.json")], check=True
    )
    audit = subprocess.run(
        [*facegan, "audit", "celeba64", *data, "--count", COUNT, "--json"], stdout=subprocess.PIPE, text=True
    )
    found = json.loads(audit.stdout)
    (folder / "audit.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    nearest = max(found["tails"], key=lambda tail: tail["below"])
    description = json.loads((folder / INFO_FILE).read_text(encoding="utf-8"))
    description["state"]["near_copies"] = {
        "generated": found["generated"],
        "share": nearest["below"] / found["generated"],
        "held_out_share": nearest["held_out_share"],
        "verdict": "copies" if found["copies"] else "no copies found",
    }
    (folder / INFO_FILE).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{folder}: {info.nimg:,} images, {size / 1e6:.1f} MB; {description['state']['near_copies']}")


def half(tensor: torch.Tensor) -> torch.Tensor:
    """Return float16 of a float32 tensor."""
    return tensor.half() if tensor.dtype == torch.float32 else tensor


if __name__ == "__main__":
    main()
