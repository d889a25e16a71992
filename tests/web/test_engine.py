"""The page's engine makes what Python makes: chance, labels, styles, pictures."""

import hashlib
import json
import shutil
import subprocess

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import facegan
from facegan.data.writer import PackedWriter
from facegan.editing.edit import edit_face
from facegan.editing.saved_face import numbered_face, read_face
from facegan.export import page as exporting
from facegan.provenance import made_by_network
from facegan.randomness import Stream
from tests.browser import WEB, run_script
from tests.conftest import small_recipe, untrained


def made_by_page(model, cases, folder, kernel="simd"):
    """Return uint8 [len(cases), N, R, R, 3] of faces that the page's engine makes."""
    shutil.copyfile(model.folder / f"{model.stem}.safetensors", folder / "weights")
    if model.label_prior is not None:
        shutil.copyfile(model.folder / "label_prior.safetensors", folder / "prior")
    asked = {"about": exporting.describe(model, ""), "cases": cases, "prior": model.label_prior is not None}
    (folder / "asked.json").write_text(json.dumps(asked))
    run_script("faces.mjs", folder, kernel)
    side, count = model.resolution, len(cases[0]["numbers"])
    return np.fromfile(folder / "made", np.uint8).reshape(len(cases), count, side, side, 4)[..., :3]


def largest_difference(model, cases, folder, kernel="simd"):
    made = made_by_page(model, cases, folder, kernel)
    differences = []
    for case, faces in zip(cases, made, strict=True):
        seed, (first, *_), rest = int(case["seed"]), case["numbers"], {**case}
        del rest["seed"], rest["numbers"]
        expected = model.sample(len(faces), seed=seed, first=first, **rest)
        differences.append(np.abs(expected.astype(int) - faces).max())
        assert expected.std() > 5
    return max(differences)


def case(seed="7", numbers=range(3), truncation=1, labels="prior", **attributes):
    return {
        "seed": seed, "numbers": list(numbers), "truncation": truncation, "labels": labels, "attributes": attributes,
    }  # fmt: skip


@pytest.mark.parametrize("kernel", ["simd", "plain"])
def test_the_shipped_model(shipped, tmp_path, kernel):
    cases = [
        case(),
        case(truncation=0.7),
        case(Smiling=1, Male=-1),
        case(Eyeglasses=1, truncation=0.5),
        case(Young=-1, labels="none"),
        case(labels="none", truncation=0.3),
        case(seed="9223372036854775807", numbers=range(4_300_000_000, 4_300_000_003)),
    ]
    assert largest_difference(shipped, cases, tmp_path, kernel) <= 1


def test_a_face_with_other_labels_is_truncated_as_before(shipped, tmp_path):
    for name in ("ema", "label_prior"):
        shutil.copyfile(shipped.folder / f"{name}.safetensors", tmp_path / {"ema": "weights"}.get(name, "prior"))
    asked = {"about": exporting.describe(shipped, ""), "number": 3, "truncation": 0.6, "amounts": {"Smiling": -2}}
    (tmp_path / "asked.json").write_text(json.dumps(asked))
    run_script("edited.mjs", tmp_path)
    face = edit_face(shipped, numbered_face(shipped, 7, 3, truncation=0.6), {"Smiling": -2})
    np.testing.assert_allclose(np.fromfile(tmp_path / "styles", np.float32), face.style_LW[0], atol=1e-4)


def randomised(run, seed, louder=1.0):
    """Give an untrained generator's weights and moving statistics values as training would: none stays 0 or 1."""
    [file] = run.glob("snapshots/*/generator.safetensors")
    tensors, random = load_file(file), torch.Generator().manual_seed(seed)
    for name, tensor in tensors.items():
        noise = torch.rand(tensor.shape, generator=random)
        if name.endswith("running_var"):
            tensors[name] = 0.5 + noise
        elif tensor.ndim <= 1:
            tensors[name] = tensor + 0.2 * (noise - 0.5)
        else:
            tensors[name] = tensor * louder
    save_file(tensors, file)
    described = file.with_name("snapshot.json")
    record = json.loads(described.read_text())
    record["sha256"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    described.write_text(json.dumps(record))
    return run


@pytest.mark.parametrize("recipe", ["dcgan", "classic-dcgan"])
def test_generators_without_styles(tmp_path, packed16, recipe):
    run = randomised(untrained(tmp_path / "run", packed16, recipe, ema_halflife=0), 1, louder=4)
    assert largest_difference(facegan.load(run), [case(), case(truncation=0.5)], tmp_path) <= 1


@pytest.fixture(scope="module")
def labelled16(tmp_path_factory):
    """A packed dataset of 200 images of 16 px with random attributes: enough for a label prior."""
    path = tmp_path_factory.mktemp("data") / "labelled16"
    with PackedWriter(path, resolution=16, capacity=200) as writer:
        writer.write(0, np.random.default_rng(0).integers(0, 256, (200, 16, 16, 3), np.uint8))
        labels = np.random.default_rng(1).choice([-1, 1], (200, 40)).astype(np.int8)
        writer.finish(attributes=labels, identities=np.ones(200, np.int32))
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {"patch": 2, "second_conv_max_side": 4, "mapping_layers": 1},
        {"patch": 1, "width": 5, "max_channels": 13, "mapping_layers": 3, "mapping_lr_multiplier": 0.5},
        {"patch": 1, "fine_layer": True},
        {"patch": 2, "fine_layer": True},
    ],
)
def test_every_shape_of_style_generators(tmp_path, labelled16, changes):
    generator = small_recipe("style").generator | changes
    run = untrained(tmp_path / "run", labelled16, "style", generator=generator, attributes=True, ema_halflife=0)
    model = facegan.load(randomised(run, 2))
    cases = [case(), case(truncation=0.7), case(Smiling=1, truncation=0.7)]
    assert largest_difference(model, cases, tmp_path) <= 1


