"""The exported page against Python: pixels, times and size, in Chromium opened from disk without a network.

    python benchmarks/page.py celeba64 runs/dcgan runs/classic-dcgan

Of each model: the largest difference of a pixel (of 255) over 20 seeds, with and without attributes and truncation;
the time from opening the file to the first face on the screen; milliseconds a face in one worker; the file's size and
its weights'; of style models, the time from moving a slider to the changed face on the screen.
"""

import argparse
import base64
import io
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

import facegan
from facegan import pixels
from facegan.api import Model
from facegan.export.page import export_page
from facegan.machine import describe_machine

ASK = """async ([seed, numbers, settings]) => {
  const { pixels } = await facegan.engine.numbered({ seed, numbers, ...settings });
  let text = "";
  for (let at = 0; at < pixels.length; at += 32768) text += String.fromCharCode(...pixels.subarray(at, at + 32768));
  return btoa(text);
}"""
FACE_TIMES = """async () => {
  const times = [];
  for (let number = 0; number < 100; number++) {
    const begun = performance.now();
    await facegan.engine.numbered({ seed: "1", numbers: [number], attributes: {}, truncation: 1, labels: "prior" });
    times.push(performance.now() - begun);
  }
  return times;
}"""
SLIDER_TIMES = """async () => {
  const slider = document.querySelector("#face input[name=Smiling]"), canvas = document.querySelector("#face canvas");
  const times = [];
  for (let move = 0; move < 100; move++) {
    const before = canvas.dataset.painted, begun = performance.now();
    slider.value = ((move * 7) % 60) / 10 - 3;
    slider.dispatchEvent(new Event("input"));
    while (canvas.dataset.painted === before) await new Promise((done) => setTimeout(done, 0));
    await new Promise((done) => requestAnimationFrame(done));
    times.push(performance.now() - begun);
  }
  return times;
}"""


def settings_of(model: Model) -> list[dict[str, object]]:
    plain = {"attributes": {}, "truncation": 1, "labels": "prior"}
    asked = [{}, {"truncation": 0.7}]
    if model.recipe.attributes:
        asked += [{"attributes": {"Smiling": 1, "Male": -1}}, {"attributes": {"Eyeglasses": 1}, "truncation": 0.5}]
        asked += [{"labels": "none"}]
    return [plain | each for each in asked]


def measure(source: str, browser: object, folder: Path) -> None:
    model = facegan.load(source)
    file = folder / f"{Path(source).name}.html"
    size = export_page(model, file)
    weights = (model.folder / f"{model.stem}.safetensors").stat().st_size
    firsts = []
    for _ in range(5):
        page = browser.new_context(offline=True).new_page()  # type: ignore[attr-defined]
        begun = time.perf_counter()
        page.goto(file.as_uri(), wait_until="commit")
        page.wait_for_selector("canvas[data-drawn]")
        firsts.append(1000 * (time.perf_counter() - begun))
        page.locator("#grid canvas[data-drawn]").nth(23).wait_for()
        page.close()
    page = browser.new_context(offline=True).new_page()  # type: ignore[attr-defined]
    page.goto(file.as_uri())
    page.locator("#grid canvas[data-drawn]").nth(23).wait_for()
    worst, differing, total = 0, 0, 0
    side = model.resolution
    for settings in settings_of(model):
        for seed in range(20):
            text = page.evaluate(ASK, [str(seed), [0, 1, 2, 3], settings])
            made = np.frombuffer(base64.b64decode(text), np.uint8).reshape(4, side, side, 4)[..., :3].astype(int)
            difference = np.abs(made - model.sample(4, seed=seed, **settings))  # type: ignore[arg-type]
            worst = max(worst, int(difference.max()))
            differing += int((difference > 0).sum())
            total += difference.size
    times = page.evaluate(FACE_TIMES)
    print(f"{source}: {model.recipe.name}, {side} px, {total // (3 * side * side)} faces compared")
    print(f"  largest difference {worst} of 255, {differing / total:.1e} of values differ")
    print(f"  first face after {np.median(firsts):.0f} ms (median of 5: {min(firsts):.0f} to {max(firsts):.0f})")
    print(f"  {np.median(times):.1f} ms a face (95%: {np.quantile(times, 0.95):.1f})")
    allowed = 1.35 * weights + 300_000
    print(f"  {size:,} bytes, weights {weights:,}: {size / weights:.3f} times, {size / allowed:.3f} of what is allowed")
    if model.style_layers:
        page.locator("#grid .face").first.click()
        moves = page.evaluate(SLIDER_TIMES)
        print(f"  slider to face: median {np.median(moves):.1f} ms, 95% {np.quantile(moves, 0.95):.1f} ms")
    page.close()


def take_picture(source: str, browser: object, folder: Path, out: Path) -> None:
    """Save what the page shows at once, and beside it its second face, changed."""
    model = facegan.load(source)
    file = folder / "page.html"
    export_page(model, file)
    size = {"width": 1000, "height": 720}
    page = browser.new_context(offline=True, viewport=size).new_page()  # type: ignore[attr-defined]
    page.goto(file.as_uri())
    page.locator("#grid canvas[data-drawn]").nth(23).wait_for()
    shots = [page.screenshot()]
    page.locator("#grid .face").nth(1).click()
    page.locator("#face input[name=Smiling]").fill("2")
    page.wait_for_timeout(1000)
    shots.append(page.screenshot())
    pictures = [np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")) for shot in shots]
    pixels.save_png(out, np.concatenate(pictures, axis=1), model.provenance(24, truncation=0.7, sheet=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--picture", type=Path, help="only take a picture of the first model's page")
    arguments = parser.parse_args()
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        sys.exit("there is no Chromium here: apt install chromium")
    print(describe_machine())
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"])
        print(f"Chromium {browser.version}")
        if arguments.picture:
            take_picture(arguments.models[0], browser, Path(folder), arguments.picture)
            return
        for source in arguments.models:
            measure(source, browser, Path(folder))
        browser.close()


if __name__ == "__main__":
    main()
