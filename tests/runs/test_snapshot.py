import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import facegan
from facegan import recipes
from facegan.config_changes import with_settings
from facegan.errors import UserError
from facegan.runs.folder import RunFolder
from facegan.runs.snapshot import load_into, load_network, read_info, read_tensors, write_snapshot
from facegan.training.schedule import Schedule
from tests.conftest import train


@pytest.fixture
def snapshot(tmp_path):
    tensors = {"generator": {"weight": torch.arange(6.0).view(2, 3), "bias": torch.ones(2)}}
    path = tmp_path / "nimg-000000064"
    write_snapshot(path, nimg=64, config={"seed": 0}, state={"p": 0.5}, tensors=tensors)
    return path


def test_what_is_written_is_read(snapshot):
    info = read_info(snapshot)
    assert (info.nimg, info.config, info.state) == (64, {"seed": 0}, {"p": 0.5})
    tensors = read_tensors(info, "generator")
    assert torch.equal(tensors["weight"], torch.arange(6.0).view(2, 3))
    assert [path.name for path in snapshot.parent.iterdir()] == [snapshot.name]


def test_channels_last_tensors_are_saved_in_one_order(tmp_path):
    weight = torch.randn(4, 3, 5, 5)
    for name, tensor in (("a", weight), ("b", weight.to(memory_format=torch.channels_last))):
        write_snapshot(tmp_path / name, nimg=0, config={}, state={}, tensors={"g": {"w": tensor}})
    assert (tmp_path / "a" / "g.safetensors").read_bytes() == (tmp_path / "b" / "g.safetensors").read_bytes()


@pytest.mark.parametrize("damage", ["flip a byte", "cut", "remove", "swap"])
def test_a_damaged_file_is_refused(snapshot, damage):
    file = snapshot / "generator.safetensors"
    content = bytearray(file.read_bytes())
    match damage:
        case "flip a byte":
            content[-1] ^= 1
            file.write_bytes(content)
        case "cut":
            file.write_bytes(content[:-8])
        case "remove":
            file.unlink()
        case "swap":
            file.write_bytes(b"\xff" * 64)
    with pytest.raises(UserError, match=r"generator\.safetensors"):
        read_tensors(read_info(snapshot), "generator")


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"format_version": 1}', "\x00"])
def test_a_damaged_description_is_refused(snapshot, text):
    (snapshot / "snapshot.json").write_text(text)
    with pytest.raises(UserError, match="damaged"):
        read_info(snapshot)


def test_another_version_is_refused(snapshot):
    info = json.loads((snapshot / "snapshot.json").read_text())
    (snapshot / "snapshot.json").write_text(json.dumps(info | {"format_version": 99}))
    with pytest.raises(UserError, match="format version 99"):
        read_info(snapshot)


def test_tensors_that_do_not_fit_are_named():
    network = torch.nn.Linear(3, 2)
    good = network.state_dict()
    for bad in ({"weight": good["weight"]}, good | {"more": torch.ones(1)}, good | {"bias": torch.ones(3)},
                good | {"bias": torch.ones(2, dtype=torch.float64)}):  # fmt: skip
        with pytest.raises(UserError, match="does not fit"):
            load_into(network, bad, "generator.safetensors")


