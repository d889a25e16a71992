"""The Keras side of a benchmark: trains or samples a classic pair in its own process, one round for each line read.

Runs in the environment of ``tests/keras_parity/make_environment.sh``, with TensorFlow's oneDNN kernels on.

    PYTHON keras_side.py train classic-dcgan 64 --batch 64 --policy mixed_bfloat16
    PYTHON keras_side.py sample classic-tanh 64 --batch 256

Reads a number of steps a line from standard input and answers with the seconds they took.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
sys.path[:0] = [str(Path(__file__).resolve().parents[2])]

from tests.keras_parity.record import build, keras, make_optimizer, tf  # noqa: E402


def training(recipe: str, resolution: int, batch: int) -> Callable[[int], None]:
    """Return a function of the number of steps: the presentation's step as one graph."""
    G, D = build(f"{recipe}/{resolution}/generator"), build(f"{recipe}/{resolution}/discriminator")
    G_optimizer, D_optimizer = make_optimizer("adam"), make_optimizer("adam")
    cross_entropy = keras.losses.BinaryCrossentropy()
    real = tf.random.uniform((batch, resolution, resolution, 3), -1, 1)
    target = tf.repeat(tf.constant([1.0, 0.0]), batch)[:, None]

    @tf.function
    def step() -> tf.Tensor:
        fake = G(tf.random.normal((batch, 100)), training=True)
        both = tf.concat([real, tf.cast(fake, tf.float32)], axis=0)
        with tf.GradientTape() as tape:
            D_loss = cross_entropy(target, D(both, training=True))
        D_optimizer.apply_gradients(
            zip(tape.gradient(D_loss, D.trainable_variables), D.trainable_variables, strict=True)
        )
        with tf.GradientTape() as tape:
            score = D(G(tf.random.normal((batch, 100)), training=True), training=True)
            G_loss = cross_entropy(tf.ones_like(score), score)
        G_optimizer.apply_gradients(
            zip(tape.gradient(G_loss, G.trainable_variables), G.trainable_variables, strict=True)
        )
        return D_loss + G_loss

    def run(count: int) -> None:
        for _ in range(count):
            loss = step()
        loss.numpy()

    return run


def sampling(recipe: str, resolution: int, batch: int) -> Callable[[int], None]:
    """Return a function of the number of calls of ``predict`` on one batch of latents."""
    G = build(f"{recipe}/{resolution}/generator")
    latents = tf.random.normal((batch, 100)).numpy()

    def run(count: int) -> None:
        for _ in range(count):
            G.predict(latents, batch_size=batch, verbose=0)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "sample"])
    parser.add_argument("recipe", choices=["classic-tanh", "classic-dcgan"])
    parser.add_argument("resolution", type=int)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--policy", default="float32", choices=["float32", "mixed_bfloat16"])
    arguments = parser.parse_args()
    keras.mixed_precision.set_global_policy(arguments.policy)
    make = training if arguments.what == "train" else sampling
    run = make(arguments.recipe, arguments.resolution, arguments.batch)
    run(2)
    print("ready", flush=True)
    for line in sys.stdin:
        started = time.perf_counter()
        run(int(line))
        print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main()
