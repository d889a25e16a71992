"""Run a notebook from beginning to end, on little data."""

import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "notebooks"
SMALL = {
    "NOTEBOOK_ROUNDS": "8",
    "NOTEBOOK_IMAGES": "128",
    "NOTEBOOK_COUNT": "1000",
    "NOTEBOOK_SIDE": "16",
    "NOTEBOOK_TRAIN": "--precision float32 --forms direct --threads 1 --score-faces 0",
}


def run_notebook(name: str, folder: Path) -> None:
    """Run a notebook with ``folder`` for its files; what fails in it fails the test."""
    environment = {**os.environ, **SMALL, "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(folder), "-p", "no:cacheprovider"]
    command += ["--nbmake", "--nbmake-timeout=300", str(FOLDER / name)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == 0, done.stdout[-4000:]
