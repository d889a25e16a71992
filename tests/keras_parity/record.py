"""Record what real Keras does with the classic networks, for the tests to compare facegan with.

Runs in the environment of ``make_environment.sh``, which has no torch: of facegan only the NumPy parts are used. The
networks, the optimisers and the training step are written out here as Keras users write them.

    PYTHON record.py [--out FOLDER] [--every 61]      writes recorded.npz and recorded.json

Legend: G generator, D discriminator, N samples, R resolution, Z latent size.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # plain float32 kernels: the same numbers on every processor
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[1] / "src")]

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras import layers  # noqa: E402

from facegan.sampling.latents import draw_latents  # noqa: E402
from tests.keras_parity import cases  # noqa: E402


def tanh_generator(resolution: int) -> keras.Model:
    """Return latents [N, 100] -> images [N, R, R, 3]."""
    size = resolution // 4
    return keras.Sequential(
        [
            keras.Input((100,)),
            layers.Dense(1024),
            layers.Activation("tanh"),
            layers.Dense(size * size * 128),
            layers.BatchNormalization(),
            layers.Activation("tanh"),
            layers.Reshape((size, size, 128)),
            layers.UpSampling2D(),
            layers.Conv2D(64, 5, padding="same"),
            layers.Activation("tanh"),
            layers.UpSampling2D(),
            layers.Conv2D(3, 5, padding="same"),
            layers.Activation("tanh"),
        ]
    )


def tanh_discriminator(resolution: int) -> keras.Model:
    """Return images [N, R, R, 3] -> scores [N, 1]."""
    return keras.Sequential(
        [
            keras.Input((resolution, resolution, 3)),
            layers.Conv2D(64, 5, padding="same"),
            layers.Activation("tanh"),
            layers.MaxPooling2D(),
            layers.Conv2D(128, 5),
            layers.Activation("tanh"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(1024),
            layers.Activation("tanh"),
            layers.Dense(1),
            layers.Activation("sigmoid"),
        ]
    )


def dcgan_generator(resolution: int) -> keras.Model:
    """Return latents [N, 100] -> images [N, R, R, 3]."""
    size = resolution // 16
    model = keras.Sequential([keras.Input((100,)), layers.Dense(size * size * 512), layers.Activation("relu")])
    model.add(layers.Reshape((size, size, 512)))
    for width in (256, 128, 64):
        model.add(layers.UpSampling2D())
        model.add(layers.Conv2D(width, 5, padding="same"))
        model.add(layers.BatchNormalization(momentum=0.8))
        model.add(layers.Activation("relu"))
    model.add(layers.UpSampling2D())
    model.add(layers.Conv2D(3, 5, padding="same"))
    model.add(layers.Activation("tanh"))
    return model


def dcgan_discriminator(resolution: int, dropout: float = 0.4) -> keras.Model:
    """Return images [N, R, R, 3] -> scores [N, 1]."""
    model = keras.Sequential([keras.Input((resolution, resolution, 3))])
    model.add(layers.Conv2D(64, 5, strides=2, padding="same"))
    model.add(layers.LeakyReLU(negative_slope=0.2))
    model.add(layers.Dropout(dropout))
    for width, stride in ((128, 2), (256, 2), (512, 1)):
        model.add(layers.Conv2D(width, 5, strides=stride, padding="same"))
        if width == 128:
            model.add(layers.ZeroPadding2D(((0, 1), (0, 1))))
        model.add(layers.BatchNormalization(momentum=0.8))
        model.add(layers.LeakyReLU(negative_slope=0.2))
        model.add(layers.Dropout(dropout))
    model.add(layers.Flatten())
    model.add(layers.Dense(1))
    model.add(layers.Activation("sigmoid"))
    return model


def build(network: str, **options: Any) -> keras.Model:
    """Return the Keras model of one of ``cases.NETWORKS``."""
    makers = {
        "classic-tanh/generator": tanh_generator,
        "classic-tanh/discriminator": tanh_discriminator,
        "classic-dcgan/generator": dcgan_generator,
        "classic-dcgan/discriminator": dcgan_discriminator,
    }
    recipe, resolution, side = network.split("/")
    return makers[f"{recipe}/{side}"](int(resolution), **options)


def build_without_dropout(network: str, *, calm: bool) -> keras.Model:
    """Return the model with no chance in it, its weights drawn; ``calm`` as training steps start."""
    has_dropout = network.startswith("classic-dcgan") and network.endswith("discriminator")
    model = build(network, **({"dropout": 0.0} if has_dropout else {}))
    arrays = weight_arrays(model)
    weights = cases.draw_weights(network, arrays)
    model.set_weights(cases.calmed(network, arrays, weights) if calm else weights)
    return model


def weight_arrays(model: keras.Model) -> list[tuple[str, tuple[int, ...]]]:
    """Return the (name, shape) of each array of ``get_weights()``."""
    return [(weight.name, tuple(weight.shape)) for weight in model.weights]


def count(weights: list[Any]) -> int:
    return sum(int(np.prod(weight.shape)) for weight in weights)


def summary(model: keras.Model) -> dict[str, Any]:
    """Return the numbers of ``model.summary()``: a row a layer [class, output shape, parameters], and the totals."""
    return {
        "weights": weight_arrays(model),
        "rows": [[type(layer).__name__, layer.output.shape[1:], layer.count_params()] for layer in model.layers],
        "total": model.count_params(),
        "trainable": count(model.trainable_weights),
        "non_trainable": count(model.non_trainable_weights),
    }


def forward(model: keras.Model, x: np.ndarray, *, training: bool) -> np.ndarray:
    """Return images [N, R, R, 3], or the logits [N] under a final sigmoid."""
    if model.layers[-1].activation is keras.activations.sigmoid:
        logits = keras.Model(model.inputs[0], model.layers[-2].output)
        return logits(x, training=training).numpy()[:, 0]
    return model(x, training=training).numpy()


def record_network(network: str) -> dict[str, np.ndarray]:
    """Return outputs in both modes, and the moving statistics after one pass in training mode."""
    model, x = build_without_dropout(network, calm=False), cases.network_input(network)
    arrays = {"inference": forward(model, x, training=False)}
    if model.layers[-1].activation is keras.activations.sigmoid:
        arrays["score"] = model(x, training=False).numpy()[:, 0]
    arrays["training"] = forward(model, x, training=True)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            number = sum(name.startswith("moving_mean") for name in arrays)
            arrays[f"moving_mean_{number}"] = layer.moving_mean.numpy()
            arrays[f"moving_variance_{number}"] = layer.moving_variance.numpy()
    return arrays


@contextmanager
def statistics_kept(model: keras.Model) -> Iterator[None]:
    """Give the moving statistics back, after passes in training mode that must not move them."""
    before = [weight.numpy() for weight in model.non_trainable_weights]
    yield
    for weight, value in zip(model.non_trainable_weights, before, strict=True):
        weight.assign(value)


def make_optimizer(name: str) -> keras.optimizers.Optimizer:
    if name == "sgd":
        return keras.optimizers.SGD(learning_rate=5e-4, momentum=0.9, nesterov=True)
    return keras.optimizers.Adam(learning_rate=2e-4, beta_1=0.5, beta_2=0.999, epsilon=1e-7)


def record_run(run: cases.Run) -> tuple[dict[str, list[float]], dict[str, np.ndarray]]:
    """Return the losses of each step, and what the trained pair then makes of the fixed latents and images."""
    G = build_without_dropout(f"{run.recipe}/64/generator", calm=True)
    D = build_without_dropout(f"{run.recipe}/64/discriminator", calm=True)
    G_optimizer, D_optimizer = make_optimizer(run.optimizer), make_optimizer(run.optimizer)
    cross_entropy = keras.losses.BinaryCrossentropy()
    losses: dict[str, list[float]] = {"D_loss": [], "G_loss": []}

    def latents(player: str, step: int) -> np.ndarray:
        stream = f"train/latents-{player}"
        return draw_latents(cases.SEED, stream, cases.step_index(step), 100, cases.LATENTS[run.recipe])

    for step in range(cases.STEPS):
        with statistics_kept(G):
            fake = G(latents("D", step), training=run.fakes == "training")
        both = tf.concat([cases.real_images(step), fake], axis=0)
        target = np.repeat(np.float32([1, 0]), cases.BATCH)[:, None]
        with tf.GradientTape() as tape:
            D_loss = cross_entropy(target, D(both, training=True))
        D_optimizer.apply_gradients(
            zip(tape.gradient(D_loss, D.trainable_variables), D.trainable_variables, strict=True)
        )

        with statistics_kept(D), tf.GradientTape() as tape:
            fake = G(latents("G", step), training=True)
            if run.generator_batch == "joint":
                score = D(tf.concat([cases.real_images(step), fake], axis=0), training=True)[cases.BATCH :]
            else:
                score = D(fake, training=True)
            G_loss = cross_entropy(tf.ones_like(score), score)
        G_optimizer.apply_gradients(
            zip(tape.gradient(G_loss, G.trainable_variables), G.trainable_variables, strict=True)
        )
        losses["D_loss"].append(float(D_loss))
        losses["G_loss"].append(float(G_loss))

    after = {
        side: forward(model, cases.network_input(f"{run.recipe}/64/{side}"), training=False)
        for side, model in (("generator", G), ("discriminator", D))
    }
    return losses, after


def main() -> None:
    parser = argparse.ArgumentParser(description="Record what Keras does with the classic networks.")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for recorded.npz and recorded.json")
    parser.add_argument("--every", type=int, default=61, help="keep every so many-th value of a large output")
    options = parser.parse_args()
    facts: dict[str, Any] = {
        "versions": {
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
            "python": sys.version.split()[0],
        },
        "every": options.every,
        "networks": {},
        "losses": {},
    }
    arrays: dict[str, np.ndarray] = {}
    for network in cases.NETWORKS:
        print(network, flush=True)
        facts["networks"][network] = summary(build(network))
        for name, values in record_network(network).items():
            arrays[f"{network}/{name}"] = cases.digest(values, options.every)
    for run in cases.RUNS:
        losses, after = record_run(run)
        print(run.name, losses, flush=True)
        facts["losses"][run.name] = losses
        if run.optimizer == "sgd":  # Adam makes whole steps of rounding errors: pixels are not comparable
            for side, values in after.items():
                arrays[f"{run.name}/{side}"] = cases.digest(values, options.every)
    options.out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(options.out / "recorded.npz", **arrays)
    (options.out / "recorded.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
