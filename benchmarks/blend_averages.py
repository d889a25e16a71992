"""Blend two averages of a generator's weights, and give its faces a colour that its training images had lost.

    python benchmarks/blend_averages.py short-average long-average --out blended --weights 1.5 -0.5
    python benchmarks/blend_averages.py short-average long-average --out blended --weights 1.5 -0.5 \\
        --colour 0.429 -0.470 0.513

For a run of which only two averages came back from another machine; ``facegan average`` does the same for a run that
is whole, from all of its snapshots. Weights that sum to 1 with one of them below 0 give about the average of a shorter
half-life than both (the profiles of both are added so; training/posthoc_ema.py). --colour: red, green and blue levels,
of 255, that are added to every face, in the bias of what makes the last part of the image: what a codec took from the
training images, on the average. The discriminator is that of the first model.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from facegan.runs.folder import find_snapshot
from facegan.runs.snapshot import LABEL_PRIOR, read_tensors, write_snapshot


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs=2)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", type=float, nargs=2, default=(1.5, -0.5))
    parser.add_argument("--colour", type=float, nargs=3, default=(0.0, 0.0, 0.0))
    arguments = parser.parse_args()
    if abs(sum(arguments.weights) - 1) > 1e-6:
        parser.error(f"--weights {arguments.weights}: they must sum to 1")
    first, second = (find_snapshot(model) for model in arguments.models)
    short, long = (read_tensors(info, "ema") for info in (first, second))
    if {name: tensor.shape for name, tensor in short.items()} != {name: tensor.shape for name, tensor in long.items()}:
        parser.error("the two models are not of the same shape")
    a, b = arguments.weights
    blended = {name: a * short[name].float() + b * long[name].float() for name in short}
    last = max(name for name in blended if name.startswith("pictures.") and name.endswith(".bias"))
    blended[last] += torch.tensor(arguments.colour) / 127.5
    tensors = {"ema": blended}
    for stem in ("discriminator", LABEL_PRIOR):
        if f"{stem}.safetensors" in first.sha256:
            tensors[stem] = read_tensors(first, stem)
    write_snapshot(arguments.out, nimg=first.nimg, config=first.config, state={}, tensors=tensors)
    print(f"{arguments.out}: {a:g} of {first.path} and {b:g} of {second.path}")


if __name__ == "__main__":
    main()
