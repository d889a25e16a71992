"""Training speed beside the peers, in one run and in turn: Keras 3 for the classic pairs, plain PyTorch for dcgan.

    python benchmarks/training_speed.py --keras "$(sh tests/keras_parity/make_environment.sh)"
    python benchmarks/training_speed.py dcgan --rounds 9
    python benchmarks/training_speed.py classic-dcgan/96 --keras PYTHON --batch 32

All sides train on one batch in memory. ``classic-dcgan`` takes the presentation's step (G's images alone pass through
D), which is also what the Keras side does. Prints every rate, the ratio to the best peer, and the machine.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from alternate import facegan_side, keras_side, play_in_turn, pytorch_side, report


def compare(case: str, arguments: argparse.Namespace) -> None:
    """Run one recipe, ``name`` or ``name/resolution``, against its peers."""
    recipe, _, resolution = case.partition("/")
    resolution, batch, steps = resolution or "64", arguments.batch, arguments.steps
    size = ["--batch", str(batch)]
    settings = ["--set", "generator_batch=alone"] if recipe == "classic-dcgan" else []
    ours = facegan_side(["train", recipe, resolution, *size, *settings], batch, steps)
    if recipe == "dcgan":
        peers = [pytorch_side(["train", resolution, *size], batch, steps)]
    else:
        if arguments.keras is None:
            raise SystemExit(f"{recipe} is compared with Keras: name its python with --keras")
        peers = [
            keras_side(
                arguments.keras,
                ["train", recipe, resolution, *size, "--policy", policy],
                batch,
                steps,
                f"Keras {policy}",
            )
            for policy in ("float32", "mixed_bfloat16")
        ]
    play_in_turn([ours, *peers], arguments.rounds)
    report(ours, peers, f"{recipe} at {resolution} px, batch {batch}, {steps} steps a round")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="*", default=["classic-tanh", "classic-dcgan", "dcgan"])
    parser.add_argument("--keras", type=Path, help="python of an environment with keras and tensorflow-cpu")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=3, help="steps of a round")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    for case in arguments.case:
        compare(case, arguments)


if __name__ == "__main__":
    main()
