"""The studio in Chromium: every control, wrong uploads, two users, a run that is being written."""

import threading

import numpy as np
import pytest
from PIL import Image

from facegan.training.schedule import Schedule
from tests.browser import opened
from tests.conftest import small_recipe, train, write_packed
from tests.studio.conftest import serving
from tests.web.test_page import painted, pixels


def ready(page, address, count=24):
    page.goto(address)
    page.locator("#grid canvas[data-drawn]").nth(count - 1).wait_for()


def test_every_part_of_the_page(served, shipped, tmp_path):
    with opened(viewport={"width": 1300, "height": 900}) as page:
        ready(page, f"{served.address}/#model=celeba64&seed=4&truncation=0.5&count=12", 12)
        shown = np.stack([pixels(canvas) for canvas in page.locator("#grid canvas").all()])
        assert np.abs(shown - shipped.sample(12, seed=4, truncation=0.5)).max() <= 1
        scores = [float(text) for text in page.locator("#grid .score").all_inner_texts()]
        assert len(scores) == 12 and all(0 < score < 1 for score in scores)
        # One face: changed along directions, kept, used.
        page.locator("#grid .face").nth(1).click()
        count = painted(page, "#face canvas")
        page.locator("#face input[name=Smiling]").fill("3")
        painted(page, "#face canvas", count)
        assert "D's score" in page.locator("#face .hint").first.inner_text()
        page.locator("#keep").click()
        page.locator("#face-command").click()
        assert page.locator("#commands pre").inner_text().startswith("facegan edit celeba64 4:1 --attr Smiling=+3")
        page.locator("#commands .close").click()
        page.keyboard.press("Escape")
        # A film through kept faces.
        page.locator("[data-tab=film]").click()
        page.locator("#make-film").click()
        assert "two faces" in page.locator("#film-said").inner_text()
        page.locator("[data-tab=wall]").click()
        page.locator("#grid canvas[data-drawn]").nth(11).wait_for()
        page.locator("#grid .face").nth(5).focus()
        page.keyboard.press("k")
        page.locator("[data-tab=film]").click()
        page.locator("#make-film").click()
        page.locator("#save-film:not([disabled])").wait_for(timeout=60_000)
        with page.expect_download() as download:
            page.locator("#save-film").click()
        download.value.save_as(tmp_path / "film.webp")
        # Another model, without styles.
        page.locator("#model").select_option("run-1")
        page.locator("[data-tab=photo]").click()
        assert "no styles" in page.locator("main").inner_text()
        page.locator("[data-tab=wall]").click()
        page.locator("#grid canvas[data-drawn]").nth(11).wait_for()
        assert page.locator(".kept .cell").count() == 0, "faces of another model"
    with Image.open(tmp_path / "film.webp") as film:
        assert film.n_frames > 10


def test_the_game_and_the_lesson(served):
    with opened(locale="zh-CN") as page:
        page.goto(f"{served.address}/#model=run-0&tab=game")
        page.locator("#round .face").nth(19).wait_for()
        assert "请点出生成的" in page.locator("#task").inner_text()
        page.locator("#round .face").nth(2).click()
        first = pixels(page.locator("#round canvas").first)
        page.locator("#language").select_option("en")
        page.locator("#marked:has-text('1 marked')").wait_for()
        assert np.array_equal(pixels(page.locator("#round canvas").first), first), "the round goes on"
        page.locator("#round .face").nth(2).click()
        assert "Photographs show real people" in page.locator(".made").inner_text()
        for place in (0, 3, 3, 7):
            page.locator("#round .face").nth(place).click()
        assert page.locator("#marked").inner_text() == "2 marked"
        page.locator("#check").click()
        page.locator("#result p").nth(1).wait_for()
        assert "/ 20 faces" in page.locator("#result").inner_text()
        assert page.locator("#round .right").count() + page.locator("#round .wrong").count() == 20
        assert page.locator("#result svg").count() == 1 and page.locator("#check").is_disabled()
        page.locator("#begin").click()
        page.locator("#marked:has-text('0 marked')").wait_for()
        assert page.locator("#check").is_disabled(), "nothing is marked"
        # Why D is frozen.
        page.locator("[data-tab=lesson]").click()
        page.wait_for_selector("#rows[data-steps='0']")
        for number, action in enumerate(("D", "D", "D", "G", "D", "G-not-frozen"), 1):
            page.locator(f"[data-action='{action}']").click()
            page.wait_for_selector(f"#rows[data-steps='{10 * number}']")
            cells = page.locator("#measured td").all_inner_texts()
            before, same, now = float(cells[7]), float(cells[8]), float(cells[11])
            if action == "G":
                assert same == before
        assert same > before + 0.03 and now > before
        assert "That is why D is frozen" in page.locator("#why").inner_text()
        for leave in (lambda: page.locator("#language").select_option("zh"), page.reload):
            leave()
            page.wait_for_selector("#rows[data-steps='60']")
        page.locator("#language").select_option("en")
        page.locator("[data-action=both]").click()
        page.wait_for_selector("#rows[data-steps='100']")
        page.locator("#again").click()
        page.wait_for_selector("#rows[data-steps='0']")


