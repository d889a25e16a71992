"""Train judge-net, the default judge, and write its card: python benchmarks/train_judge.py DATA... --out FILE

    python benchmarks/train_judge.py data/celeba-train data/celeba-test --out judge.safetensors

Half an hour to an hour, by the machine; a training that was stopped goes on when the command is given again. Whoever
changes the judge changes what every score means, so there is no command for users. ``--corruptions 0`` leaves that
lesson out, and ``--weights`` writes the card of weights that are there already. The card: how well a logistic
regression reads the attributes off the features, on held-out people; how often the nearest other face of a held-out
face is the same person; and how many times its own distance each corruption, at a quarter of its strength, moves
held-out people away from the others.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from facegan.data.packed import DataView, PackedDataset
from facegan.metrics.frechet import Gaussian, frechet_distance
from facegan.perception import judge_net
from facegan.perception.corruptions import CORRUPTIONS
from facegan.perception.judge_net import JudgeNet
from facegan.perception.labeller import accuracies, shares
from facegan.perception.resizing import resize
from facegan.perception.train_networks import TrainingConfig, train_judge_net
from facegan.perception.weights import load_weights, save_network

STRENGTH = 0.25
CONFIG = TrainingConfig(128_000, learning_rate=1e-3)


@torch.inference_mode()
def look(network: JudgeNet, view: DataView, kind: str | None = None) -> torch.Tensor:
    parts = []
    for index_B in np.array_split(np.arange(len(view)), len(view) // 256 + 1):
        x_NCHW = resize(view.images(index_B), judge_net.SIDE, "clean") / 127.5 - 1
        if kind is not None:
            x_NCHW = CORRUPTIONS[kind](x_NCHW, torch.full((len(x_NCHW),), STRENGTH), index_B).clamp(-1, 1)
        parts.append(network(x_NCHW))
    return torch.cat(parts)


def probe_card(
    seen_MD: torch.Tensor, label_MA: np.ndarray, unseen_ND: torch.Tensor, label_NA: np.ndarray, *, decay: float = 1e-3
) -> dict[str, Any]:
    """Return ``accuracies`` of features: of a logistic regression that learns from some and is tried on others.

    ``decay`` weighs the squared weights, of features that are standardised.
    """
    centre_D, scale_D = seen_MD.mean(0), seen_MD.std(0).clamp(min=1e-6)
    x_MD, x_ND = (seen_MD - centre_D) / scale_D, (unseen_ND - centre_D) / scale_D
    probe = torch.nn.Linear(x_MD.shape[1], label_MA.shape[1])
    torch.nn.init.zeros_(probe.weight), torch.nn.init.zeros_(probe.bias)
    optimizer = torch.optim.LBFGS(probe.parameters(), max_iter=200, line_search_fn="strong_wolfe")
    known_MA, there_MA = torch.from_numpy(label_MA != 0), torch.from_numpy(label_MA > 0).float()

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        losses = F.binary_cross_entropy_with_logits(probe(x_MD), there_MA, reduction="none")
        loss = (losses * known_MA).sum() / known_MA.sum() + decay * (probe.weight**2).sum() / label_MA.shape[1]
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.inference_mode():
        logit_NA = probe(x_ND).numpy()
    return accuracies(logit_NA, label_NA, shares(label_MA))


def card_of(network: JudgeNet, seen: DataView, unseen: DataView) -> dict[str, Any]:
    """Return what the judge sees."""
    known_MD, new_ND = look(network, seen), look(network, unseen)
    label_MA, label_NA = (view.attributes(np.arange(len(view))) for view in (seen, unseen))
    labelled_M, labelled_N = label_MA.any(1), label_NA.any(1)
    card = probe_card(known_MD[labelled_M], label_MA[labelled_M], new_ND[labelled_N], label_NA[labelled_N])
    person_N = torch.from_numpy(unseen.identities(np.arange(len(unseen))))
    apart_NN = torch.cdist(new_ND, new_ND).fill_diagonal_(torch.inf)
    several_N = torch.stack([(person_N == person).sum() > 1 for person in person_N])
    same_N = person_N[apart_NN.argmin(1)] == person_N
    known = Gaussian.of(known_MD)
    clean = frechet_distance(Gaussian.of(new_ND), known)
    moved = {kind: frechet_distance(Gaussian.of(look(network, unseen, kind)), known) / clean for kind in CORRUPTIONS}
    return card | {"nearest_is_same_person": float(same_N[several_N].double().mean()), "corruptions": moved}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--corruptions", type=float, default=1.0, help="weight of that lesson")
    parser.add_argument("--weights", type=Path)
    arguments = parser.parse_args()
    datasets = [PackedDataset.open(path) for path in arguments.data]
    seen, unseen = DataView(datasets), DataView(datasets, held_out=True)
    if arguments.weights:
        network = JudgeNet()
        load_weights(network, arguments.weights)
    else:

        def report(nimg: int, losses: dict[str, float]) -> None:
            if nimg % 6400 == 0:
                print(f"{nimg:>9,} images", {name: round(value, 4) for name, value in losses.items()}, flush=True)

        checkpoints = arguments.out.with_suffix(".checkpoints")
        network = train_judge_net(seen, CONFIG, report, checkpoints, corruptions=arguments.corruptions)
    card = card_of(network, seen, unseen) | {
        "network": "judge-net", "images": CONFIG.images, "seed": CONFIG.seed, "batch": CONFIG.batch,
        "weight_of_corruptions": arguments.corruptions,
        "trained_on": {"sha256": seen.content_hash, "faces": len(seen)},
    }  # fmt: skip
    save_network(network, card, arguments.out)
    print({name: value for name, value in card.items() if name != "attributes"})


if __name__ == "__main__":
    main()
