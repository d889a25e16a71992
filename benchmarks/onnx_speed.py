"""ONNX beside PyTorch: the largest difference over many faces, faces a second of both, and sizes.

    python benchmarks/onnx_speed.py celeba64 --count 1000
    python benchmarks/onnx_speed.py celeba64 runs/dcgan runs/classic runs/tanh --count 1000 --threads 1

Both make the same faces, 64 at a time and one at a time, in turn.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch

import facegan
from facegan.api import Model
from facegan.export.onnx import export_onnx
from facegan.machine import describe_machine

ROUNDS = 5


def compare(model: Model, count: int, threads: int, folder: Path) -> str:
    files = export_onnx(model, folder)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(files[0].path), options, providers=["CPUExecutionProvider"])
    latent, labels = model.latents(0, range(count)), model.labels(0, range(count))
    given = {"latent": latent, **({} if labels is None else {"labels": labels})}

    def onnx_faces(start: int, stop: int) -> np.ndarray:
        part = {name: rows[start:stop] for name, rows in given.items()}
        image = session.run(None, part | {"truncation": np.ones(1, np.float32)})[0]
        return np.rint((image.transpose(0, 2, 3, 1) + 1) * 127.5).astype(np.uint8)

    def torch_faces(start: int, stop: int) -> np.ndarray:
        return model.generate(latent[start:stop], attributes=None if labels is None else labels[start:stop])

    largest = 0
    for start in range(0, count, 64):
        pair = (make(start, min(start + 64, count)).astype(int) for make in (onnx_faces, torch_faces))
        largest = max(largest, int(np.abs(next(pair) - next(pair)).max()))
    many, one = (rates(onnx_faces, torch_faces, size, 4 * 64 // size) for size in (64, 1))
    size = " + ".join(f"{file.size / 1e6:.1f}" for file in files)
    difference = max(file.difference for file in files)
    return (
        f"| {model.recipe.name} | {difference:.1e} | {largest} of 255 | {many[0]:.0f} / {many[1]:.0f} "
        f"| {one[0]:.0f} / {one[1]:.0f} | {size} MB |"
    )


Maker = Callable[[int, int], np.ndarray]


def rates(first: Maker, second: Maker, size: int, repeats: int) -> tuple[float, float]:
    """Return the faces a second of both, medians of rounds in turn."""
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for kept, make in zip(found, (first, second), strict=True):
            start = time.perf_counter()
            for _ in range(repeats):
                make(0, size)
            kept.append(size * repeats / (time.perf_counter() - start))
    return statistics.median(found[0]), statistics.median(found[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(describe_machine())
    print("| recipe | difference in [-1, 1] | in bytes | 64 faces: ONNX / PyTorch a second | one face | size |")
    print("|---|---|---|---|---|---|")
    for name in options.models:
        with tempfile.TemporaryDirectory() as folder:
            print(compare(facegan.load(name), options.count, options.threads, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
