"""Our Inception beside torch-fidelity's, in turn, on the same images: python benchmarks/inception_speed.py

Runs in the environment that ``tests/peers/make_environment.sh`` builds, with the repository and ``src`` in PYTHONPATH:

    PYTHONPATH=src:. peers-env/bin/python benchmarks/inception_speed.py

Both have the same random weights and take uint8 faces of 64 px. Prints images/s, the ratio in each round's median, and
how far the features are apart; ours in float32 and in bfloat16.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from tests.peers.cases import inception_weights
from tests.peers.record import import_torch_fidelity

from facegan.perception.inception import SIDE, Inception
from facegan.perception.resizing import resize


def theirs() -> Callable[[np.ndarray], torch.Tensor]:
    extractors = import_torch_fidelity()[0]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "inception.pth"
        torch.save(inception_weights(), file)
        network = extractors.FeatureExtractorInceptionV3("i", ["2048"], feature_extractor_weights_path=str(file))
    return lambda image_NHWC: network(torch.from_numpy(image_NHWC).permute(0, 3, 1, 2).contiguous())[0]


def ours(precision: torch.dtype) -> Callable[[np.ndarray], torch.Tensor]:
    network = Inception()
    network.load_converted(inception_weights())
    network.eval().requires_grad_(False).to(precision, memory_format=torch.channels_last)

    def look(image_NHWC: np.ndarray) -> torch.Tensor:
        x_NCHW = (resize(image_NHWC, SIDE, "tensorflow1") - 128) / 128
        return network(x_NCHW.to(precision, memory_format=torch.channels_last)).float()

    return look


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    image_NHWC = np.random.default_rng(0).integers(0, 256, (arguments.batch, 64, 64, 3), np.uint8)
    sides = {"torch-fidelity": theirs(), "ours": ours(torch.float32), "ours, bfloat16": ours(torch.bfloat16)}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    features = {name: look(image_NHWC) for name, look in sides.items()}
    for _ in range(arguments.rounds):
        for name, look in sides.items():
            began = time.perf_counter()
            look(image_NHWC)
            seconds[name].append(time.perf_counter() - began)
    known = features["torch-fidelity"]
    print(f"{torch.get_num_threads()} threads, {arguments.batch} images, median of {arguments.rounds} rounds")
    for name, taken in seconds.items():
        ratios = [peer / own for peer, own in zip(seconds["torch-fidelity"], taken, strict=True)]
        apart = float((features[name] - known).abs().max() / known.abs().max())
        rate = arguments.batch / statistics.median(taken)
        print(f"{name:<16} {rate:6.2f} images/s  {statistics.median(ratios):.2f}x  features apart {apart:.1e}")


if __name__ == "__main__":
    main()
