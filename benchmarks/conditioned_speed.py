"""What sampling with an attribute and with truncation costs: beside sampling without, in turn.

    python benchmarks/conditioned_speed.py celeba64

Prints faces a second (of processor time, one thread), and the median ratio to the faces of the same round without.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch

import facegan
from facegan.machine import describe_machine

KINDS: dict[str, dict[str, Any]] = {
    "plain": {}, "an attribute": {"attributes": {"Smiling": 1}}, "truncation": {"truncation": 0.7},
    "both": {"attributes": {"Smiling": 1}, "truncation": 0.7},
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--faces", type=int, nargs="+", default=[1, 256])
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = facegan.load(options.model)
    print(describe_machine())
    for faces in options.faces:
        calls = max(1, 64 // faces)
        rates: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for _ in range(options.rounds + 1):
            for kind, wanted in KINDS.items():
                start = time.process_time()
                for _ in range(calls):
                    model.sample(faces, seed=1, **wanted)
                rates[kind].append(faces * calls / (time.process_time() - start))
        for kind, found in rates.items():  # the first round warms up
            ratio = statistics.median(one / other for one, other in zip(found[1:], rates["plain"][1:], strict=True))
            print(f"{faces} at a time, {kind}: {statistics.median(found[1:]):.0f} faces a second, ratio {ratio:.3f}")


if __name__ == "__main__":
    main()
