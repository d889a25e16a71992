"""Directions do what they are called after, and leave what they should; edits go along them, or by labels."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from facegan.api import load
from facegan.attributes import ATTRIBUTE_NAMES
from facegan.editing import directions as finding
from facegan.editing.directions import Directions, directions_of, read_directions, regressed, save_directions
from facegan.editing.edit import edit_face
from facegan.editing.effects import Meter
from facegan.editing.saved_face import numbered_face, read_face
from facegan.errors import UserError
from facegan.pixels import grid
from tests.command import facegan, mistake

SMILING, MALE = ATTRIBUTE_NAMES.index("Smiling"), ATTRIBUTE_NAMES.index("Male")


def test_a_regressed_direction_raises_its_attribute_and_spares_the_others():
    random = np.random.default_rng(0)
    style = random.normal(size=(5000, 8)) * np.array([3, 1, 1, 1, 1, 1, 0.5, 0.1])
    slope = np.zeros((8, 3))
    slope[0, 0], slope[1, 0], slope[1, 1], slope[2, 2] = 0.2, 0.5, 1, 1
    logit = style @ slope
    logit /= logit.std(0)
    scaled = slope / (style @ slope).std(0)
    plain = regressed(style, logit, 0.0, np.zeros(3, bool)) @ scaled
    sparing = regressed(style, logit, 30.0, np.zeros(3, bool)) @ scaled
    apart = regressed(style, logit, 0.0, np.ones(3, bool)) @ scaled
    for effect in (plain, sparing, apart):
        np.testing.assert_allclose(np.diag(effect), 1, atol=0.01)
    assert abs(plain[0, 1]) > 0.3 > abs(sparing[0, 1]) > abs(apart[0, 1])
    np.testing.assert_allclose(apart, np.eye(3), atol=0.01)


def test_the_shipped_directions_change_what_they_say(shipped):
    directions = directions_of(shipped)
    assert directions is not None
    meter = Meter(shipped, directions, 24)
    change = directions.change({"Smiling": 1})
    effect = meter.effect(SMILING, meter.style_NW, meter.style_NW + change)
    assert 0.6 < effect.rise < 1.5 and effect.spill < effect.rise / 4 and effect.drift < 0.8


def test_an_edit_along_a_direction_moves_the_style_by_it(shipped):
    directions, face = directions_of(shipped), numbered_face(shipped, 0, 0)
    changed = edit_face(shipped, face, {"smiling": 2, "Male": -1}, directions=directions)
    moved = (changed.style_LW - face.style_LW)[0]
    np.testing.assert_allclose(moved, 2 * directions.direction_AW[SMILING] - directions.direction_AW[MALE], atol=1e-5)
    assert changed.latent_Z is None and changed.origin.edited == "Smiling=+2, Male=-1 (directions)"


@pytest.mark.parametrize("truncation", [1.0, 0.5])
def test_an_edit_by_labels_is_the_face_of_other_labels(shipped, truncation):
    face = numbered_face(shipped, 0, 1, truncation=truncation)
    assert (face.labels_A > 0).any() and (face.labels_A < 0).any()
    changed = edit_face(shipped, face, {"Smiling": 2})
    assert changed.labels_A[SMILING] == 2 and not np.delete(changed.labels_A - face.labels_A, SMILING).any()
    made_again = shipped.styles(face.latent_Z[None], changed.labels_A[None], truncation=truncation)
    np.testing.assert_allclose(changed.style_LW, made_again, atol=1e-5)


@pytest.mark.parametrize("how", ["labels", "directions"])
def test_steps_go_from_the_face_as_it_was_to_the_face_changed(shipped, tmp_path, how):
    face = numbered_face(shipped, 3, 1, attributes={"Eyeglasses": 1}, truncation=0.9)
    face.save(tmp_path / "g.safetensors")
    words = ("edit", "celeba64", tmp_path / "g.safetensors", "--attr", "Eyeglasses=4", "--how", how)
    assert facegan(*words, "--out", tmp_path / "after.safetensors").returncode == 0
    assert facegan(*words, "--steps", 3, "--out", tmp_path / "row.png").returncode == 0
    after = read_face(tmp_path / "after.safetensors", shipped)
    styles = np.stack([face.style_LW, (face.style_LW + after.style_LW) / 2, after.style_LW])[:, 0]
    with Image.open(tmp_path / "row.png") as picture:
        row = np.asarray(picture).astype(int)
    np.testing.assert_allclose(row, grid(shipped.generate(styles=styles), columns=3), atol=2)


def test_a_model_without_styles_has_no_edits(dcgan_run, tmp_path):
    for more in ((), ("--how", "labels"), ("--how", "directions"), ("--directions", tmp_path / "d.safetensors")):
        said = mistake("edit", dcgan_run, 0, "--attr", "Smiling=1", *more, "--out", tmp_path / "a.png")
        assert "the recipe dcgan has no styles: its faces cannot be edited" in said
    with pytest.raises(UserError, match="dcgan has no styles, and directions go through styles"):
        directions_of(load(dcgan_run))


def test_what_cannot_be_edited_is_refused(shipped, style_model):
    face, directions = numbered_face(shipped, 0, 0), directions_of(shipped)
    edited = edit_face(shipped, face, {"Smiling": 1}, directions=directions)
    for call, message in (
        (lambda: edit_face(shipped, edited, {"Smiling": 1}), "can get other labels"),
        (lambda: edit_face(shipped, face, {"Smile": 1}, directions=directions), "Smiling"),
        (lambda: edit_face(shipped, face, {"Smiling": 11}, directions=directions), "from -10 to 10"),
        (lambda: edit_face(shipped, face, {"Smiling": float("nan")}, directions=directions), "from -10 to 10"),
        (lambda: edit_face(shipped, face, {"Smiling": 1, "smiling": 2}, directions=directions), "twice"),
        (
            lambda: edit_face(style_model, numbered_face(style_model, 0, 0), {"Male": 1}, directions=directions),
            "another",
        ),
        (lambda: edit_face(style_model, numbered_face(style_model, 0, 0), {"Male": 1}), "other labels"),
    ):
        with pytest.raises(UserError, match=message):
            call()


def test_directions_are_kept_in_a_small_file(shipped, style_model, tmp_path):
    found, file = directions_of(shipped), tmp_path / "d.safetensors"
    save_directions(replace(found, orthogonal=("Male",)), file)
    assert file.stat().st_size < 30_000
    again = read_directions(file, shipped)
    assert again.orthogonal == ("Male",)
    np.testing.assert_array_equal(again.direction_AW, found.direction_AW)
    with pytest.raises(UserError, match="another model"):
        read_directions(file, style_model)
    save_directions(replace(found, direction_AW=found.direction_AW[:, :5]), file)
    with pytest.raises(UserError, match="damaged"):
        read_directions(file, shipped)
    numbered_face(shipped, 0, 0).save(file)
    with pytest.raises(UserError, match="no file of directions"):
        read_directions(file, shipped)
    assert directions_of(style_model) is None


def test_the_commands(style_run, tmp_path, monkeypatch):
    monkeypatch.setattr(finding, "_SCALE_COUNT", 4)
    found = tmp_path / "d.safetensors"
    done = facegan("directions", style_run, "--count", 1000, "--measure", 2, "--out", found)
    assert done.returncode == 0, done.stderr
    assert (
        len([line for line in done.stdout.splitlines() if line.split()[:1] and line.split()[0] in ATTRIBUTE_NAMES])
        == 40
    )
    done = facegan("edit", style_run, 0, 1, "--attr", "Smiling=2", "--directions", found, "--out", tmp_path / "e.png")
    assert done.returncode == 0 and "Smiling +2 by directions" in done.stderr
    assert "no directions come with" in mistake("edit", style_run, 0, "--attr", "Male=1", "--how", "directions")
    assert "1000" in mistake("directions", style_run, "--count", 10, "--out", tmp_path / "x.safetensors").replace(
        ",", ""
    )


def test_an_edited_face_is_edited_again(shipped, tmp_path):
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    assert facegan("edit", "celeba64", 7, "--attr", "Young=-2", "--out", first).returncode == 0
    assert facegan("edit", "celeba64", first, "--attr", "Male=1", "--out", second).returncode == 0
    assert read_face(second, shipped).origin.edited == "Young=-2 (directions), Male=+1 (directions)"
    done = facegan("edit", "celeba64", 7, 8, "--attr", "Smiling=1", "--how", "labels", "--out", tmp_path / "c.png")
    assert done.returncode == 0 and "by labels" in done.stderr
    assert "holds one face" in mistake(
        "edit", "celeba64", 7, 8, "--attr", "Male=1", "--out", tmp_path / "c.safetensors"
    )
    assert "NAME=VALUE" in mistake("edit", "celeba64", 7, "--attr", "Male")


def test_one_face_is_no_table(style_run, tmp_path):
    assert "choose 2 or more" in mistake("directions", style_run, "--out", tmp_path / "d", "--measure", "1")


def test_unknown_things(style_model):
    directions = Directions("m", "s", np.zeros((40, 16), np.float32), np.zeros(40), np.ones(40))
    with pytest.raises(UserError, match="not one of CelebA's 40"):
        directions.change({"Nose": 1})
