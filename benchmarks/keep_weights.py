"""Keep a long run's weights in a small model folder, so that it can go on where its machine is lost.

    python benchmarks/keep_weights.py runs/long weights/long-run
    facegan train data/celeba64 --run runs/again --init weights/long-run --keep-nimg

Writes the averaged generator, the discriminator and the label prior of the newest snapshot as float16, in place of what
is at OUT: about a seventh of the snapshot. Lost are the optimizers' moments and the generator that is not averaged.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch

from facegan.runs.folder import find_snapshot
from facegan.runs.snapshot import INFO_FILE, LABEL_PRIOR, read_tensors, write_snapshot

STEMS = ("ema", "discriminator", LABEL_PRIOR)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a run or a snapshot")
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    info, out = find_snapshot(arguments.model), arguments.out
    if out.exists() and not (out / INFO_FILE).is_file():
        parser.error(f"{out} exists and is no model: name another folder")
    tensors = {
        stem: {
            name: half(tensor) if stem != LABEL_PRIOR else tensor for name, tensor in read_tensors(info, stem).items()
        }
        for stem in STEMS
        if f"{stem}.safetensors" in info.sha256
    }
    shutil.rmtree(out, ignore_errors=True)
    config = {**info.config, "recipe": {**info.config["recipe"], "extra_ema_halflives": []}}
    ada = {name: value for name, value in info.state.items() if name == "ada"}
    write_snapshot(out, nimg=info.nimg, config=config, state=ada, tensors=tensors)
    size = sum(file.stat().st_size for file in out.iterdir())
    print(f"{out}: {info.nimg:,} images, {size / 1e6:.1f} MB")


def half(tensor: torch.Tensor) -> torch.Tensor:
    """Return float16 of a float32 tensor."""
    return tensor.half() if tensor.dtype == torch.float32 else tensor


if __name__ == "__main__":
    main()
