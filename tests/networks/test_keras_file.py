"""Keras' own files. ``tests/keras_parity/small.*`` were written by Keras 3.15: the same weights in three formats."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import facegan
from facegan.errors import UserError
from facegan.networks import keras_file
from facegan.networks.keras_file import read_arrays, read_keras_file
from facegan.networks.keras_weights import _slots, load_keras_file
from tests import command

STORED = Path(__file__).parents[1] / "keras_parity"
NAMES = [
    "dense/kernel", "dense/bias", "batch_normalization/gamma", "batch_normalization/beta",
    "batch_normalization/moving_mean", "batch_normalization/moving_variance", "dense_1/kernel", "dense_1/bias",
    "conv2d/kernel", "conv2d/bias", "conv2d_1/kernel", "conv2d_1/bias",
]  # fmt: skip


@pytest.mark.parametrize("file", ["small.weights.h5", "small.h5"])
def test_what_keras_wrote_is_read(file):
    with np.load(STORED / "small.npz") as stored:
        expected = [stored[name] for name in stored.files]
    found = read_keras_file(STORED / file, NAMES, 10_000)
    assert len(found) == len(expected)
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def write_weights(path, network, change=lambda name, array: array):
    """Write a network's weights as Keras 3 does; return the arrays."""
    generator, arrays = np.random.default_rng(0), []
    with h5py.File(path, "w") as file:
        for slot in _slots(network):
            shape = tuple(slot.tensor.shape[slot.axes.index(axis)] for axis in range(len(slot.axes)))
            arrays.append(change(slot.name, generator.normal(size=shape).astype(np.float32)))
            layer, variable = slot.name.split("/")
            file[f"layers/{layer}/vars/{keras_file._VARIABLES[variable]}"] = arrays[-1]
    return arrays


@pytest.mark.parametrize("recipe", ["classic-tanh", "classic-dcgan"])
def test_a_pair_is_imported_and_makes_faces(tmp_path, recipe):
    pair = facegan.build(recipe, resolution=16)
    write_weights(tmp_path / "g.weights.h5", pair.generator)
    write_weights(tmp_path / "d.weights.h5", pair.discriminator)
    done = command.facegan(
        "import-keras", tmp_path / "g.weights.h5", "--recipe", recipe, "--discriminator", tmp_path / "d.weights.h5",
        "--resolution", 16, "--out", tmp_path / "m",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    model = facegan.load(tmp_path / "m")
    load_keras_file(pair.generator, tmp_path / "g.weights.h5")
    for name, tensor in pair.generator.state_dict().items():
        assert tensor.equal(model.generator.state_dict()[name])
    assert model.discriminator is not None
    assert model.sample(2).shape == (2, 16, 16, 3)


def test_files_that_do_not_fit_are_refused(tmp_path):
    generator = facegan.build("classic-tanh", resolution=16).generator
    path = tmp_path / "g.weights.h5"
    write_weights(path, generator, lambda name, array: array[:1])
    with pytest.raises(UserError, match="expected shape"):
        load_keras_file(generator, path)
    write_weights(path, generator, lambda name, array: array * np.float32("nan"))
    with pytest.raises(UserError, match="not finite"):
        load_keras_file(generator, path)
    write_weights(path, facegan.build("classic-dcgan", resolution=16).discriminator)
    with pytest.raises(UserError, match="another recipe"):
        load_keras_file(generator, path)
    path.write_bytes(b"no HDF5 at all")
    with pytest.raises(UserError, match="no HDF5 file"):
        load_keras_file(generator, path)
    with pytest.raises(UserError, match="cannot be read"):
        load_keras_file(generator, tmp_path / "nowhere.h5")


def test_an_array_that_would_fill_the_memory_is_refused_unread(tmp_path):
    path = tmp_path / "bomb.weights.h5"
    with h5py.File(path, "w") as file:
        for name in NAMES:
            layer, variable = name.split("/")
            file.create_dataset(
                f"layers/{layer}/vars/{keras_file._VARIABLES[variable]}", (1 << 40,), np.float32, chunks=(1 << 20,),
                compression="gzip",
            )  # fmt: skip
    with pytest.raises(UserError, match="larger than the model's"):
        read_arrays(path, NAMES, 10_000)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
def test_a_reader_that_dies_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(keras_file, "_SECONDS", 0.01)
    with pytest.raises(UserError, match="could not be read in"):
        read_keras_file(STORED / "small.h5", NAMES, 10_000)
    monkeypatch.setattr(keras_file, "_SECONDS", 60)
    monkeypatch.setattr(keras_file, "json", type("json", (), {"dumps": staticmethod(lambda _: "[1")}))
    with pytest.raises(UserError, match="ended with code 1"):
        read_keras_file(STORED / "small.h5", NAMES, 10_000)


@pytest.mark.long
def test_a_file_with_the_moments_of_adam_is_read(tmp_path):
    discriminator = facegan.build("classic-tanh", resolution=64).discriminator
    path = tmp_path / "d.weights.h5"
    arrays = write_weights(path, discriminator)
    with h5py.File(path, "a") as file:
        for number, array in enumerate(arrays):
            for slot in ("momentum", "velocity"):
                file[f"optimizer/vars/{number}-{slot}"] = np.zeros_like(array)
    load_keras_file(discriminator, path)
    assert path.stat().st_size > 2 * sum(array.nbytes for array in arrays) + (16 << 20)
