"""ONNX graphs of every recipe make the faces that PyTorch makes, in any number."""

import json

import numpy as np
import pytest

import facegan
from facegan.export import onnx as exporting
from tests.command import facegan as command
from tests.command import mistake
from tests.conftest import untrained

onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")


def run(file, **inputs):
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def bytes_of(image):
    return np.rint((image.transpose(0, 2, 3, 1) + 1) * 127.5).astype(int)


_LONG = pytest.param("classic-dcgan", marks=pytest.mark.long)


@pytest.mark.parametrize("recipe", ["dcgan", _LONG, "classic-tanh"])
def test_generators_without_styles(tmp_path, packed16, recipe):
    model = facegan.load(untrained(tmp_path / "run", packed16, recipe))
    done = command("export", tmp_path / "run", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["faces.onnx"]
    for count in (1, 5):
        latent = model.latents(3, range(count))
        made = run(tmp_path / "out" / "faces.onnx", latent=latent, truncation=np.array([0.5], np.float32))
        assert np.abs(bytes_of(made) - model.generate(latent, truncation=0.5)).max() <= 1


@pytest.mark.long
def test_the_shipped_model_whole_and_in_halves(shipped, tmp_path):
    done = command("export", "celeba64", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    latent, labels = shipped.latents(0, range(3)), shipped.labels(0, range(3))
    half = np.array([0.6], np.float32)
    made = run(tmp_path / "out" / "faces.onnx", latent=latent, labels=labels, truncation=half)
    expected = shipped.generate(latent, attributes=labels, truncation=0.6)
    assert np.abs(bytes_of(made) - expected).max() <= 1
    style = run(tmp_path / "out" / "mapping.onnx", latent=latent, labels=labels)
    np.testing.assert_allclose(style, shipped.styles(latent, labels), atol=1e-4)
    image = run(tmp_path / "out" / "synthesis.onnx", style=style)
    assert np.abs(bytes_of(image) - shipped.generate(styles=style)).max() <= 1
    properties = {item.key: item.value for item in onnx.load(tmp_path / "out" / "faces.onnx").metadata_props}
    about = json.loads(properties["facegan"])
    assert about["weights_sha256"] == shipped.sha256 and about["latent"] == {"size": 128, "distribution": "normal"}
    assert about["digital_source_type"] == "trainedAlgorithmicMedia"
    assert (tmp_path / "out" / "faces.onnx").stat().st_size < 15e6, "weights that are halves are stored as halves"


@pytest.mark.long
def test_a_style_model_without_attributes(style_run, style_model, tmp_path):
    files = exporting.export_onnx(style_model, tmp_path)
    assert [file.path.name for file in files] == ["faces.onnx", "mapping.onnx", "synthesis.onnx"]
    latent = style_model.latents(0, range(2))
    made = run(files[0].path, latent=latent, truncation=np.ones(1, np.float32))
    assert np.abs(bytes_of(made) - style_model.generate(latent)).max() <= 1


def test_a_graph_that_differs_is_not_kept(dcgan_run, tmp_path, monkeypatch):
    halve = exporting._halve

    def spoilt(model):
        halve(model)
        weight = max(model.graph.initializer, key=lambda tensor: tensor.ByteSize())
        array = onnx.numpy_helper.to_array(weight)
        weight.CopyFrom(onnx.numpy_helper.from_array(array * array.dtype.type(1.5), weight.name))

    monkeypatch.setattr(exporting, "_halve", spoilt)
    done = command("export", dcgan_run, tmp_path / "out")
    assert done.returncode == 2 and "faces.onnx differs from PyTorch by" in done.stderr
    assert not (tmp_path / "out").exists()


def test_wrong_words(dcgan_run, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    assert "exists already" in mistake("export", dcgan_run, tmp_path / "there")
    assert "choose onnx, hub or page" in mistake("export", dcgan_run, tmp_path / "out", "--format", "tflite")
    assert "add --name USER/NAME" in mistake("export", dcgan_run, tmp_path / "out", "--format", "hub")
    assert "leave it out" in mistake("export", dcgan_run, tmp_path / "out", "--name", "a/b")
