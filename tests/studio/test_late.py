"""The studio in Chromium where answers come late, and what is kept over a reload."""

import numpy as np
import pytest
from PIL import Image

from tests.browser import opened
from tests.studio.test_browser import ready
from tests.web.test_page import painted, pixels

HELD = """
const held = [], plain = window.fetch;
window.fetch = async (path, options) => {
  if (window.holding?.test(path)) await new Promise((go) => held.push(go));
  return plain(path, options);
};
window.release = () => { window.holding = null; held.splice(0).reverse().forEach((go) => go()); };
"""
"""Requests to addresses that ``holding`` fits wait for ``release()``, which lets the last go first."""
KEPT = "() => facegan.shelf.faces.map(({ styles, origin, score }) => [styles.length, origin.seed, score])"


def kept_faces(page, count):
    page.locator(".kept .cell").nth(count - 1).wait_for()
    return [pixels(canvas) for canvas in page.locator(".kept canvas").all()], page.evaluate(KEPT)


def hold(page, path):
    page.evaluate("(path) => { window.holding = new RegExp(path); }", path)


def let_go(page):
    page.evaluate("() => release()")
    page.wait_for_timeout(500)


@pytest.mark.long
def test_kept_faces_of_both_kinds_come_back(served):
    for first in ("face", "mixture"):
        with opened() as page:
            ready(page, f"{served.address}/#model=celeba64&count=12", 12)
            if first == "face":
                page.locator("#grid .star").nth(0).click()
            page.locator("[data-tab=mix]").click()
            painted(page, "#mixed")
            page.locator("[data-view=mix] button:has-text('Keep')").click()
            if first == "mixture":
                page.locator("[data-tab=wall]").click()
                page.locator("#grid canvas[data-drawn]").nth(11).wait_for()
                page.locator("#grid .star").nth(0).click()
            before, known = kept_faces(page, 2)
            assert sorted(row[0] for row in known) == [256, 10 * 256]
            page.add_init_script(HELD + "window.holding = /render$/;")
            page.reload()
            page.locator("[data-tab=morph]").click()  # the page is built anew while pictures are under way
            let_go(page)
            after, again = kept_faces(page, 2)
        assert np.abs(np.stack(after) - np.stack(before)).max() <= 1
        for old, new in zip(known, again, strict=True):
            assert old[:2] == new[:2] and abs(old[2] - new[2]) < 0.02, "D's score too"


def test_a_face_of_an_older_snapshot_does_not_take_the_others_along(served):
    with opened() as page:
        ready(page, f"{served.address}/#model=celeba64&count=12", 12)
        page.evaluate(
            "() => { const { face } = document.querySelector('#grid .cell');"
            " facegan.shelf.keep({ ...face, origin: { ...face.origin, sha256: 'older' } }); }"
        )
        page.locator("#grid .star").nth(1).click()
        before, _ = kept_faces(page, 2)
        page.reload()
        [after], _ = kept_faces(page, 1)
    assert np.abs(after - before[1]).max() <= 1


def test_a_late_picture_belongs_to_the_face_that_was_asked_for(served):
    with opened() as page:
        page.add_init_script(HELD)
        ready(page, f"{served.address}/#model=celeba64&count=12", 12)
        page.locator("#grid .face").nth(1).click()
        unchanged = pixels(page.locator("#face canvas"))
        hold(page, "render$")
        page.locator("#face input[name=Smiling]").fill("3")
        page.keyboard.press("Escape")
        page.locator("#grid .face").nth(4).click()
        let_go(page)
        assert page.locator("#face h2").first.inner_text() == "Face 4 of seed 0"
        page.locator("#keep").click()
        assert page.evaluate("() => facegan.shelf.faces[0].origin.number") == 4
        page.keyboard.press("Escape")
        page.locator("#grid .face").nth(1).click()
        hold(page, "render$")
        page.locator("#face input[name=Smiling]").fill("3")
        page.locator("#reset").click()
        let_go(page)
        assert page.locator("#face h2").first.inner_text() == "Face 1 of seed 0"
        assert np.array_equal(pixels(page.locator("#face canvas")), unchanged)


def test_a_round_that_is_being_checked(served):
    with opened() as page:
        page.add_init_script(HELD)
        page.goto(f"{served.address}/#model=run-0&tab=game")
        page.locator("#round .face").nth(19).wait_for()
        page.locator("#round .face").nth(2).click()
        hold(page, "rounds/")
        page.locator("#check").click()
        assert page.locator("#begin").is_disabled(), "another round waits for the result"
        page.locator("#round .face").nth(3).click()
        assert page.locator("#marked").inner_text() == "1 marked", "what is being checked stays as it is"
        page.evaluate("() => { facegan.round.id = 'another'; }")
        let_go(page)
        assert page.locator("#result").inner_text() == "" and page.locator("#begin").is_enabled()


def test_a_page_built_anew_while_a_round_begins(served):
    with opened() as page:
        page.add_init_script(HELD + "window.holding = /rounds$/;")
        page.goto(f"{served.address}/#model=run-0&tab=game")
        page.locator("#language").select_option("zh")
        let_go(page)
        page.locator("#round .face").nth(19).wait_for()
        truth = served.studio.rounds.get(page.evaluate("() => facegan.round.id"))
        shown = np.stack([pixels(canvas) for canvas in page.locator("#round canvas").all()])
        assert np.array_equal(shown, truth.image_NHWC)


@pytest.mark.long
def test_a_film_is_named_after_what_it_is(served, tmp_path):
    with opened() as page:
        ready(page, f"{served.address}/#model=celeba64&count=12", 12)
        for place in (0, 1):
            page.locator("#grid .star").nth(place).click()
        page.locator("[data-tab=film]").click()
        page.locator("#make-film").click()
        page.locator("#save-film:not([disabled])").wait_for(timeout=60_000)
        page.locator("#film-kind").select_option("gif")
        with page.expect_download() as download:
            page.locator("#save-film").click()
        download.value.save_as(tmp_path / "film")
        assert download.value.suggested_filename == "film.webp"
    with Image.open(tmp_path / "film") as film:
        assert film.format == "WEBP"
