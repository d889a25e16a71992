"""A run's snapshots scored beside it, into scores.jsonl, and what is shown of that."""

import json
import re
import shutil

import numpy as np
import pytest
import torch

from facegan.errors import UserError
from facegan.evaluation import scores
from facegan.evaluation.follow import append, digest_of, follow, headline, read_scores, unscored
from facegan.evaluation.receipt import Receipt, Score
from facegan.metrics.intervals import Estimate
from facegan.runs.folder import RunFolder
from facegan.runs.snapshot import write_snapshot
from tests.command import facegan, mistake
from tests.conftest import write_packed


def receipt(value):
    score = Score("frechet", "random-net", Estimate.of(value, 0.01), None)
    reference = {"sha256": "ab", "people": "all", "count": 9}
    protocol = {"spaces": {"random-net": {}}, "count": 1000, "reference": reference}
    return Receipt({"kind": "model"}, protocol, [score], {})


WANTED = {"count": 1000, "spaces": ["random-net"], "sha256": "ab", "people": "all", "seed": 0}


@pytest.fixture
def folder(tmp_path):
    for nimg in (0, 100, 200):
        write_snapshot(tmp_path / "snapshots" / f"nimg-{nimg:09d}", nimg=nimg, config={}, state={}, tensors={})
    return RunFolder(tmp_path)


def test_every_snapshot_is_scored_once_and_a_new_one_at_the_same_place_again(folder):
    said = []
    values = iter((9.0, 4.0, 3.0))
    measure = lambda info: receipt(next(values))  # noqa: E731
    assert follow(folder, WANTED, measure, lambda info, _: said.append(info.nimg)) == 2
    assert follow(folder, WANTED, measure, lambda info, _: said.append(info.nimg)) == 0
    assert said == [100, 200]
    assert len(list(unscored(folder, WANTED | {"count": 2000}))) == 2
    assert {nimg: headline(found)["random-net"] for nimg, found in read_scores(folder).items()} == {100: 9.0, 200: 4.0}
    assert any((folder.tensorboard / "scores").iterdir())
    shutil.rmtree(folder.snapshot(200))
    write_snapshot(
        folder.snapshot(200), nimg=200, config={}, state={}, tensors={"generator": {"weight": torch.ones(1)}}
    )
    assert follow(folder, WANTED, measure, lambda *_: None) == 1
    assert headline(read_scores(folder)[200]) == {"random-net": 3.0}


def test_a_snapshot_is_scored_with_the_labels_that_it_can_have(folder):
    write_snapshot(
        folder.snapshot(300), nimg=300, config={}, state={}, tensors={"label_prior": {"weights": torch.ones(1)}}
    )
    for labels in ("none", "prior"):  # the others have no prior: what is scored once is not scored again
        wanted, scored = WANTED | {"labels": labels}, []
        for info in unscored(folder, wanted):
            found = receipt(1.0)
            found.protocol["labels"] = labels if info.nimg == 300 else "none"
            append(folder, info, found)
            scored.append(info.nimg)
        assert scored == ([100, 200, 300] if labels == "none" else [300])
        assert not list(unscored(folder, wanted))


def test_half_a_line_costs_that_line_only(folder):
    infos = list(unscored(folder, WANTED))
    append(folder, infos[0], receipt(9.0))
    with folder.scores.open("a") as file:
        file.write('{"nimg": 200, "snapshot": "')  # a killed process
    append(folder, infos[1], receipt(4.0))
    assert {nimg: headline(found) for nimg, found in read_scores(folder).items()} == {
        100: {"random-net": 9.0}, 200: {"random-net": 4.0},
    }  # fmt: skip
    with folder.scores.open("a") as file:
        file.write('[1]\n{"nimg": -1, "receipt": {}}\n{"nimg": 300, "receipt": {"format_version": 9}}\n\xff\n')
    assert list(read_scores(folder)) == [100, 200]
    assert len({digest_of(info) for info in infos}) == 2


def test_a_snapshot_that_is_deleted_meanwhile_is_passed_over(folder):
    def measure(info):
        if info.nimg == 100:
            shutil.rmtree(info.path)
            raise UserError("gone")
        return receipt(1.0)

    assert follow(folder, WANTED, measure, lambda *_: None) == 1
    assert list(read_scores(folder)) == [200]


@pytest.mark.long
def test_the_command_scores_a_run_and_runs_and_the_report_show_it(tmp_path, monkeypatch):
    monkeypatch.setattr(scores, "LEAST", 520)
    data = write_packed(tmp_path / "data", 520, 16, identities=np.arange(520, dtype=np.int32) // 2 + 1)
    run = tmp_path / "runs" / "a"
    options = ("--recipe", "dcgan", "--set", "generator.width=8", "--set", "discriminator.width=8")
    options += ("--precision", "float32", "--threads", "1", "--forms", "direct")
    trained = facegan(
        "train", data, "--run", run, *options, "--images", "256", "--snapshot-every", "128", "--score-faces", "0"
    )
    assert trained.returncode == 0, trained.stderr
    done = facegan("evaluate", run, "--follow", "--count", "520", "--space", "random-net")
    assert done.returncode == 0 and "2 snapshots scored" in done.stdout, done.stderr
    assert [json.loads(line)["nimg"] for line in (run / "scores.jsonl").read_text().splitlines()] == [128, 256]
    assert "random-net" in facegan("runs", tmp_path / "runs").stdout
    listed = json.loads(facegan("runs", tmp_path / "runs", "--json").stdout)
    assert set(listed["frechet"]) == {"128", "256"}

    page = tmp_path / "report.html"
    told = facegan("report", run, "--out", page, "--count", "520")
    assert told.returncode == 0, told.stderr
    text = page.read_text()
    assert text.count("<section") == 9
    assert all(re.match(r"data:|#", place) for place in re.findall(r'(?:src|href)="([^"]*)"', text))
    assert "Frechet distance to real faces" in text and "no copies seen" in text
    assert "exists already" in mistake("report", run, "--out", page)
    quick = facegan("report", run / "snapshots" / "nimg-000000128", "--out", tmp_path / "b.html", "--no-measure")
    assert quick.returncode == 0 and "left out (--no-measure)" in (tmp_path / "b.html").read_text()
    alone = facegan("report", run / "snapshots" / "nimg-000000128", "--out", tmp_path / "c.html")
    assert alone.returncode == 0 and "no run that says what it was trained on" in (tmp_path / "c.html").read_text()
    assert "html" in mistake("report", run, "--out", tmp_path / "report.pdf")
    assert "no model" in mistake("report", tmp_path / "nothing", "--out", tmp_path / "d.html")


def test_it_waits_for_snapshots_while_the_run_is_trained(folder, monkeypatch):
    training = iter((True, True, False, False))
    monkeypatch.setattr(RunFolder, "is_locked", lambda _: next(training))

    def later(_):
        write_snapshot(folder.snapshot(300), nimg=300, config={}, state={}, tensors={})

    monkeypatch.setattr("facegan.evaluation.follow.time.sleep", later)
    assert follow(folder, WANTED, lambda _: receipt(1.0), lambda *_: None) == 3
    assert list(read_scores(folder)) == [100, 200, 300]


def test_another_seed_is_scored_anew(folder):
    for info in unscored(folder, WANTED):
        append(folder, info, receipt(1.0))
    assert not list(unscored(folder, WANTED))
    assert [info.nimg for info in unscored(folder, WANTED | {"seed": 5})] == [100, 200]
