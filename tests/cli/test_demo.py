"""The demo from noise to report, much shorter than a user's."""

import json
from dataclasses import replace

import pytest
from PIL import Image

from facegan import recipes
from tests.command import facegan, mistake


@pytest.fixture(scope="module", autouse=True)
def narrow():
    """The demo's new model is a narrow one, on which little has to be measured."""
    recipe = recipes.recipe

    def narrow_recipe(name, *resolution):
        small = {"width": 4, "max_channels": 8}
        return replace(recipe(name, *resolution), generator=small, discriminator=small)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipes, "recipe", narrow_recipe)
        yield


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "faces"
    command = ["demo", "--out", out, "--minutes", "0.05", "--count", "96", "--threads", "1", "--json"]
    out.mkdir()
    (out / ".demo").touch()  # as one that was interrupted at once leaves it
    (out / "faces.png").touch()
    done = facegan(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    return out, [json.loads(line) for line in done.stdout.splitlines()]


def test_it_makes_faces_a_run_and_a_report(demo):
    out, events = demo
    told = {name: value for event in events if event["event"] == "demo" for name, value in event.items()}
    for name in ("faces", "stages", "report"):
        assert told[name].startswith(str(out)), name
    assert (out / "faces.png").stat().st_size > 100_000
    assert (out / "made" / "list_attr_celeba.txt").read_text().startswith("96\n")
    assert "data:image/png" in (out / "report.html").read_text()
    for name in ("faces", "stages"):
        assert Image.open(out / f"{name}.png").text["Title"] == "facegan sheet", name


def test_it_goes_on_where_it_stopped(demo):
    out, events = demo
    seen = events[-1]["nimg"] if "nimg" in events[-1] else max(event.get("nimg", 0) for event in events)
    done = facegan("demo", "--out", out, "--minutes", "0.02", "--threads", "1", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    again = [json.loads(line) for line in done.stdout.splitlines()]
    assert max(event.get("nimg", 0) for event in again) >= seen > 0


def test_it_leaves_other_folders_alone(tmp_path):
    (tmp_path / "faces.png").write_bytes(b"mine")
    assert "holds other things than a demo" in mistake("demo", "--out", tmp_path)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"mine"]
