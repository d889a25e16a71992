"""How well a small classifier tells a model's faces from photographs: python benchmarks/separability.py MODEL DATA ...

    python benchmarks/separability.py celeba64 data/part-a data/part-b --count 8000

On each feature map of attributes-net, averaged to at most 8x8 places, a linear classifier and a perceptron with a
hidden layer of 128 learn from generated faces and as many training faces. Printed is how often they rank a held-out
photograph above a generated face that they have not seen: 50% is chance. Where they see more than the model's own
discriminator (``D_ranks`` in a run's log), there is something left for it to see.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facegan import api
from facegan.config_changes import parse_count
from facegan.data.packed import DataView, PackedDataset
from facegan.perception.labeller import shipped

EPOCHS, BATCH, HIDDEN, PLACES = 8, 128, 128, 8
STAGES = {32: 0, 16: 2, 8: 4, 4: 6}
"""The side of each feature map, and the layer of attributes-net that it leaves."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--count", type=parse_count, default=8000, help="faces of either kind to learn from")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    datasets, count = [PackedDataset.open(path) for path in arguments.data], arguments.count
    training, unseen = DataView(datasets), DataView(datasets, held_out=True)
    tested = min(2000, len(unseen))
    chosen_N = np.random.default_rng(arguments.seed).permutation(len(training))[:count]
    made_NHWC = api.load(arguments.model).sample(len(chosen_N) + tested, seed=arguments.seed)
    faces = {
        "real": training.images(chosen_N),
        "made": made_NHWC[: len(chosen_N)],
        "unseen real": unseen.images(np.arange(tested)),
        "unseen made": made_NHWC[len(chosen_N) :],
    }
    maps = {kind: feature_maps(image_NHWC) for kind, image_NHWC in faces.items()}
    print("| feature map | linear | perceptron |\n|---|---|---|")
    for side in STAGES:
        at = {kind: found[side].flatten(1).float() for kind, found in maps.items()}
        mean_F, std_F = at["real"].mean(0), at["real"].std(0) + 1e-3
        at = {kind: (feature_NF - mean_F) / std_F for kind, feature_NF in at.items()}
        width = len(mean_F)
        hidden = [nn.Linear(width, HIDDEN), nn.ReLU(), nn.Dropout(0.5), nn.Linear(HIDDEN, 1)]
        shares = [learnt_rank(at, network) for network in (nn.Linear(width, 1), nn.Sequential(*hidden))]
        print(f"| {side} px | {shares[0]:.1%} | {shares[1]:.1%} |", flush=True)


@torch.inference_mode()
def feature_maps(image_NHWC: np.ndarray) -> dict[int, Tensor]:
    """Return attributes-net's feature maps, float16 [N, C, P, P] of at most 8x8 places, by their side in pixels."""
    network = shipped().network
    found: dict[int, list[Tensor]] = {side: [] for side in STAGES}
    for start in range(0, len(image_NHWC), 64):
        part_NHWC = torch.from_numpy(np.ascontiguousarray(image_NHWC[start : start + 64]))
        x_NCHW = network.stem(part_NHWC.permute(0, 3, 1, 2).float() / 127.5 - 1)
        for number, layer in enumerate(network.layers):
            x_NCHW = layer(x_NCHW)
            for side, last in STAGES.items():
                if number == last:
                    found[side].append(F.adaptive_avg_pool2d(x_NCHW, min(side, PLACES)).half())
    return {side: torch.cat(parts) for side, parts in found.items()}


def learnt_rank(at: dict[str, Tensor], network: nn.Module) -> float:
    """Train a classifier; return the share of unseen pairs in which it ranks the photograph above the made face."""
    feature_NF = torch.cat([at["real"], at["made"]])
    target_N = torch.cat([torch.ones(len(at["real"])), torch.zeros(len(at["made"]))])
    rate = 3e-4 if isinstance(network, nn.Linear) else 1e-3
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.1)
    for _ in range(EPOCHS):
        for index_B in torch.randperm(len(feature_NF)).split(BATCH):
            loss = F.binary_cross_entropy_with_logits(network(feature_NF[index_B])[:, 0], target_N[index_B])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    network.eval()
    with torch.no_grad():
        real_N, made_N = network(at["unseen real"])[:, 0], network(at["unseen made"])[:, 0]
    return float((real_N[:, None] > made_N).float().mean())


if __name__ == "__main__":
    main()
