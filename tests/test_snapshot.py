import json

import pytest
import torch

from facegan.errors import UserError
from facegan.run import RunFolder
from facegan.snapshot import load_into, read_info, read_tensors, write_snapshot


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
