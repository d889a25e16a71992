"""Node and Chromium for the tests of the page; tests are skipped, with a reason, where there is none."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

WEB = Path(__file__).parents[1] / "src" / "facegan" / "web"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def node() -> str:
    """Return a Node.js: the machine's, or the one that Playwright brings along."""
    found = shutil.which("node")
    if found is None:
        playwright = pytest.importorskip("playwright", reason="neither Node.js nor Playwright is installed")
        found = str(Path(playwright.__file__).parent / "driver" / "node")
    return found


def run_script(name: str, *arguments: str | Path) -> Any:
    """Run a script of ``tests/web`` in Node.js, and return what it prints as JSON."""
    script = Path(__file__).parent / "web" / name
    command = [node(), str(script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else None


def chromium() -> str:
    """Return the path of a Chromium."""
    pytest.importorskip("playwright", reason="Playwright is not installed: pip install playwright")
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        pytest.skip("there is no Chromium here: apt install chromium")
    return found


@contextmanager
def opened(**options: Any) -> Iterator[Any]:
    """Yield a page of Chromium without a window; errors in it fail the test."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        try:
            page = browser.new_context(**options).new_page()
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
            yield page
        finally:
            browser.close()
    assert not errors, errors
