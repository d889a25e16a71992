"""The classic networks and their training steps against real Keras, by what ``tests/keras_parity/record.py`` stored.

``pytest -rP`` shows every difference; ``FACEGAN_KERAS_PARITY`` names a folder with another recording.
"""

import dataclasses
import json
import math
import os
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch

from facegan import recipes
from facegan.config import OptimizerConfig, RecipeConfig
from facegan.errors import UserError
from facegan.networks import build_discriminator, build_generator
from facegan.networks.classic import ClassicDcganGenerator
from facegan.networks.keras_weights import load_keras_weights
from facegan.networks.layers import BatchNorm
from facegan.networks.summary import summarize, totals
from facegan.training.engine import Engine
from facegan.training.learner import Learner
from facegan.training.steps import Batch, Step, train_step
from tests.keras_parity import cases

RECORDING = Path(os.environ.get("FACEGAN_KERAS_PARITY", Path(cases.__file__).parent))
FACTS = json.loads((RECORDING / "recorded.json").read_text(encoding="utf-8"))
OUTPUT_TOLERANCE = 1e-4
LOSS_TOLERANCES = {"sgd": 1e-5, "adam": 1e-3}
OPTIMIZERS = {
    "sgd": OptimizerConfig(name="sgd", learning_rate=5e-4, momentum=0.9, nesterov=True),
    "adam": OptimizerConfig(name="adam", learning_rate=2e-4, beta1=0.5, beta2=0.999, epsilon=1e-7),
}


