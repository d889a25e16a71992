"""How long a score takes, and how much memory: python benchmarks/evaluation_speed.py RUN DATA

    python benchmarks/evaluation_speed.py runs/dcgan data/celeba64
    python benchmarks/evaluation_speed.py runs/dcgan data/celeba64 --count 50000

What the data looks like is brought into the cache first; then faces are made, looked at and scored, as ``facegan
evaluate`` does, and the seconds of each part and the largest memory of the process are printed.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import torch

from facegan import api
from facegan.data.packed import DataView, PackedDataset
from facegan.evaluation.evaluate import evaluate
from facegan.evaluation.reference import kept_floor, reference_of
from facegan.evaluation.scores import floor_scores
from facegan.machine import describe_machine, keep_freed_memory
from facegan.perception.spaces import open_space


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--space", default="judge-net")
    arguments = parser.parse_args()
    keep_freed_memory()
    view = DataView([PackedDataset.open(path) for path in arguments.data], held_out=None)
    space, model = open_space(arguments.space), api.load(arguments.run)
    kept_floor(view, "all", space, lambda: floor_scores(reference_of(view, "all", space), space.name))
    reference_of(view, "all", space)
    making = 0.0

    def batches():
        nonlocal making
        source = model.batches(arguments.count, seed=0)
        while True:
            began = time.perf_counter()
            found = next(source, None)
            making += time.perf_counter() - began
            if found is None:
                return
            yield found[0]

    looked_at = 0.0
    began = time.perf_counter()

    def stage(name: str, done: int, whole: int) -> None:
        nonlocal looked_at
        if name == "generated faces" and done >= whole:
            looked_at = time.perf_counter() - began

    described = {"resolution": model.resolution}
    receipt = evaluate(batches(), described, view, [space], count=arguments.count, stage=stage)
    whole = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(describe_machine(), torch.get_num_threads(), "threads")
    print(
        f"{arguments.count:,} faces against {len(view):,}, {space.name}: {whole:.1f} s (making {making:.1f}, looking "
        f"{looked_at - making:.1f}, scoring {whole - looked_at:.1f}), {memory:,.0f} MiB at most"
    )
    print({score.name: round(score.estimate.value, 4) for score in receipt.scores})


if __name__ == "__main__":
    main()