@pytest.mark.long
def test_photos_and_wrong_uploads(served, shipped, tmp_path, monkeypatch):
    monkeypatch.setattr("facegan.studio.faces.STEPS", 40)
    Image.fromarray(shipped.sample(1, seed=5)[0]).resize((178, 218)).save(tmp_path / "anna.png")
    (tmp_path / "wrong.jpg").write_text("no photo")
    with opened() as page:
        page.goto(f"{served.address}/#model=celeba64&tab=photo")
        page.locator("#photo-file").set_input_files(tmp_path / "anna.png")
        page.locator("#open-photo").wait_for(timeout=120_000)
        page.locator("#open-photo").click()
        count = painted(page, "#face canvas")
        page.locator("#face input[name=Smiling]").fill("2")
        painted(page, "#face canvas", count)
        with page.expect_download() as download:
            page.locator("#save").click()
        download.value.save_as(tmp_path / "anna.safetensors")
        page.keyboard.press("Escape")
    from facegan.editing.saved_face import read_face

    assert read_face(tmp_path / "anna.safetensors", shipped).origin.edited == "of a photo, Smiling=+2 (directions)"
    with pytest.raises(AssertionError, match="400"), opened() as page:  # Chromium reports the refusal
        page.goto(f"{served.address}/#model=celeba64&tab=photo")
        page.locator("#photo-file").set_input_files(tmp_path / "wrong.jpg")
        page.locator("#upload:not([disabled])").wait_for()
        assert "wrong.jpg: this file cannot be read as an image" in page.locator("#photo-said").inner_text()


