"""A face in a file is the face that was saved, of the model that made it, or refused in a sentence."""

import json

import numpy as np
import pytest
from safetensors.numpy import load, save

from facegan.editing.saved_face import named_face, numbered_face, pictures, read_face
from facegan.errors import UserError
from tests.command import facegan, mistake


@pytest.mark.parametrize("asked", [{}, {"attributes": {"Smiling": 1}, "truncation": 0.6}, {"labels": "none"}])
def test_a_saved_face_is_that_of_sample(shipped, tmp_path, asked):
    numbered_face(shipped, 3, 17, **asked).save(tmp_path / "a.safetensors")
    face = read_face(tmp_path / "a.safetensors", shipped)
    expected = shipped.sample(1, seed=3, first=17, **asked)
    assert np.abs(pictures(shipped, [face]).astype(int) - expected).max() <= 2
    assert (tmp_path / "a.safetensors").stat().st_size < 5000
    assert (face.origin.seed, face.origin.number, face.origin.model) == (3, 17, "celeba64")


def test_of_a_generator_without_styles_a_latent_is_saved(dcgan_run, tmp_path):
    out = tmp_path / "a.safetensors"
    done = facegan("sample", dcgan_run, "--count", 1, "--first", 4, "--truncation", 0.5, "--out", out)
    assert done.returncode == 0 and set(load(out.read_bytes())) == {"latent"}
    from facegan.api import load as load_model

    model = load_model(dcgan_run)
    np.testing.assert_array_equal(pictures(model, [read_face(out, model)]), model.sample(1, first=4, truncation=0.5))


@pytest.mark.parametrize(("asked", "message"), [
    ({"attributes": {"Smiling": 1}}, "without regard to attributes"),
    ({"truncation": 7}, "truncation=7"),
    ({"truncation": None}, "truncation=None"),
])  # fmt: skip
def test_of_a_generator_without_styles_is_asked_what_sample_can_make(dcgan_run, asked, message):
    from facegan.api import load as load_model

    with pytest.raises(UserError, match=message):
        numbered_face(load_model(dcgan_run), 0, 0, **asked)


def test_faces_are_named_by_number_seed_or_file(shipped, tmp_path):
    numbered_face(shipped, 0, 5).save(tmp_path / "7")
    for text, (seed, number) in {"5": (0, 5), "9:12": (9, 12), str(tmp_path / "7"): (0, 5)}.items():
        origin = named_face(shipped, text).origin
        assert (origin.seed, origin.number) == (seed, number)
    with pytest.raises(UserError, match=r"x\.safetensors does not exist: give a saved face"):
        named_face(shipped, "x.safetensors")
    with pytest.raises(UserError, match="names no face"):
        named_face(shipped, "-1")


def test_what_is_no_face_of_this_model_is_refused(shipped, style_model, tmp_path):
    file = tmp_path / "a.safetensors"
    face = numbered_face(shipped, 0, 0)
    face.save(file)
    with pytest.raises(UserError, match=r"another model .*celeba64"):
        read_face(file, style_model)
    arrays, key = load(file.read_bytes()), "facegan-face"
    about = {"format_version": 1, "model": "celeba64", "sha256": shipped.sha256}

    def damaged(changed, **described):
        file.write_bytes(save(changed, {key: json.dumps(about | described)}))
        with pytest.raises(UserError) as error:
            read_face(file, shipped)
        return str(error.value)

    assert "styles is float32 [2, 256]" in damaged({"styles": np.zeros((2, 256), np.float32)})
    assert "styles is float64" in damaged({"styles": np.zeros((1, 256))})
    assert "finite" in damaged({"styles": np.full((1, 256), np.nan, np.float32)})
    assert "has styles" in damaged({"latent": np.zeros(128, np.float32)})
    assert "format" in damaged(arrays, format_version=2)
    assert "seed is 'x'" in damaged(arrays, seed="x")
    assert "truncation is" in damaged(arrays, truncation=-0.5)
    assert "truncation is" in damaged(arrays, truncation=10**400)
    file.write_bytes(save(arrays))
    with pytest.raises(UserError, match="no saved face"):
        read_face(file, shipped)
    for content in (b"", b"no tensors", b"\xff" * 100, b"\0" * (2 << 20)):
        file.write_bytes(content)
        with pytest.raises(UserError, match="no saved face"):
            read_face(file, shipped)


def test_the_command_line_refuses_many_faces_in_one_file(tmp_path):
    assert "holds one face: add --count 1" in mistake("sample", "celeba64", "--out", tmp_path / "a.safetensors")
    scored = ("--count", 1, "--score", "--out", tmp_path / "a.safetensors")
    assert "--score does not go into" in mistake("sample", "celeba64", *scored)
