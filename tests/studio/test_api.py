"""What the studio answers, and what it refuses."""

import io
import time

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save

import facegan
from facegan.data.packed import PackedDataset
from facegan.data.writer import PackedWriter
from facegan.provenance import made_by_network
from facegan.studio import game, live
from facegan.studio.lesson import Lesson
from facegan.training.faces import labels_of_faces
from tests.studio.conftest import serving


def test_sources_and_models(served, run):
    found = served.ask("/api/sources").json
    assert [each["id"] for each in found["sources"]] == ["run-0", "run-1", "celeba64"] and found["photographs"]
    about = served.ask("/api/models/celeba64").json
    assert about["style_layers"] == 10 and about["prior"]
    assert served.ask("/api/models/run-0").json["nimg"] == 64
    assert served.ask("/api/models/run-0@32").json["nimg"] == 32
    assert served.ask("/api/models/run-0").json["command"] == str(run)
    page = served.ask("/")
    assert page.status == 200 and b"studio" in page.body and page.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("settings", [{}, {"attributes": {"Smiling": 1}, "truncation": 0.5}, {"labels": "none"}])
def test_numbered_faces_are_those_of_python(served, shipped, settings):
    asked = {"seed": "9223372036854775807", "numbers": [4, 5, 9], **settings}
    found = served.ask("/api/models/celeba64/faces", asked).arrays
    expected = [shipped.sample(1, seed=2**63 - 1, first=number, **settings)[0] for number in (4, 5, 9)]
    assert np.abs(found["pixels"].astype(int) - expected).max() <= 1
    assert found["styles"].shape == (3, 256) and found["latents"].shape == (3, 128)
    again = served.ask("/api/models/celeba64/render", save({"styles": found["styles"]})).arrays
    assert np.abs(again["pixels"].astype(int) - found["pixels"]).max() <= 1
    _, scores = next(shipped.batches(1, seed=2**63 - 1, first=4, scores=True, **settings))
    assert found["scores"][0] == pytest.approx(scores[0], abs=0.02)


def test_a_model_without_styles(served):
    found = served.ask("/api/models/run-1/faces", {"seed": 3, "numbers": [0, 1], "truncation": 0.5}).arrays
    assert set(found) == {"pixels", "latents", "scores"}
    again = served.ask("/api/models/run-1/render", save({"latents": found["latents"]})).arrays
    assert np.abs(again["pixels"].astype(int) - found["pixels"]).max() <= 1
    assert served.ask("/api/models/run-1/faces", {"numbers": [0], "attributes": {"Smiling": 1}}).status == 400
    assert served.ask("/api/models/run-1/photo", b"x").status == 400


def test_maps_directions_and_films(served, shipped):
    latents, labels = shipped.latents(1, range(2)), np.ones((2, 40), np.float32)
    found = served.ask("/api/models/celeba64/map", save({"latents": latents, "labels": labels})).arrays
    np.testing.assert_allclose(found["styles"], shipped.styles(latents, labels), atol=1e-4)
    asked = save({"latents": latents, "labels": labels})
    half = served.ask("/api/models/celeba64/map?truncation=0.5", asked).arrays
    np.testing.assert_allclose(half["styles"], shipped.styles(latents, labels, truncation=0.5), atol=1e-4)
    for wrong in ("nan", "inf", "1e999", "-0.1", "2", "", "x", "1&truncation=1", "1&more=1"):
        assert served.ask(f"/api/models/celeba64/map?truncation={wrong}", asked).status == 400, wrong
    assert len(served.ask("/api/models/celeba64/directions").body) > 20_000
    assert served.ask("/api/models/run-0/directions").body == b""
    content = save({"styles": np.repeat(found["styles"], 10, axis=1)})
    film = served.ask("/api/models/celeba64/film?kind=webp&frames=6&scale=2", content)
    with Image.open(io.BytesIO(film.body)) as picture:
        assert picture.size == (128, 128) and picture.n_frames == 6
    for wrong in ("kind=mp4", "frames=1", "frames=1000000", "scale=99", "scale=x"):
        assert served.ask(f"/api/models/celeba64/film?{wrong}", content).status == 400


