"""Sampling speed beside the peers, in turn: Keras' ``predict`` for the classic pairs, the plain PyTorch G for dcgan.

    python benchmarks/sampling_speed.py --keras "$(sh tests/keras_parity/make_environment.sh)"
    python benchmarks/sampling_speed.py dcgan style-s --batches 1 256

Ours is all that ``facegan sample`` does for the faces: latents, G, uint8. Prints every rate, the milliseconds a call
takes, the ratio to the peer, and the machine.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from alternate import facegan_side, keras_side, play_in_turn, pytorch_side, report


def compare(recipe: str, batch: int, arguments: argparse.Namespace) -> None:
    """Run one recipe at one batch size against its peer."""
    steps = max(1, 256 // batch)
    size = ["--batch", str(batch)]
    ours = facegan_side(["sample", recipe, "64", *size], batch, steps)
    if recipe == "dcgan":
        peers = [pytorch_side(["sample", "64", *size], batch, steps)]
    elif recipe.startswith("style"):
        peers = []
    else:
        if arguments.keras is None:
            raise SystemExit(f"{recipe} is compared with Keras: name its python with --keras")
        peers = [keras_side(arguments.keras, ["sample", recipe, "64", *size], batch, steps, "Keras predict")]
    play_in_turn([ours, *peers], arguments.rounds)
    report(ours, peers, f"{recipe} at 64 px, {batch} faces a call")
    print(f"  {batch} faces: {1000 * batch / statistics.median(ours.rates):.1f} ms a call", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="*", default=["classic-tanh", "classic-dcgan", "dcgan"])
    parser.add_argument("--keras", type=Path, help="python of an environment with keras and tensorflow-cpu")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16, 256])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    for recipe in arguments.recipe:
        for batch in arguments.batches:
            compare(recipe, batch, arguments)


if __name__ == "__main__":
    main()
