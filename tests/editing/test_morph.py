"""Films go through the faces that were named, at even times, and end where they began; mixtures are of two faces."""

import tracemalloc

import numpy as np
import pytest
from PIL import Image

import facegan
from facegan.editing.edit import edit_face
from facegan.editing.morph import _Way, default_layer, mixed_face, morph
from facegan.editing.saved_face import layered_styles, numbered_face, pictures
from facegan.errors import UserError
from tests.command import facegan as command
from tests.command import mistake


@pytest.fixture(scope="module")
def faces(style_model):
    return [numbered_face(style_model, 0, number) for number in range(3)]


@pytest.mark.parametrize("in_latents", [False, True])
def test_a_film_passes_through_its_faces_and_loops(style_model, faces, in_latents):
    film = np.stack(list(morph(style_model, faces, frames=12, in_latents=in_latents)))
    assert film.shape == (12, 16, 16, 3)
    assert np.abs(film[::4].astype(int) - pictures(style_model, faces)).max() <= 2
    longer = np.stack(list(morph(style_model, [*faces, faces[0]], frames=13, loop=False, in_latents=in_latents)))
    assert np.abs(longer[:12].astype(int) - film).max() <= 2 and np.abs(longer[12].astype(int) - film[0]).max() <= 2


@pytest.mark.parametrize("asked", [{"attributes": {"Bald": 1}}, {"labels": "none"}])
@pytest.mark.parametrize("truncations", [(0.3, 0.3), (0.3, 0.8)])
def test_a_film_through_latents_rests_at_truncated_faces(shipped, asked, truncations):
    ends = [numbered_face(shipped, 0, number, truncation=by, **asked) for number, by in enumerate(truncations)]
    ends.append(edit_face(shipped, ends[1], {"Smiling": 2}))
    film = np.stack(list(morph(shipped, ends, frames=5, loop=False, in_latents=True)))
    assert np.abs(film[::2].astype(int) - pictures(shipped, ends)).max() <= 2


@pytest.mark.parametrize("in_latents", [False, True])
def test_a_long_film_takes_no_more_memory_than_a_short_one(style_model, faces, in_latents):
    tracemalloc.start()
    try:
        next(morph(style_model, faces, frames=90_000, in_latents=in_latents))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 10 << 20


def test_halfway_in_styles_is_the_mean_style(style_model, faces):
    middle = list(morph(style_model, faces[:2], frames=3, loop=False))[1]
    styles = layered_styles(style_model, faces[:2]).mean(0, keepdims=True)
    assert np.abs(middle.astype(int) - style_model.generate(styles=styles)[0]).max() <= 1


def test_latents_keep_their_length_on_the_way(dcgan_run):
    model = facegan.load(dcgan_run)
    ends = [numbered_face(model, 0, number) for number in (0, 1)]
    seen = []
    model.generate = lambda latents, **_: seen.append(latents) or np.zeros((len(latents), 16, 16, 3), np.uint8)
    list(morph(model, ends, frames=21, loop=False))
    lengths = np.linalg.norm(np.concatenate(seen), axis=1)
    first, last = (np.linalg.norm(face.latent_Z) for face in ends)
    assert lengths.min() >= min(first, last) - 1e-3 and lengths.max() <= max(first, last) + 1e-3


def test_latents_of_no_length_are_passed_straight(dcgan_run):
    model = facegan.load(dcgan_run)
    ends = [numbered_face(model, 0, number, truncation=0.0) for number in (0, 1)]
    film = np.stack(list(morph(model, ends, frames=3, loop=False)))
    assert film.shape == (3, 16, 16, 3) and (film == film[0]).all()


def test_what_is_no_film_is_refused(style_model, faces):
    with pytest.raises(UserError, match="two or more"):
        morph(style_model, faces[:1], frames=5)
    with pytest.raises(UserError, match="2 frames for 3 faces"):
        morph(style_model, faces, frames=2)
    mixed = mixed_face(style_model, faces[0], faces[1], 1)
    with pytest.raises(UserError, match="not all of these faces were made of a latent"):
        morph(style_model, [faces[0], mixed], frames=5, in_latents=True)


