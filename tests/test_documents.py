"""The documents: both languages have the same commands, and no link leads nowhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("weights/*.md")]


def commands(page: Path) -> list[str]:
    """Return the lines of a page's code blocks, without comments."""
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return [re.sub(r"\s+#.*$", "", line).strip() for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize(("page", "fewest"), [("README.md", 30), ("docs/own-faces.md", 10)])
def test_both_languages_have_the_same_commands(page, fewest):
    english, chinese = (commands(ROOT / name) for name in (page, page.replace(".md", ".zh-CN.md")))
    assert len(english) > fewest
    assert english == chinese


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    targets = {target.split("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)}
    missing = [target for target in targets if target and "://" not in target and not (page.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_of_the_code_that_are_named_are_there(page):
    named = set(re.findall(r"`((?:[\w-]+/)+[\w-]+\.(?:py|sh|md|json))`", page.read_text(encoding="utf-8")))
    known = [ROOT, ROOT / "src" / "facegan", page.parent]
    assert sorted(name for name in named if not any((base / name).exists() for base in known)) == []
