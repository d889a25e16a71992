"""The second notebook, apart from the first, so that both can run at a time."""

import pytest

from tests.notebooks.running import run_notebook

pytest.importorskip("nbmake", reason="nbmake is not installed")


@pytest.mark.long
def test_train_judge_and_use_your_faces(tmp_path):
    run_notebook("2-train-judge-and-use-your-faces.ipynb", tmp_path)
