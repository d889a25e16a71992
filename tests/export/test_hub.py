"""A folder for the hub is a model that loads, here and after a download; no code in it runs at load."""

import ast
import json
import shutil

import numpy as np
import pytest

import facegan
from facegan.errors import UserError
from tests.command import facegan as command
from tests.command import mistake


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("hub") / "faces"
    done = command("export", "celeba64", out, "--format", "hub", "--name", "someone/faces")
    assert done.returncode == 0 and "hf upload someone/faces" in done.stderr, done.stderr
    return out


def test_the_folder_is_the_model(folder, shipped):
    assert sorted(file.name for file in folder.iterdir()) == [
        "LICENSE", "README.md", "app.py", "config.json", "directions.safetensors", "label_prior.safetensors",
        "model.safetensors", "requirements.txt", "samples.png",
    ]  # fmt: skip
    again = facegan.load(folder)
    np.testing.assert_array_equal(again.sample(4, seed=3), shipped.sample(4, seed=3))
    assert again.sha256 == shipped.sha256 and again.nimg == shipped.nimg
    done = command("edit", folder, 0, "--attr", "Smiling=1", "--out", folder.parent / "e.png")
    assert done.returncode == 0 and "by directions" in done.stderr, done.stderr
    with pytest.raises(UserError, match="discriminator"):
        _ = again.discriminator


def test_card_and_page(folder):
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: facegan\n") and 'facegan.load("hf:someone/faces")' in card
    assert "$" not in card.replace("$ ", "")
    page = (folder / "app.py").read_text()
    ast.parse(page)
    assert "hf:someone/faces" in page and len(page.splitlines()) <= 30


def test_a_run_makes_a_folder_too(style_run, style_model, dcgan_run, tmp_path):
    assert command("export", style_run, tmp_path / "o", "--format", "hub", "--name", "a/b").returncode == 0
    card = (tmp_path / "o" / "README.md").read_text()
    assert "of CelebA." not in card and "license_name: terms-of-its-photographs" in card
    assert "Write here which photographs" in (tmp_path / "o" / "LICENSE").read_text()
    assert command("export", dcgan_run, tmp_path / "d", "--format", "hub", "--name", "a/b").returncode == 0
    page = (tmp_path / "d" / "app.py").read_text()
    ast.parse(page)
    assert "smiling" not in page
    to_hub = ["export", style_run, tmp_path / "e", "--format", "hub", "--name"]
    assert "--name ./..: give USER/NAME" in mistake(*to_hub, "./..")
    assert "--force is for a page" in mistake(*to_hub, "a/b", "--force")
    np.testing.assert_array_equal(facegan.load(tmp_path / "o").sample(2), style_model.sample(2))


def test_a_changed_file_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "o")
    config = json.loads((tmp_path / "o" / "config.json").read_text())
    config["sha256"]["model.safetensors"] = "0" * 64
    (tmp_path / "o" / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="sha256 differs"):
        facegan.load(tmp_path / "o").sample(1)
    (tmp_path / "o" / "config.json").unlink()
    with pytest.raises(UserError):
        facegan.load(tmp_path / "o")


@pytest.mark.parametrize("name", ["hf:", "hf:one", "hf:a/b/c", "hf:../x", "hf:a/..@x", "hf:a/b@"])
def test_names_that_are_none(name):
    with pytest.raises(UserError, match="hf:USER/NAME"):
        facegan.load(name)


def test_there_and_back_over_a_hub(folder, shipped, tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub")
    from tests.export.fake_hub import Hub

    monkeypatch.setenv("FACEGAN_CACHE", str(tmp_path / "cache"))
    with Hub() as hub:
        hub.take(folder, "someone/faces")
        with hub.client(monkeypatch):
            first = facegan.load("hf:someone/faces")
            np.testing.assert_array_equal(first.sample(2), shipped.sample(2))
            assert not any(path.endswith((".py", ".md", ".png")) for path in hub.log if "/resolve/" in path)
            with pytest.raises(UserError, match="cannot be downloaded"):
                facegan.load("hf:someone/else")
            assert "cannot be downloaded" in mistake("sample", "hf:someone/else", "--out", tmp_path / "x.png")
            facegan.load("hf:someone/faces@v2")
            assert any(path.endswith("/revision/v2") for path in hub.log)
    with hub.client(monkeypatch):  # it is gone, and the model is here
        np.testing.assert_array_equal(facegan.load("hf:someone/faces").sample(2), shipped.sample(2))