def test_placeholders(served, shipped):
    found = served.ask("/face/3.png?model=celeba64&Smiling=1&truncation=0.7&number=2")
    assert found.headers["content-type"] == "image/png" and "max-age" in found.headers["cache-control"]
    with Image.open(io.BytesIO(found.body)) as picture:
        picture.load()
        face = shipped.sample(1, seed=3, first=2, attributes={"Smiling": 1}, truncation=0.7)[0]
        assert np.abs(np.asarray(picture).astype(int) - face).max() <= 1
        assert made_by_network(b"", picture.info)
    assert served.ask("/face/3.png?model=celeba64&Smiling=1&truncation=0.7&number=2").body == found.body
    tag = found.headers["etag"]
    assert served.ask("/face/3.png?model=celeba64", If_None_Match=tag).status == 304
    large = Image.open(io.BytesIO(served.ask("/face/3.png?model=celeba64&size=200").body))
    assert large.size == (200, 200)
    wrongs = [
        "/face/x.png", "/face/-1.png", "/face/9223372036854775808.png", "/face/1.png?model=celeba64&size=5000",
        "/face/1.png?Smilling=1&model=celeba64", "/face/1.png?truncation=9", "/face/1.png?truncation=nan",
    ]  # fmt: skip
    for wrong in wrongs:
        assert served.ask(wrong).status == 400, wrong
    assert served.ask("/face/1.png?model=none").status == 404


def test_a_photo_becomes_a_face(served, shipped, monkeypatch):
    monkeypatch.setattr("facegan.studio.faces.STEPS", 60)
    face = shipped.sample(1, seed=5, truncation=0.6)[0]
    photo = io.BytesIO()
    Image.fromarray(face).resize((148, 148)).save(photo, "JPEG", quality=95)
    canvas = Image.new("RGB", (178, 218), (90, 90, 90))
    canvas.paste(Image.open(photo), (15, 35))
    upload = io.BytesIO()
    canvas.save(upload, "PNG")
    job = served.ask("/api/models/celeba64/photo", upload.getvalue()).json["job"]
    assert served.ask(f"/api/jobs/{job}/result").status == 404
    for _ in range(600):
        state = served.ask(f"/api/jobs/{job}").json
        if state["state"] not in ("waiting", "running"):
            break
        time.sleep(0.2)
    assert state["state"] == "done" and not state["failed"] and state["psnr"] > 18, state
    found = served.ask(f"/api/jobs/{job}/result").arrays
    assert found["styles"].shape == (1, 10 * 256) and found["pixels"].shape == (2, 64, 64, 3)
    assert served.ask("/api/jobs/none").status == 404


def test_a_run_that_is_written(served, run):
    found = served.ask("/api/runs/run-0").json
    assert found["nimg"] == 64 and found["snapshots"] == [0, 32, 64] and len(found["grids"]) >= 4
    assert len(found["curves"]["D_loss"]) == 4 and found["incidents"] == [] and found["scores"] == []
    grid = served.ask(f"/api/runs/run-0/grids/{len(found['grids']) - 1}")
    assert Image.open(io.BytesIO(grid.body)).size == (8 * 18 + 2, 8 * 18 + 2)
    assert served.ask("/api/runs/run-0/grids/99").status == 400
    assert served.ask("/api/runs/celeba64").status == 404
    fixed = served.ask("/api/models/run-0@32/fixed").arrays
    assert fixed["pixels"].shape == (16, 16, 16, 3) and fixed["scores"].shape == (16,)
    real = served.ask("/api/models/run-0/photographs").arrays
    assert real["pixels"].shape == (16, 16, 16, 3)
    held_out = facegan.data.packed.DataView([served.studio.data[0]], held_out=True)
    known = {image.tobytes() for image in held_out.images(np.arange(len(held_out)))}
    assert all(image.tobytes() in known for image in real["pixels"]), "of people whom no network has seen"
    assert served.ask("/api/models/celeba64/photographs").status == 400, "other sizes"


def test_the_game_with_photographs(served):
    reply = served.ask("/api/rounds", {"model": "run-0"})
    name, faces = reply.headers["x-round"], reply.arrays["pixels"]
    assert reply.headers["x-kind"] == "photographs" and faces.shape == (20, 16, 16, 3)
    truth = served.studio.rounds.get(name).made_N
    shown = {image.tobytes() for image in faces[~truth]}
    practice = served.studio.rounds.get(name).practice[1]
    assert not any(image.tobytes() in shown for image in practice), "D's threshold is found on other photographs"
    assert 5 <= truth.sum() <= 15
    result = served.ask(f"/api/rounds/{name}", {"made": np.flatnonzero(truth).tolist()}).json
    assert result["right"] == 20 and result["made"] == truth.tolist()
    assert [row["nimg"] for row in result["history"]] == [0, 32, 64] and len(result["scores"]) == 20
    assert served.ask(f"/api/rounds/{name}", {"made": []}).json["right"] == 20 - truth.sum()
    for wrong in ([20], [-1], [1, 1], ["x"], [True], "all"):
        assert served.ask(f"/api/rounds/{name}", {"made": wrong}).status == 400
    assert served.ask("/api/rounds/none", {"made": []}).status == 400
    assert not np.array_equal(served.ask("/api/rounds", {"model": "run-0"}).arrays["pixels"], faces)


