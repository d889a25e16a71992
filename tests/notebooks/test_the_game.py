"""The notebooks: one of them runs here, and every text is in both languages."""

import json

import pytest

from tests.notebooks.running import FOLDER, run_notebook

pytest.importorskip("nbmake", reason="nbmake is not installed")


@pytest.mark.long
def test_the_game_and_the_historical_pairs(tmp_path):
    run_notebook("1-the-game-and-the-historical-pairs.ipynb", tmp_path)


def test_every_text_is_in_both_languages():
    for notebook in FOLDER.glob("*.ipynb"):
        for cell in json.loads(notebook.read_text("utf-8"))["cells"]:
            text = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                assert any("\u4e00" <= letter <= "\u9fff" for letter in text), text
                assert any("a" <= letter <= "z" for letter in text), text
            else:
                assert not cell["outputs"], "notebooks are stored without outputs"
