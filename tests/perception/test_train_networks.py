"""attributes-net and judge-net: they learn, go on where they were stopped, and are stored whole."""

import json

import numpy as np
import pytest
import torch

from facegan.attributes import ATTRIBUTE_COUNT, ATTRIBUTE_NAMES
from facegan.cli.train_attributes import _table as shown_table
from facegan.data.packed import DataView, PackedDataset
from facegan.data.writer import PackedWriter
from facegan.errors import UserError
from facegan.perception.attributes_net import AttributesNet
from facegan.perception.corruptions import CORRUPTIONS, corrupt
from facegan.perception.judge_net import JudgeNet
from facegan.perception.labeller import Labeller, accuracies
from facegan.perception.train_networks import TrainingConfig, remove_checkpoints, train_attributes_net, train_judge_net
from facegan.perception.weights import load_weights, save_network
from tests.command import facegan, mistake
from tests.conftest import write_packed

SMILING, MALE = ATTRIBUTE_NAMES.index("Smiling"), ATTRIBUTE_NAMES.index("Male")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """160 faces of 32 px: the upper half is bright where somebody smiles, the lower where the person is a man."""
    path, count = tmp_path_factory.mktemp("learning") / "labelled", 160
    draws = np.random.default_rng(0)
    attributes = np.zeros((count, ATTRIBUTE_COUNT), np.int8)
    attributes[:, [SMILING, MALE]] = draws.choice([-1, 1], (count, 2))
    images = draws.integers(0, 60, (count, 32, 32, 3)).astype(np.uint8)
    images[attributes[:, SMILING] > 0, :16] += 120
    images[attributes[:, MALE] > 0, 16:] += 120
    with PackedWriter(path, resolution=32, capacity=count) as writer:
        writer.write(0, images)
        writer.finish(attributes=attributes, identities=np.arange(count, dtype=np.int32) // 2 + 1)
    return path


class StoppedError(Exception):
    """Somebody pulled the plug."""


def stop_at(limit):
    def report(nimg, losses):
        if nimg >= limit:
            raise StoppedError

    return report


@pytest.mark.parametrize("train", [train_attributes_net, pytest.param(train_judge_net, marks=pytest.mark.long)])
def test_a_stopped_training_ends_in_the_same_weights(labelled, tmp_path, tmp_path_factory, train):
    other = write_packed(tmp_path_factory.mktemp("other") / "data", 40, 32)
    view = DataView([PackedDataset.open(labelled)])
    config = TrainingConfig(96, batch=16, checkpoint_every=32)
    straight = train(view, config, lambda *_: None)
    with pytest.raises(StoppedError):
        train(view, config, stop_at(80), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["000000064"]
    seen = []
    resumed = train(view, config, lambda nimg, losses: seen.append(nimg), tmp_path)
    assert seen == [80, 96]
    weights = resumed.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in straight.state_dict().items())
    with pytest.raises(UserError, match=r"another training \(unlike: images, checkpoint_every\)"):
        train(view, TrainingConfig(64, batch=16), lambda *_: None, tmp_path)
    with pytest.raises(UserError, match=r"unlike: data\)"):
        train(DataView([PackedDataset.open(labelled), PackedDataset.open(other)]), config, lambda *_: None, tmp_path)


@pytest.mark.long
def test_the_command_learns_what_can_be_seen(labelled, tmp_path):
    out = tmp_path / "attributes.safetensors"
    done = facegan(
        "train-attributes", labelled, "--out", out, "--images", "600", "--batch", "20", "--threads", "1", "--json"
    )
    assert done.returncode == 0, done.stderr
    card = json.loads(done.stdout.splitlines()[-1])
    assert card["event"] == "card" and card["attributes"]["Bald"]["accuracy"] is None
    assert card["attributes"]["Smiling"]["accuracy"] > 0.9 and card["attributes"]["Male"]["accuracy"] > 0.9
    assert card["mean_accuracy"] > card["mean_majority"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["attributes.json", "attributes.safetensors"]
    view = DataView([PackedDataset.open(labelled)], held_out=True)
    rows = np.arange(len(view))
    labeller = Labeller(out)
    told = labeller.logits(view.images(rows))[:, [SMILING, MALE]] > 0
    assert (told == (view.attributes(rows)[:, [SMILING, MALE]] > 0)).mean() > 0.9
    assert json.loads(out.with_suffix(".json").read_text())["sha256"] == labeller.sha256
    assert "exists already" in mistake("train-attributes", labelled, "--out", out)


def test_mistakes(labelled, packed16, tmp_path):
    assert "no attributes" in mistake("train-attributes", packed16, "--out", tmp_path / "a.safetensors")
    assert "safetensors" in mistake("train-attributes", labelled, "--out", tmp_path / "a.pth")
    assert "2 to 4096" in mistake("train-attributes", labelled, "--out", tmp_path / "a.safetensors", "--batch", "1")


def test_other_files_beside_checkpoints_stay(labelled, tmp_path):
    (tmp_path / "a.checkpoints").mkdir()
    (tmp_path / "a.checkpoints" / "notes.txt").write_text("mine")
    told = mistake("train-attributes", labelled, "--out", tmp_path / "a.safetensors", "--images", "64")
    assert "holds other files, such as notes.txt" in told
    (tmp_path / "b.checkpoints" / "000000032").mkdir(parents=True)
    remove_checkpoints(tmp_path / "b.checkpoints")
    remove_checkpoints(tmp_path / "a.checkpoints")
    assert not (tmp_path / "b.checkpoints").exists()
    assert (tmp_path / "a.checkpoints" / "notes.txt").read_text() == "mine"


def test_a_card_without_a_mean_is_shown(capsys):
    labels = np.zeros((1, ATTRIBUTE_COUNT), np.int8)
    labels[0, SMILING] = 1
    shown_table(accuracies(np.ones((1, ATTRIBUTE_COUNT), np.float32), labels, np.full(ATTRIBUTE_COUNT, 0.5)))
    assert "mean" in capsys.readouterr().out


def test_accuracies_have_known_answers():
    label = np.zeros((8, ATTRIBUTE_COUNT))
    label[:, 0] = [1, 1, -1, -1, -1, -1, -1, -1]
    label[:4, 1] = [1, -1, -1, -1]
    logit = np.full((8, ATTRIBUTE_COUNT), -2.0)
    logit[:2, 0] = 3, -0.5
    card = accuracies(logit, label, np.full(ATTRIBUTE_COUNT, 1 / (1 + np.e)))  # whose log-odds are -1
    one, two = (card["attributes"][name] for name in ATTRIBUTE_NAMES[:2])
    assert one == {"share": 0.25, "accuracy": 0.875, "majority": 0.75, "balanced_accuracy": 1.0}
    assert two == {"share": 0.25, "accuracy": 0.75, "majority": 0.75, "balanced_accuracy": 0.5}
    assert card["mean_accuracy"] == pytest.approx((0.875 + 0.75) / 2)
    assert card["attributes"]["Young"]["accuracy"] is None


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b"x" * 80, lambda b: b""])
def test_weights_that_are_none_are_refused(tmp_path, damage):
    path = tmp_path / "net.safetensors"
    save_network(AttributesNet(), {}, path)
    network = AttributesNet()
    load_weights(network, path)
    with pytest.raises(UserError, match="no weights of JudgeNet"):
        load_weights(JudgeNet(), path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match="no weights of AttributesNet"):
        load_weights(network, path)


def test_corruptions_grow_with_their_strength_and_leave_others_alone():
    draws = np.random.default_rng(1).normal(size=(6, 3, 8, 8)).astype(np.float32)
    smooth = torch.nn.functional.interpolate(torch.from_numpy(draws), size=(64, 64), mode="bicubic") * 0.4
    x_NCHW, numbers = smooth.clamp(-0.9, 0.9), np.arange(6)
    for name, function in CORRUPTIONS.items():
        apart = [
            float((function(x_NCHW, torch.full((6,), strength), numbers) - x_NCHW).square().mean())
            for strength in (0.0, 0.3, 1.0)
        ]
        assert apart[0] < 0.01 and apart[0] < apart[1] < apart[2], name
    corrupted, strength_NK = corrupt(x_NCHW, numbers, share=0.5)
    untouched = strength_NK.sum(1) == 0
    assert untouched.any() and not untouched.all()
    assert torch.equal(corrupted[untouched], x_NCHW[untouched])
    assert not torch.equal(corrupted[~untouched], x_NCHW[~untouched])
