"""What is given to both sides: to torch-fidelity and prdc when recording, to facegan in the tests."""

from __future__ import annotations

import numpy as np

from facegan.randomness import Stream


def features() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return {case: (generated float32 [N, D], reference float32 [M, D])}, N and M above 2 D."""
    cases = {}
    for number, (case, count, other, width, shift) in enumerate(
        [("near", 300, 350, 24, 0.05), ("far", 260, 400, 40, 1.0), ("wide", 700, 600, 128, 0.3)]
    ):
        mix = Stream(number, "mix").normal(np.arange(width), width) / np.sqrt(width)
        generated = Stream(number, "generated").normal(np.arange(count), width) @ mix
        reference = np.maximum(Stream(number, "reference").normal(np.arange(other), width), -0.5) @ mix + shift
        cases[case] = (generated.astype(np.float32), reference.astype(np.float32))
    return cases


def kernel_subsets(count: int, other: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return four pairs of subsets of 100."""
    return [
        (Stream(0, "subset").permutation(part, count)[:100], Stream(1, "subset").permutation(part, other)[:100])
        for part in range(4)
    ]


def images() -> dict[str, np.ndarray]:
    """Return {side: uint8 [3, side, side, 3]}, smooth and noisy."""
    found = {}
    for side in (64, 96):
        noise = Stream(side, "images").normal(np.arange(3 * side), side * 3).reshape(3, side, side, 3)
        smooth = noise.cumsum(1).cumsum(2) / side * 3
        found[str(side)] = np.clip(128 + 40 * (smooth + 0.3 * noise), 0, 255).astype(np.uint8)
    return found


def inception_weights():
    """Return Inception's converted weights, {name: tensor}, made of noise."""
    import torch

    from facegan.perception.inception import Inception

    state, network = {}, Inception()
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            count = module.out_channels
            fan = module.weight[0].numel()
            draws = Stream(0, name).uniform(np.arange(count), fan) - 0.5
            weight = (draws * np.sqrt(24 / fan)).astype(np.float32).reshape(module.weight.shape)
            rows = Stream(1, name).uniform(np.arange(4), count).astype(np.float32)
            state[f"{name}.conv.weight"] = torch.from_numpy(weight)
            state[f"{name}.bn.weight"] = torch.from_numpy(0.7 + 0.6 * rows[0])
            state[f"{name}.bn.bias"] = torch.from_numpy(0.2 * rows[1] - 0.1)
            state[f"{name}.bn.running_mean"] = torch.from_numpy(0.2 * rows[2] - 0.1)
            state[f"{name}.bn.running_var"] = torch.from_numpy(0.6 + 0.8 * rows[3])
            state[f"{name}.bn.num_batches_tracked"] = torch.tensor(0)
    shape = network.fc.weight.shape
    fc = Stream(0, "fc").uniform(np.arange(shape[0]), shape[1]).astype(np.float32) - 0.5
    return {**state, "fc.weight": torch.from_numpy(fc * 0.3), "fc.bias": torch.zeros(shape[0])}
