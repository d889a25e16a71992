"""The notebooks run from beginning to end, on little data."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nbmake", reason="nbmake is not installed")
FOLDER = Path(__file__).parents[2] / "notebooks"
SMALL = {
    "NOTEBOOK_ROUNDS": "8",
    "NOTEBOOK_IMAGES": "256",
    "NOTEBOOK_COUNT": "1000",
    "NOTEBOOK_SIDE": "16",
    "NOTEBOOK_TRAIN": "--precision float32 --forms direct --threads 1",
}


@pytest.mark.parametrize("notebook", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebook(notebook, tmp_path):
    environment = {**os.environ, **SMALL, "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(tmp_path), "-p", "no:cacheprovider"]
    command += ["--nbmake", "--nbmake-timeout=300", str(notebook)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stdout[-4000:]


def test_every_text_is_in_both_languages():
    for notebook in FOLDER.glob("*.ipynb"):
        for cell in json.loads(notebook.read_text("utf-8"))["cells"]:
            text = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                assert any("\u4e00" <= letter <= "\u9fff" for letter in text), text
                assert any("a" <= letter <= "z" for letter in text), text
            else:
                assert not cell["outputs"], "notebooks are stored without outputs"
