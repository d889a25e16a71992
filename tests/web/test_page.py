"""The exported page in Chromium, opened from disk without a network: every control of it."""

import base64
import re

import numpy as np
import pytest
from PIL import Image

from facegan.editing.saved_face import numbered_face, read_face
from facegan.provenance import made_by_network
from tests.browser import opened
from tests.command import facegan as command
from tests.command import mistake
from tests.conftest import untrained

PIXELS = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return btoa(String.fromCharCode(...data));
}"""


def pixels(canvas):
    """Return uint8 [R, R, 3] of what a canvas shows."""
    data = np.frombuffer(base64.b64decode(canvas.evaluate(PIXELS)), np.uint8)
    side = int((len(data) / 4) ** 0.5)
    return data.reshape(side, side, 4)[..., :3].astype(int)


def grid(page):
    """Return int [N, R, R, 3] of the faces of the wall."""
    return np.stack([pixels(canvas) for canvas in page.locator("#grid canvas").all()])


def soon(page, holds):
    """Wait until something holds: a page that is under load is late."""
    for _ in range(400):
        if holds():
            return
        page.wait_for_timeout(50)
    raise AssertionError("waited 20 seconds in vain")


def painted(page, selector, before=0):
    """Wait until a large picture was painted more often than ``before``; return how often."""
    page.wait_for_selector(f"{selector}[data-painted]")
    for _ in range(200):
        count = int(page.locator(selector).get_attribute("data-painted"))
        if count > before:
            return count
        page.wait_for_timeout(25)
    raise AssertionError(f"{selector} was not painted again")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "faces.html"
    done = command("export", "celeba64", out)
    assert done.returncode == 0, done.stderr
    return out


def test_the_file_is_whole_and_small(file, shipped):
    text = file.read_text("utf-8")
    weights = (shipped.folder / "ema.safetensors").stat().st_size
    assert len(text) < 1.35 * weights + 300_000
    assert not re.search(
        r"https?://(?!www\.w3\.org|ns\.adobe\.com|purl\.org|iptc\.org|cv\.iptc\.org|github\.com)", text
    )
    assert "default-src 'none'" in text and "none of these people exists" in text


def test_the_wall_shows_what_python_makes(file, shipped, tmp_path):
    with opened(offline=True, accept_downloads=True, viewport={"width": 1300, "height": 900}) as page:
        page.goto(f"{file.as_uri()}#seed=5&count=12&truncation=1")
        page.locator("#grid canvas[data-drawn]").nth(11).wait_for()
        assert np.abs(grid(page) - shipped.sample(12, seed=5)).max() <= 2
        # Attributes, truncation and label prior.
        page.locator("details[data-group=things] summary").click()
        page.locator("[data-attribute=Eyeglasses] label").nth(2).click()
        page.locator("input[name=truncation]").fill("0.5")
        page.locator("#prior").uncheck()
        expected = shipped.sample(12, seed=5, attributes={"Eyeglasses": 1}, truncation=0.5, labels="none")
        soon(page, lambda: np.abs(grid(page) - expected).max() <= 2)
        assert "Eyeglasses=1" in page.url and "labels=none" in page.url
        page.locator("#command").click()
        line = page.locator("#commands pre").inner_text()
        page.locator("#commands .close").click()
        # The sheet.
        with page.expect_download() as download:
            page.locator("#sheet").click()
        download.value.save_as(tmp_path / "sheet.png")
        assert page.locator(".note").inner_text() == "Saved: faces-5.png"
        # Seeds, pages and counts.
        page.locator("#seed").fill("x")
        assert page.locator(".problem").is_visible()
        page.locator("#seed").fill("18446744073709551615")
        assert page.locator(".problem").is_visible()
        page.locator("#seed").fill("6")
        assert page.locator(".problem").is_hidden()
        page.locator("#on").click()
        soon(page, lambda: "first=12" in page.url and page.locator(".range").inner_text() == "12 – 23")
        page.locator("#back").click()
        page.locator("#clear").click()
        soon(page, lambda: "Eyeglasses" not in page.url)
        page.locator("#another").click()
        soon(page, lambda: "seed=6&" not in page.url)
        page.locator("#count").select_option("60")
        page.locator("#grid .cell").nth(59).wait_for()
    done = command(*line.split()[1:-1], tmp_path / "again.png")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "sheet.png") as sheet, Image.open(tmp_path / "again.png") as again:
        sheet.load()
        assert made_by_network(b"", sheet.info) and sheet.info["Title"] == "facegan sheet"
        assert "seed 5, numbers 0 to 11, truncation 0.5, Eyeglasses=1, labels none" in sheet.info["Description"]
        assert np.abs(np.asarray(sheet.convert("RGB")).astype(int) - np.asarray(again)).max() <= 2


def test_one_face_is_changed_saved_and_opened_again(file, shipped, tmp_path):
    with opened(offline=True, accept_downloads=True) as page:
        page.goto(file.as_uri())
        page.locator("#grid canvas[data-drawn]").nth(23).wait_for()
        page.locator("#grid .face").nth(4).click()
        count = painted(page, "#face canvas")
        page.locator("#face input[name=Smiling]").fill("2")
        painted(page, "#face canvas", count)
        page.wait_for_timeout(300)
        changed = pixels(page.locator("#face canvas"))
        for name, button in (("face.safetensors", "#save"), ("face.png", "#png"), ("face4.png", "#png4")):
            with page.expect_download() as download:
                page.locator(button).click()
            assert download.value.suggested_filename.startswith("face-0-4-changed.")
            download.value.save_as(tmp_path / name)
        page.locator("#face-command").click()
        line = page.locator("#commands pre").inner_text()
        assert line == (
            "facegan edit celeba64 0:4 --attr Smiling=+2 --how directions --out changed.png --truncation 0.7"
        )
        page.locator("#commands .close").click()
        page.locator("#keep").click()
        page.locator("#reset").click()
        page.keyboard.press("Escape")
        assert page.locator(".kept .cell").count() == 1
        page.reload()
        page.locator(".kept .cell").wait_for()
        page.locator(".kept .star").click()
        page.reload()
        page.locator("#grid canvas[data-drawn]").nth(23).wait_for()
        assert page.locator(".kept .cell").count() == 0
        page.locator("#face-file").set_input_files([tmp_path / "face.safetensors", tmp_path / "face.png"])
        page.locator(".kept .face").wait_for()
        page.wait_for_timeout(200)
        assert "not a face saved by facegan" in page.locator(".note").inner_text()
        assert np.abs(pixels(page.locator(".kept canvas")) - changed).max() <= 1
    saved = read_face(tmp_path / "face.safetensors", shipped)
    assert saved.origin.edited == "Smiling=+2 (directions)" and saved.origin.number == 4
    done = command(*line.split()[1:-3], tmp_path / "edited.png", "--truncation", "0.7")
    assert done.returncode == 0, done.stderr
    edited = np.asarray(Image.open(tmp_path / "edited.png"))[2:66, 68:132].astype(int)
    assert np.abs(edited - changed).max() <= 2
    with Image.open(tmp_path / "face.png") as picture, Image.open(tmp_path / "face4.png") as large:
        assert np.array_equal(np.asarray(picture.convert("RGB")), changed) and large.size == (256, 256)
        assert "changed: Smiling=+2" in picture.info["Description"]


def test_morph_and_mix(file, shipped, tmp_path):
    numbered_face(shipped, 3, 8, truncation=0.7).save(tmp_path / "eight.safetensors")
    with opened(offline=True) as page:
        page.goto(file.as_uri())
        page.locator("#grid canvas[data-drawn]").nth(23).wait_for()
        page.locator("#face-file").set_input_files(tmp_path / "eight.safetensors")
        page.locator(".kept .face").wait_for()
        page.locator("#grid .face").nth(2).click()
        page.locator("[data-use=morph-a]").click()
        painted(page, "#morphed")
        page.locator("#morph-b").click()
        page.locator(".kept .face").click()
        count = painted(page, "#morphed")
        page.locator("input[name=share]").fill("0.25")
        painted(page, "#morphed", count)
        page.wait_for_timeout(300)
        a, b = (shipped.numbered_styles(seed, [number], truncation=0.7) for seed, number in ((0, 2), (3, 8)))
        expected = shipped.generate(styles=0.75 * a + 0.25 * b)[0]
        assert np.abs(pixels(page.locator("#morphed")) - expected).max() <= 2
        page.locator("#play").click()
        painted(page, "#morphed", painted(page, "#morphed") + 3)
        page.locator("#play").click()
        page.locator("#morph-command").click()
        morph = page.locator("#commands pre").inner_text()
        page.locator("#commands .close").click()
        page.locator("[data-tab=mix]").click()
        for slot, which in (("#mix-a", 0), ("#mix-b", 0)):
            page.locator(slot).click()
            page.locator(".kept .face").nth(which).click()
        page.locator(".strip .face").nth(6).wait_for()
        page.locator(".strip .face").nth(4).click()
        page.wait_for_timeout(500)
        assert np.abs(pixels(page.locator("#mixed")) - shipped.generate(styles=b)[0]).max() <= 2
        page.locator("#mix-command").click()
        mix = page.locator("#commands pre").inner_text()
        page.go_back()
        page.locator("[data-view=morph]").wait_for()
    assert morph == "facegan morph celeba64 0:2 eight.safetensors --scale 4 --out morph.webp --truncation 0.7"
    assert "--coarse eight.safetensors --fine eight.safetensors --layer 5" in mix
    shorter = [*morph.split()[1:5], "--truncation", "0.7", "--seconds", "0.2", "--out", "short.webp"]
    assert command(*shorter, cwd=tmp_path).returncode == 0


@pytest.mark.long
def test_keys_languages_and_narrow_screens(file):
    with opened(offline=True, viewport={"width": 390, "height": 800}, locale="zh-CN", color_scheme="dark") as page:
        page.goto(file.as_uri())
        page.locator("#grid canvas[data-drawn]").nth(23).wait_for()
        assert page.locator("[data-tab=wall]").inner_text() == "人脸"
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate("() => getComputedStyle(document.documentElement).backgroundColor") == "rgb(23, 22, 20)"
        for wrong in ("constructor", "zzz"):
            page.goto(f"{file.as_uri()}#seed=-1&tab={wrong}")
            page.reload()
            page.locator("#grid canvas[data-drawn]").nth(23).wait_for()
            assert "seed" not in page.url and "tab" not in page.url
        page.locator("#theme").select_option("light")
        assert page.evaluate("() => getComputedStyle(document.documentElement).backgroundColor") != "rgb(23, 22, 20)"
        page.locator("#language").select_option("en")
        assert page.locator("[data-tab=wall]").inner_text() == "Faces"
        page.locator("#grid canvas[data-drawn]").nth(23).wait_for()
        page.locator("#grid .face").nth(0).focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("k")
        assert page.locator(".kept .cell").count() == 1
        page.keyboard.press("Enter")
        assert page.locator("#face").is_visible()
        page.keyboard.press("Escape")
        assert page.locator("#face").is_hidden()
        page.keyboard.press("PageDown")
        soon(page, lambda: "first=24" in page.url)
        page.keyboard.press("n")
        soon(page, lambda: "seed=" in page.url)


def test_a_model_without_styles_and_attributes(tmp_path, packed16):
    run = untrained(tmp_path / "run", packed16, "dcgan")
    done = command("export", run, tmp_path / "page.html", "--half")
    assert done.returncode == 0, done.stderr
    with opened(offline=True) as page:
        page.goto((tmp_path / "page.html").as_uri())
        page.locator("#grid canvas[data-drawn]").nth(23).wait_for()
        page.locator("#grid .face").nth(4).click()
        assert page.locator("#face input").count() == 0
        page.keyboard.press("Escape")
        page.locator("[data-tab=morph]").click()
        painted(page, "#morphed")
        page.locator("[data-tab=mix]").click()
        assert "no styles" in page.locator("main").inner_text()


def test_what_cannot_be_a_page(tmp_path, packed16, file):
    run = untrained(tmp_path / "run", packed16, "classic-tanh")
    assert "facegan studio shows every model" in mistake("export", run, tmp_path / "page.html")
    assert "ends in .html" in mistake("export", "celeba64", tmp_path / "page", "--format", "page")
    assert "--force" in mistake("export", "celeba64", file)
    assert "--half is for" in mistake("export", "celeba64", tmp_path / "out", "--half")
