"""The log that is kept of a model's training."""

import json

from facegan.runs.folder import RunFolder


def write_log(path, *counts):
    path.mkdir()
    (path / "log.jsonl").write_text("".join(json.dumps({"nimg": nimg, "of": path.name}) + "\n" for nimg in counts))
    return RunFolder(path)


def test_each_log_reaches_to_where_the_next_begins(tmp_path, capsys):
    from ship_model import training_log

    write_log(tmp_path / "parent", 100, 150, 200, 250)
    run = write_log(tmp_path / "run", 200, 300, 400)
    before = [{"nimg": nimg, "of": "before"} for nimg in (0, 50, 100, 120)]
    ancestry = [
        {"snapshot": str(tmp_path / "parent/snapshots/nimg-000000200"), "nimg": 200},
        {"snapshot": str(tmp_path / "lost/snapshots/nimg-000000100"), "nimg": 100},
    ]
    lines = training_log(run, 300, ancestry, [before])
    expected = [("before", 0), ("before", 50), ("before", 100), ("parent", 100), ("parent", 150), ("parent", 200)]
    assert [(line["of"], line["nimg"]) for line in lines] == [*expected, ("run", 200), ("run", 300)]
    assert "lost: its log is not there any more" in capsys.readouterr().out