def test_the_lock_keeps_a_second_holder_out(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with folder.locked(), pytest.raises(UserError, match="another process"), RunFolder(tmp_path / "run").locked():
        pass
    with folder.locked():
        pass


def test_snapshots_are_ordered_by_images_and_half_ones_are_not_seen(tmp_path):
    folder = RunFolder(tmp_path)
    for name in ("nimg-000000900", "nimg-1000000000", ".nimg-2000000000.partial"):
        (folder.snapshots / name).mkdir(parents=True)
    assert [path.name for path in folder.list_snapshots()] == ["nimg-000000900", "nimg-1000000000"]


# Files that somebody else made.

STORED = Path(__file__).parents[1] / "snapshots"


def rewrite(snapshot, file, content):
    """Put other content into a file, and its digest into snapshot.json: all in order but what it says."""
    (snapshot / file).write_bytes(content)
    info = json.loads((snapshot / "snapshot.json").read_text())
    info["sha256"][file] = hashlib.sha256(content).hexdigest()
    (snapshot / "snapshot.json").write_text(json.dumps(info))


def header(text, size=0):
    encoded = text if isinstance(text, bytes) else json.dumps(text).encode()
    return len(encoded).to_bytes(8, "little") + encoded + bytes(size)


def build_linear():
    return torch.nn.Linear(3, 2)


HOSTILE = {
    "a header of 99 MB": (99 << 20).to_bytes(8, "little") + b"{" * 100,
    "a header longer than anything": b"\xff" * 8 + b"{}",
    "no header": b"",
    "a huge shape": header({"weight": {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 24]}}, 24),
    "a negative shape": header({"weight": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 24]}}, 24),
    "deep nesting": header(b"[" * 100_000),
    "another dtype": header({"weight": {"dtype": "F64", "shape": [2, 3], "data_offsets": [0, 48]},
                             "bias": {"dtype": "F64", "shape": [2], "data_offsets": [48, 64]}}, 64),
    "a missing key": header({"weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}, 24),
    "another key": header({"weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
                           "b\x00": {"dtype": "F32", "shape": [2], "data_offsets": [24, 32]}}, 32),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused(snapshot, kind):
    rewrite(snapshot, "generator.safetensors", HOSTILE[kind])
    with pytest.raises(UserError, match=r"generator\.safetensors"):
        load_network(read_info(snapshot), "generator", build_linear)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    weight = torch.ones(2, 3)
    weight[1, 1] = value
    path = tmp_path / "nimg-000000001"
    tensors = {"generator": {"weight": weight, "bias": torch.zeros(2)}}
    write_snapshot(path, nimg=1, config={}, state={}, tensors=tensors)
    with pytest.raises(UserError, match="at weight that are not finite"):
        load_network(read_info(path), "generator", build_linear)


def test_settings_of_a_giant_take_no_memory(snapshot):
    with pytest.raises(UserError, match="does not fit its own settings"):
        load_network(read_info(snapshot), "generator", lambda: torch.nn.Linear(10**6, 10**9))
    with pytest.raises(UserError, match="describes no network"):
        load_network(read_info(snapshot), "generator", lambda: torch.nn.Linear(10**12, 10**12))


@pytest.mark.parametrize("file", ["generator.safetensors", "snapshot.json"])
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
@pytest.mark.skipif(os.name != "posix", reason="links and pipes as POSIX has them")
def test_what_is_no_ordinary_file_is_refused(snapshot, tmp_path, file, kind):
    path = snapshot / file
    match kind:
        case "link":
            path.rename(tmp_path / "elsewhere")
            path.symlink_to(tmp_path / "elsewhere")
        case "pipe":
            path.unlink()
            os.mkfifo(path)
        case "folder":
            path.unlink()
            path.mkdir()
    with pytest.raises(UserError, match=rf"{file} is damaged \(it is a"):
        load_network(read_info(snapshot), "generator", build_linear)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"nimg": NaN}', '{"format_version": 1, "nimg": -1}', "9" * 5000,
                                  '{"format_version": 2, "nimg": 1e400, "config": {}, "state": {}, "sha256": {}}',
                                  " " * (2 << 20)])  # fmt: skip
def test_a_hostile_description_is_refused(snapshot, text):
    (snapshot / "snapshot.json").write_text(text)
    with pytest.raises(UserError, match="damaged") as error:
        read_info(snapshot)
    assert len(str(error.value)) < 600


def test_a_snapshot_of_version_1_makes_the_faces_it_made_then():
    faces = facegan.load(STORED / "version-1").sample(4, seed=0)
    stored = np.load(STORED / "version-1-faces.npy").astype(int)
    assert np.abs(faces - stored).max() <= 2


def test_a_run_goes_on_from_a_snapshot_of_version_1(tmp_path, packed16):
    settings = ["generator.width=1", "discriminator.width=1", "ema_halflife=100", "fakes=training"]
    recipe = with_settings(recipes.recipe("dcgan", 16), settings)
    result = train([packed16], STORED / "version-1", recipe, batch=8, fork=tmp_path / "run", threads=1,
                   precision="float32", schedule=Schedule(images=40, score_count=0))  # fmt: skip
    assert result.nimg == 40
    optimizers = load_file(tmp_path / "run" / "snapshots" / "nimg-000000040" / "optimizers.safetensors")
    assert {float(value) for name, value in optimizers.items() if name.endswith("step")} == {5.0}


def test_version_1_named_the_layers_of_classic_tanh_otherwise(tmp_path):
    today = {"0": "0", "2": "3", "5": "7", "7": "9"}  # today's number: version 1's
    for resolution in (16, 32):
        weights = facegan.build("classic-tanh", resolution=resolution).discriminator.state_dict()
        path = tmp_path / f"nimg-{resolution}"
        old = {f"blocks.{today[name.split('.')[1]]}.{name.split('.')[2]}": tensor for name, tensor in weights.items()}
        moments = {f"discriminator/{name}/exp_avg": tensor for name, tensor in old.items()}
        config = {"recipe": {"network": "classic-tanh"}}
        write_snapshot(path, nimg=1, config=config, state={}, tensors={"discriminator": old, "optimizers": moments})
        info = json.loads((path / "snapshot.json").read_text())
        (path / "snapshot.json").write_text(json.dumps(info | {"format_version": 1}))
        assert read_tensors(read_info(path), "discriminator").keys() == weights.keys()
        assert read_tensors(read_info(path), "optimizers").keys() == {
            f"discriminator/{name}/exp_avg" for name in weights
        }