@pytest.fixture(scope="module")
def recorded():
    with np.load(RECORDING / "recorded.npz", allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def weights():
    """Draw the weights of a network, once for all tests here."""
    return lru_cache(lambda network: cases.draw_weights(network, FACTS["networks"][network]["weights"]))


def recipe_for(network: str) -> RecipeConfig:
    """Return the recipe of "recipe/resolution/side", without dropout."""
    name, resolution, _ = network.split("/")
    recipe = recipes.recipe(name, int(resolution))
    return dataclasses.replace(recipe, discriminator={"dropout": 0.0}) if name == "classic-dcgan" else recipe


def empty_network(network: str) -> torch.nn.Module:
    recipe = recipe_for(network)
    if network.endswith("generator"):
        return build_generator(recipe.network, recipe.generator_options, seed=None)
    return build_discriminator(recipe.network, recipe.discriminator_options, seed=None)


@torch.no_grad()
def forward(network: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    """Return images [N, R, R, 3] of latents [N, Z], or logits [N] of images [N, R, R, 3]."""
    given = torch.from_numpy(x)
    output = network(given if given.dim() == 2 else given.permute(0, 3, 1, 2)).numpy()
    return output if output.ndim == 1 else output.transpose(0, 2, 3, 1)


def assert_near(what: str, ours: np.ndarray, keras: np.ndarray, tolerance: float) -> None:
    difference = float(np.abs(cases.digest(ours, FACTS["every"]) - keras).max())
    print(f"{what}: largest difference {difference:.1e}")
    assert difference <= tolerance, f"{what}: {difference:.2e} from Keras, at most {tolerance} is allowed"


@pytest.mark.parametrize("network", cases.NETWORKS)
def test_the_summary_has_the_numbers_of_keras(network):
    keras = FACTS["networks"][network]
    _, resolution, side = network.split("/")
    is_generator = side == "generator"
    rows = summarize(empty_network(network), (100,) if is_generator else (int(resolution), int(resolution), 3))
    keras_rows = keras["rows"] if is_generator else keras["rows"][:-1]  # Keras' D ends in a sigmoid
    assert [[row.layer, list(row.shape), row.parameters] for row in rows] == keras_rows
    assert totals(rows) == (keras["total"], keras["trainable"], keras["non_trainable"])


@pytest.mark.parametrize("network", cases.NETWORKS)
def test_the_outputs_are_those_of_keras(network, recorded, weights):
    ours, x = empty_network(network), cases.network_input(network)
    load_keras_weights(ours, weights(network))
    output = forward(ours.eval(), x)
    assert_near("inference", output, recorded[f"{network}/inference"], OUTPUT_TOLERANCE)
    if network.endswith("discriminator"):
        assert_near("score", 1 / (1 + np.exp(-output)), recorded[f"{network}/score"], OUTPUT_TOLERANCE)
    assert_near("training", forward(ours.train(), x), recorded[f"{network}/training"], OUTPUT_TOLERANCE)
    norms = [module for module in ours.modules() if isinstance(module, BatchNorm)]
    for number, norm in enumerate(norms):
        for name, tensor in (("mean", norm.running_mean), ("variance", norm.running_var)):
            keras = recorded[f"{network}/moving_{name}_{number}"]
            assert_near(f"moving {name} {number}", tensor.numpy(), keras, OUTPUT_TOLERANCE)


def use_keras_epsilon(player: Learner, step: int) -> None:
    """Make step 1, 2 ... of torch's Adam that of Keras.

    torch adds epsilon to the root of the corrected second moment; Keras adds it before the correction ("epsilon hat":
    Kingma and Ba 2015, end of section 2), where it weighs 32 times as much in step 1 and 3 times in step 100.
    """
    for group in player.optimizer.param_groups:
        group["eps"] = OPTIMIZERS["adam"].epsilon / math.sqrt(1 - OPTIMIZERS["adam"].beta2 ** step)


@pytest.mark.parametrize("run", cases.RUNS, ids=lambda run: run.name)
def test_three_steps_have_the_losses_of_keras(run, recorded, weights):
    names = [f"{run.recipe}/64/{side}" for side in ("generator", "discriminator")]
    recipe = dataclasses.replace(
        recipe_for(names[0]),
        discriminator_batch="joint",
        generator_batch=run.generator_batch,
        fakes=run.fakes,
        real_label=1.0,
    )
    engine = Engine(accelerator="cpu")
    players = []
    for name in names:
        network = empty_network(name)
        load_keras_weights(network, cases.calmed(name, FACTS["networks"][name]["weights"], weights(name)))
        players.append(Learner(network, OPTIMIZERS[run.optimizer], "float32", engine))
    losses: dict[str, list[float]] = {"D_loss": [], "G_loss": []}
    for number in range(cases.STEPS):
        if run.optimizer == "adam":
            for player in players:
                use_keras_epsilon(player, number + 1)
        real_NCHW = torch.from_numpy(cases.real_images(number)).permute(0, 3, 1, 2)
        logged = train_step(*players, Step(recipe, cases.SEED, Batch(cases.step_index(number), real_NCHW)))
        for name, values in losses.items():
            values.append(logged[name].item())
    for name, values in losses.items():
        keras = np.array(FACTS["losses"][run.name][name])
        assert_near(name, np.array(values), keras, LOSS_TOLERANCES[run.optimizer])
    if run.optimizer == "sgd":
        for player, name in zip(players, names, strict=True):
            output = forward(player.network.eval(), cases.network_input(name))
            keras = recorded[f"{run.name}/{name.split('/')[-1]}"]
            assert_near(f"{name} afterwards", output, keras, OUTPUT_TOLERANCE)


def test_an_array_that_does_not_fit_is_named_and_changes_nothing():
    network = ClassicDcganGenerator(16)
    loaded = [tensor for name, tensor in network.state_dict().items() if not name.endswith("taps")]
    for tensor in loaded:
        tensor.fill_(0.5)
    arrays = [np.zeros((100, 512)), np.zeros(512)]
    for inputs, outputs in ((512, 256), (256, 128), (128, 64)):
        arrays += [np.zeros((5, 5, inputs, outputs)), np.zeros(outputs), *np.zeros((4, outputs))]
    arrays += [np.zeros((5, 5, 64, 3)), np.zeros(3)]
    swapped = [*arrays]
    swapped[8] = swapped[8].transpose(0, 1, 3, 2)
    for wrong, words in (
        (swapped, r"array 8, conv2d_1/kernel: expected shape \(5, 5, 256, 128\), found \(5, 5, 128, 256\)"),
        (arrays[:-1], r"takes 22 arrays .* found 21"),
    ):
        with pytest.raises(UserError, match=words):
            load_keras_weights(network, wrong)
        assert all((tensor == 0.5).all() for tensor in loaded)
    load_keras_weights(network, arrays)
    assert all((tensor == 0).all() for tensor in loaded)