@pytest.mark.parametrize("suffix", [".webp", ".gif", ".avif", ".mp4", ""])
def test_films_are_files_that_say_what_made_them(style_run, tmp_path, suffix):
    if suffix == ".mp4":
        pytest.importorskip("av")
    out = tmp_path / f"film{suffix}"
    done = command("morph", style_run, 0, 1, "--seconds", 1, "--rate", 8, "--scale", 2, "--out", out)
    assert done.returncode == 0 and "8 pictures through 2 faces" in done.stderr
    if suffix == ".mp4":
        import av

        with av.open(str(out)) as film:
            assert sum(1 for _ in film.decode(video=0)) == 8
            assert "made by a neural network" in film.metadata["comment"]
        return
    files = sorted(out.iterdir()) if out.is_dir() else [out]
    assert len(files) == (8 if out.is_dir() else 1)
    assert b"trainedAlgorithmicMedia" in files[0].read_bytes() or suffix == ".gif"
    with Image.open(files[0]) as picture:
        assert picture.size == (32, 32)
        assert getattr(picture, "n_frames", 1) == (1 if out.is_dir() else 8)


def test_a_gif_is_as_long_as_it_should_be(style_run, tmp_path):
    out = tmp_path / "film.gif"
    done = command("morph", style_run, 0, 1, "--seconds", 2, "--rate", 60, "--out", out)
    assert done.returncode == 0 and "50 pictures a second" in done.stderr
    with Image.open(out) as film:
        durations = [film.seek(number) or film.info["duration"] for number in range(film.n_frames)]
    assert set(durations) == {20} and sum(durations) == 2000


def test_a_mixture_has_the_coarse_layers_of_one_and_the_fine_of_the_other(style_model, faces):
    layers = style_model.style_layers
    rows = layered_styles(style_model, faces)
    mixed = mixed_face(style_model, faces[0], faces[1], 2)
    np.testing.assert_array_equal(mixed.style_LW[:2], rows[0][:2])
    np.testing.assert_array_equal(mixed.style_LW[2:], rows[1][2:])
    for layer in (0, layers):
        with pytest.raises(UserError, match=f"from layer 1 to {layers - 1}"):
            mixed_face(style_model, faces[0], faces[1], layer)


def test_layers_from_the_default_on_begin_at_four_times_the_smallest_size(shipped):
    assert default_layer(shipped) == 3  # one layer of 4 px, two of 8 px
    assert shipped.style_layers == 10


def test_a_film_rests_at_each_face():
    share_F = _Way.through(2, 101, False).share_F
    assert share_F[1] - share_F[0] < 0.1 * (share_F[51] - share_F[50]) and share_F[-1] == 1


def test_the_command_goes_once_through_latents(style_run, style_model, faces, tmp_path):
    words = ("--once", "--through", "latents", "--seconds", 1, "--rate", 5)
    assert command("morph", style_run, 0, 1, *words, "--out", tmp_path / "film").returncode == 0
    film = np.stack([np.asarray(Image.open(file)) for file in sorted((tmp_path / "film").iterdir())]).astype(int)
    expected = list(morph(style_model, faces[:2], frames=5, loop=False, in_latents=True))
    assert np.abs(film - np.stack(expected)).max() <= 2


def test_mixed_pictures_and_faces(style_run, style_model, faces, tmp_path):
    done = command(
        "mix", style_run, "--coarse", 0, "--coarse", 1, "--fine", 2, "--layer", 2, "--out", tmp_path / "m.png"
    )
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "m.png") as picture:
        assert picture.size == (2 * 18 + 2, 3 * 18 + 2)
        cell = np.asarray(picture)[38:54, 20:36].astype(int)
    assert np.abs(cell - pictures(style_model, [mixed_face(style_model, faces[1], faces[2], 2)])[0]).max() <= 2
    done = command("mix", style_run, "--coarse", 0, "--fine", 2, "--layer", 2, "--out", tmp_path / "m.safetensors")
    assert done.returncode == 0, done.stderr
    assert command("morph", style_run, tmp_path / "m.safetensors", 1, "--out", tmp_path / "f.webp").returncode == 0


def test_wrong_words(style_run, dcgan_run, tmp_path):
    assert "choose styles or latents" in mistake("morph", style_run, 0, 1, "--through", "walls")
    assert "ends in .avif, .webp, .gif, .mp4" in mistake("morph", style_run, 0, 1, "--out", tmp_path / "a.mov")
    assert "--seconds 0.0" in mistake("morph", style_run, 0, 1, "--seconds", 0)
    assert "does not exist" in mistake("morph", style_run, 0, "nobody.safetensors", "--out", tmp_path / "a.webp")
    for word in ("-3", "1:2:3", "x"):
        assert "give its number, SEED:NUMBER" in mistake("morph", style_run, 0, "--", word)
    assert "numbered from 0 to 2^62" in mistake("morph", style_run, 0, 10**22)
    assert "are 0 for 2 faces" in mistake("morph", style_run, 0, 1, "--seconds", 0.1, "--rate", 0.5)
    assert "has no styles" in mistake("mix", dcgan_run, "--coarse", 0, "--fine", 1, "--out", tmp_path / "a.png")