def test_chance_is_the_same():
    words, normals, uniform = run_script("chance.mjs")
    stream = Stream(123456789012345678, "labels/withheld")
    assert words == stream.words(np.array([2**52 + 1]), 9)[0].tolist()
    np.testing.assert_array_equal(np.float32(normals), stream.normal(np.array([7]), 2000)[0])
    expected = Stream(5, "latents").uniform(np.array([3]), 9)[0] * 2 - 1
    np.testing.assert_array_equal(np.float32(uniform), expected.astype(np.float32))


def test_a_saved_face_goes_both_ways(shipped, tmp_path):
    face = numbered_face(shipped, 2**62 + 1, 5, attributes={"Smiling": 1.0}, truncation=0.7)
    face.save(tmp_path / "python.safetensors")
    errors = run_script("saved_face.mjs", tmp_path, shipped.sha256)
    assert errors == ["notAFace", "notAFace", "otherModel", *["notAFace"] * 5]
    back = read_face(tmp_path / "page.safetensors", shipped)
    assert back.origin == face.origin
    for name in ("style_LW", "latent_Z", "labels_A"):
        np.testing.assert_array_equal(getattr(back, name), getattr(face, name))


def test_pictures_say_what_made_them(shipped, tmp_path):
    from PIL import Image

    Image.new("RGB", (4, 4), (10, 200, 30)).save(tmp_path / "bare.png")
    (tmp_path / "provenance.json").write_text(json.dumps(exporting.describe(shipped, "")["provenance"]))
    run_script("pictures.mjs", tmp_path)
    for name in ("false", "true"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            picture.load()
            assert made_by_network(b"", picture.info) == "its metadata says so"
            assert picture.getpixel((0, 0)) == (10, 200, 30)
            said = picture.info["Description"]
        assert said.startswith("made by a neural network: facegan ")
        assert said.endswith("seed 3, number 5, truncation 0.7, Smiling=1, labels none, <&>")
        assert ("Title" in picture.info) == (name == "true")
        assert "&lt;&amp;&gt;" in picture.info["XML:com.adobe.xmp"]
    expected = shipped.provenance(1, seed=3, first=5, truncation=0.7, attributes={"Smiling": 1}, labels="none")
    assert said.removesuffix(", <&>") == expected.sentence()


def test_the_kernel_is_built_from_its_source(tmp_path):
    compiler = shutil.which("clang")
    if compiler is None or shutil.which("wasm-ld") is None:
        pytest.skip("clang and lld, which build the kernel, are not installed")
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout
    built_with = (WEB / "engine" / "build_kernel.sh").read_text().split("clang ", 1)[1].split(" ")[0]
    if f"version {built_with}." not in version:
        pytest.skip(f"the kernel was built with clang {built_with}: another one makes other bytes")
    subprocess.run(["sh", str(WEB / "engine" / "build_kernel.sh"), str(tmp_path)], check=True)
    for name in ("kernel-simd.wasm", "kernel-plain.wasm"):
        assert (tmp_path / name).read_bytes() == (WEB / "engine" / name).read_bytes()


def test_texts_and_settings():
    found = run_script("settings.mjs")
    assert found["missing"] == [] and found["zh"] == []
    assert sorted([*found["names"], "Attractive"]) == sorted(facegan.attributes.ATTRIBUTE_NAMES)
    assert found["back"] and found["plain"] == "#" == found["wrong"]
    assert found["seeds"] == ["7", "7", "9223372036854775807", None, None, None, None]