@pytest.mark.long
def test_two_users(served, shipped):
    expected = {seed: shipped.sample(12, seed=seed) for seed in (1, 2)}

    def look(seed, found):
        with opened() as page:
            ready(page, f"{served.address}/#model=celeba64&seed={seed}&truncation=1&count=12", 12)
            for _ in range(3):
                page.locator("#on").click()
                page.locator("#back").click()
            page.locator(f"#grid[data-full='{seed}/0/12']").wait_for()
            page.wait_for_timeout(500)
            found[seed] = np.stack([pixels(canvas) for canvas in page.locator("#grid canvas").all()])

    found = {}
    threads = [threading.Thread(target=look, args=(seed, found)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    for seed in (1, 2):
        assert np.abs(found[seed] - expected[seed]).max() <= 1


def test_a_run_that_is_being_written(tmp_path, photographs):
    recipe, run = small_recipe("style"), tmp_path / "live"

    def go_on(images):
        schedule = Schedule(images=images, snapshot_every=16, sample_every=16, log_every=16, score_count=0)
        train([photographs], run, recipe, batch=8, schedule=schedule, precision="float32", threads=1)

    go_on(16)
    with serving([run], [photographs]) as served, opened(viewport={"width": 420, "height": 900}) as page:
        page.goto(f"{served.address}/#tab=live")
        page.wait_for_selector("#says[data-nimg='16']")
        assert "16 images seen" in page.locator("#state").inner_text()
        assert page.locator("#says .row").count() == 2 and page.locator("#says canvas").count() == 32
        newest = page.locator("#grid-picture").get_attribute("data-shown")
        go_on(48)
        page.wait_for_selector("#says[data-nimg='48']")
        assert "48 images seen" in page.locator("#state").inner_text()
        assert int(page.locator("#grid-picture").get_attribute("data-shown")) > int(newest)
        page.locator("input[name=time]").fill("0")
        assert page.locator("#grid-picture").get_attribute("data-shown") == "0"
        assert not page.locator("#follow").is_checked()
        page.locator("#follow").check()
        assert page.locator("#grid-picture").get_attribute("data-shown") != "0"
        first = served.ask("/api/runs/run-0").json["snapshots"][0]
        page.locator("input[name=snapshot]").fill("0")
        page.wait_for_selector(f"#says[data-nimg='{first}']")
        assert page.locator("#curves svg").count() >= 2
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        sha256 = page.evaluate("() => facegan.about.sha256")
        page.locator("[data-tab=wall]").click()
        page.locator("#grid canvas[data-drawn]").nth(23).wait_for()
        go_on(64)
        page.locator(".note:has-text('newer snapshot')").wait_for()
        assert page.evaluate("() => facegan.about.sha256") != sha256


@pytest.mark.long
def test_a_studio_without_runs_or_photographs():
    with serving([], []) as served, opened() as page:
        page.goto(f"{served.address}/#tab=live")
        page.locator("[data-view=live]").wait_for()
        assert "facegan studio runs/NAME" in page.locator("main").inner_text()
        page.locator("[data-tab=lesson]").click()
        page.wait_for_selector("#rows[data-steps='0']")
    with pytest.raises(AssertionError, match="400"), serving([], []) as served, opened() as page:
        page.goto(f"{served.address}/#tab=game")
        page.locator("#task:has-text('--data')").wait_for()


def test_a_model_without_attributes_is_asked_for_none(served):
    with opened() as page:
        ready(page, f"{served.address}/#model=run-1&Smiling=1&count=12", 12)


@pytest.mark.long
def test_photographs_of_another_size_do_not_hide_the_faces(run, tmp_path):
    other = write_packed(tmp_path / "other", 60, 32, identities=np.arange(1, 61, dtype=np.int32))
    with pytest.raises(AssertionError, match="400"), serving([run], [other]) as served, opened() as page:
        page.goto(f"{served.address}/#tab=live")
        page.locator("#says .hint:has-text('the photographs have 32 px')").wait_for()
        assert page.locator("#says .row").count() == 1 and page.locator("#says canvas").count() == 16


@pytest.mark.long
def test_the_game_without_a_discriminator(served, monkeypatch):
    monkeypatch.setattr("facegan.api.Model.has_discriminator", False)
    with opened() as page:
        page.goto(f"{served.address}/#tab=game")
        page.locator("[data-view=game] canvas").nth(19).wait_for()
        page.locator("[data-view=game] .face").first.click()
        page.locator("#check").click()
        page.locator("[data-view=game] .face.right, [data-view=game] .face.wrong").nth(19).wait_for()
        assert "D " not in page.locator("[data-view=game] .score").first.inner_text()


@pytest.mark.long
def test_kept_faces_outlive_a_reload_under_other_requests(served):
    with opened() as page:
        ready(page, f"{served.address}/#model=celeba64&seed=4&count=6", 6)
        for place in range(3):
            page.locator("#grid .face").nth(place).focus()
            page.keyboard.press("k")
        page.reload()
        page.locator("#grid .face").first.wait_for()
        page.keyboard.press("n")
        page.locator(".kept .cell").nth(2).wait_for()
        stored = "() => JSON.parse(Object.values(sessionStorage)[0]).length"
        page.locator("#grid canvas[data-drawn]").nth(5).wait_for()
        page.locator("#grid .face").nth(0).focus()
        page.keyboard.press("k")
        assert page.locator(".kept .cell").count() == 4 and page.evaluate(stored) == 4


def test_a_face_is_not_morphed_with_itself(served):
    with opened() as page:
        ready(page, f"{served.address}/#model=celeba64&seed=4&count=6", 6)
        partners = "facegan.somePair({ a: { origin: { seed: '4', number: 0 } } })"
        pair = page.evaluate(f"async () => (await {partners}).map(({{ origin }}) => origin.number)")
        assert pair == [0, 1]
