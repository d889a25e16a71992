"""The command lines that the page shows: they make the same faces, from files that are there."""

import shlex

import numpy as np
import pytest

from facegan.editing.saved_face import numbered_face, read_face
from tests.browser import run_script
from tests.command import facegan as command

MODEL = "'runs/my faces'"
SAVE = "save it beforehand, as"


@pytest.fixture(scope="module")
def lines():
    return run_script("commands.mjs")


def mixes(coarse, fine, settings=""):
    return f"facegan mix {MODEL} --coarse {coarse} --fine {fine} --layer 4 --out mixed.png{settings}"


def samples(number, settings, out):
    return f"facegan sample {MODEL} --seed 0 --first {number} --count 1{settings} --out {out}"


def test_unlike_faces_are_sampled_first(lines):
    a, b = "face-1.safetensors", "face-2.safetensors"
    half = " --truncation 0.7"
    assert lines["alike"] == [mixes("0:0", "0:1", half)]
    assert lines["truncations"] == [samples(0, half, a), samples(1, "", b), mixes(a, b)]
    assert lines["labels"] == [samples(0, half, a), samples(1, f"{half} --labels none", b), mixes(a, b)]
    assert lines["asked"] == [samples(1, " --attr Smiling=1", b), mixes("0:0", b, half)]
    assert lines["file"] == [mixes("eight.safetensors", "0:1")]


def test_changed_faces_have_the_names_that_the_page_gives(lines):
    changed, first, second = "face-0-2-changed.safetensors", "Shape and pose", "Colours and detail"
    assert lines["changed"] == [f"# {first}: {SAVE} {changed}", mixes(changed, "0:0", " --truncation 0.7")]
    for pair, name in (("mixtures", "face-changed"), ("one", "face-0-2-changed")):
        a, b = f"{name}-1.safetensors", f"{name}-2.safetensors"
        assert lines[pair] == [f"# {first}: {SAVE} {a}", f"# {second}: {SAVE} {b}", mixes(a, b)]
    name = "face-changed.safetensors"
    assert lines["same"] == [f"# {first}: {SAVE} {name}", mixes(name, name)]
    assert lines["name"] == [f"# {first}: {SAVE} face-changed-1.safetensors", mixes("face-changed-1.safetensors", name)]
    changed_file = "face-0-8-changed.safetensors"
    assert lines["changedFile"] == [f"# {second}: {SAVE} {changed_file}", mixes("eight.safetensors", changed_file)]
    assert lines["edit"][0] == f"# Face: {SAVE} {changed}"
    assert lines["edit"][1] == f"facegan edit {MODEL} {changed} --attr Smiling=+1 --how directions --out changed.png"
    assert lines["saved"] == [f"facegan morph {MODEL} 'my face.safetensors' ..."]


def test_the_commands_run(lines, shipped, tmp_path):
    *before, morph = lines["morph"]
    for line in (*before, f"{morph} --seconds 0.2"):
        done = command(*shlex.split(line)[1:], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    for number, truncation in ((0, 0.7), (1, 1.0)):
        made = read_face(tmp_path / f"face-{number + 1}.safetensors", shipped)
        expected = numbered_face(shipped, 0, number, truncation=truncation)
        np.testing.assert_array_equal(made.style_LW, expected.style_LW)