def test_photographs_that_the_run_saw_are_refused(run, photographs, tmp_path):
    images = PackedDataset.open(photographs).images
    with PackedWriter(tmp_path / "again", resolution=16, capacity=len(images)) as writer:
        writer.write(0, images)
        writer.finish(files=[f"{number}.png" for number in range(len(images))], hold_out="pictures")
    with serving([run], [tmp_path / "again"]) as served:
        told = served.ask("/api/models/run-0/photographs")
        assert told.status == 400 and "on which the model was trained" in told.json["error"]
        assert served.ask("/api/rounds", {"model": "run-0"}).status == 400


def test_the_game_of_a_model_without_a_discriminator(served, monkeypatch):
    monkeypatch.setattr(facegan.Model, "has_discriminator", False)
    reply = served.ask("/api/rounds", {"model": "run-0"})
    result = served.ask(f"/api/rounds/{reply.headers['x-round']}", {"made": []}).json
    assert (
        result["D_right"] is None and result["scores"] == [] and result["history"] == [] and len(result["made"]) == 20
    )


def test_the_scores_of_fixed_faces_know_their_labels(shipped):
    images, scores = live.fixed_faces(shipped)
    labels_NA = labels_of_faces(shipped.config, shipped.label_prior, "grid", np.arange(16))
    assert labels_NA.any()
    np.testing.assert_allclose(scores, shipped.score(images, labels_NA), atol=1e-6)


def test_the_game_without_photographs(run, monkeypatch):
    monkeypatch.setattr("facegan.studio.live.real_faces", lambda *_: [])
    with serving([run], []) as served:
        reply = served.ask("/api/rounds", {"model": "run-0"})
        assert reply.headers["x-kind"] == "snapshots"
        found = served.studio.rounds.get(reply.headers["x-round"])
        assert 5 <= found.made_N.sum() <= 15
        assert served.ask("/api/rounds", {"model": "celeba64"}).status == 400
        assert served.ask("/api/models/run-0/photographs").json == {"none": True}


def test_the_threshold_parts_what_can_be_parted():
    made, other = np.array([0.1, 0.2, 0.3, 0.9]), np.array([0.5, 0.6, 0.7, 0.8])
    edge = game.threshold(made, other)
    assert 0.3 < edge < 0.5
    assert game.threshold(np.array([0.5]), np.array([0.5])) in (-0.5, 1.5)
    assert game.some_of(list(range(100)))[0] == 0 and game.some_of(list(range(100)))[-1] == 99
    assert len(game.some_of(list(range(100)))) == 8 and game.some_of([7]) == [7]


def test_why_the_discriminator_is_frozen(shipped):
    lesson = Lesson(shipped.sample(64, seed=1), 0)
    for _ in range(4):
        lesson.act("D")
    told = lesson.history[-1]
    assert told["real"] > 0.8 and told["made"] < 0.2 and told["change"] == 0
    weights = {name: value.clone() for name, value in lesson.pair.discriminator.named_parameters()}
    lesson.act("G")
    frozen = lesson.history[-1]
    assert all(torch.equal(value, weights[name]) for name, value in lesson.pair.discriminator.named_parameters())
    assert frozen["same_images"] == pytest.approx(told["made"], abs=1e-4) and frozen["change"] > 0
    lesson.act("D")
    before = lesson.history[-1]
    lesson.act("G-not-frozen")
    mistaken = lesson.history[-1]
    assert mistaken["same_images"] > before["made"] + 0.3, "D was told that the same images are real"
    assert any(not torch.equal(value, weights[name]) for name, value in lesson.pair.discriminator.named_parameters())


def test_the_lesson_over_the_wire(served):
    reply = served.ask("/api/lessons", {"model": "celeba64"})
    name = reply.headers["x-lesson"]
    assert reply.arrays["pixels"].shape == (16, 16, 16, 3), "the photographs' own size"
    assert served.ask(f"/api/lessons/{name}", {"action": "D"}).headers["x-steps"] == "10"
    history = served.ask(f"/api/lessons/{name}/history").json["history"]
    assert [row["action"] for row in history] == ["", "D"]
    assert served.ask(f"/api/lessons/{name}", {"action": "x"}).status == 400
    assert served.ask("/api/lessons/none", {"action": "D"}).status == 400
