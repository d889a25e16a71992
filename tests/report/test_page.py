"""The report: whole, self-contained, and without a photograph where none may be."""

import base64
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from facegan.attributes import ATTRIBUTE_NAMES
from facegan.evaluation.audit import Audit
from facegan.evaluation.memorisation import CopyTest, Tail
from facegan.evaluation.receipt import Receipt, Score
from facegan.evaluation.representation import attribute_shares
from facegan.metrics.intervals import Estimate
from facegan.pixels import grid, save_png
from facegan.report.page import Findings, render
from facegan.runs.folder import RunFolder

MODEL = {"path": "runs/<b>a</b>", "recipe": "dcgan", "resolution": 16, "nimg": 1234, "sha256": "ab" * 32}


def faces(number, count):
    return np.random.default_rng(number).integers(0, 256, (count, 16, 16, 3), np.uint8)


@pytest.fixture(scope="module")
def findings():
    draws = np.random.default_rng(0)
    shares = np.full(40, 0.3)
    fewer = shares.copy()
    fewer[ATTRIBUTE_NAMES.index("Eyeglasses")] = 0.05
    representation = attribute_shares(
        draws.random((2000, 40)) < fewer, draws.random((2000, 40)) < shares, np.zeros(2000, int)
    )
    pairs = [("judge-net", 0.5, one, two) for one, two in zip(faces(1, 4), faces(2, 4), strict=True)]
    copy_test = CopyTest(0.5, 0.0, [Tail("pixels", 0.01, 3, 0.4), Tail("judge-net", 0.05, 9, 0.3)], 100)
    scores = [
        Score(name, "judge-net", Estimate.of(7.25, 0.01), Estimate.of(0.5, 0.01)) for name in ("frechet", "recall")
    ]
    reference = {"sha256": "cd", "people": "all", "count": 4321}
    protocol = {"spaces": {"judge-net": {}}, "count": 2000, "labels": "none", "resolution": 16, "reference": reference}
    audit = Audit(copy_test, 2000, 3000, 400, pairs, representation)
    return Findings(faces(0, 64), 0, Receipt({}, protocol, scores, {}), audit)


@pytest.fixture
def run(tmp_path):
    folder = RunFolder(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"format_version": 1, "config": {"recipe": {"name": "dcgan"}}}))
    lines = [{"nimg": nimg, "D_loss": 0.7, "G_loss": 2.0, "D_accuracy_real": None} for nimg in (100, 200, 300)]
    folder.log.write_text("".join(json.dumps(line) + "\n" for line in lines) + "half a li")
    for step in (0, 10):
        save_png(folder.samples / f"epoch0-{step}.png", grid(faces(step, 16)), None)
    save_png(tmp_path / "incidents" / "a.png", grid(faces(9, 4)), None)
    incidents = [
        {"kind": "variety", "nimg": 200, "message": "<script>alert(1)</script>", "grid": "incidents/a.png"},
        {"kind": "variety", "nimg": 300, "message": "far away", "grid": "../../../etc/passwd"},
    ]
    folder.incidents.write_text("".join(json.dumps(entry) + "\n" for entry in incidents))
    return folder


def test_the_page_needs_nothing_else_and_says_everything(findings, run):
    page = render(MODEL, run, findings, real_faces=True)
    assert all(re.match(r"data:|#", place) for place in re.findall(r'(?:src|href)="([^"]*)"', page))
    for words in ("1,234 images", "7.25", "4,321 real faces", "no copies seen", "Eyeglasses", "too seldom", "losses",
                  "2 alarms", "far away", "image/webp", "The closest pairs", "photographs of real people"):  # fmt: skip
        assert words in page, words
    found = re.findall(r'data:image/(png|webp);base64,([^"]*)', page)
    told = [Image.open(io.BytesIO(base64.b64decode(content))).info for _, content in found]
    said = [info.get("Description") or info["exif"].decode("latin-1") for info in told]
    assert len(said) == 4 and all("made by a neural network" in text and "dcgan" in text for text in said)
    assert sum(text.startswith("in part") for text in said) == 1  # the closest pairs
    assert all(b"facegan sheet" in base64.b64decode(content) for _, content in found)
    assert "<script>" not in page and "<b>a</b>" not in page  # what files say is text
    identifiers = re.findall(r' id="([^"]*)"', page)
    assert len(identifiers) == len(set(identifiers))


def test_scores_of_version_0_1_0_keep_their_curve_and_their_name(findings, run):
    old = "own score (of this run only, lower is better)"
    assert old not in render(MODEL, run, findings, real_faces=True)
    lines = [{"nimg": 100, "score": 9.5}, {"nimg": 200, "score": 8.5}]
    run.log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = render(MODEL, run, findings, real_faces=True)
    assert old in page and "quick score" not in page
    lines += [{"nimg": 300, "quick_score": 3.5, "quick_score_faces": 2000}]
    run.log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = render(MODEL, run, findings, real_faces=True)
    assert old in page and "quick score (of this run only, lower is better)" in page
    identifiers = re.findall(r' id="([^"]*)"', page)
    assert len(identifiers) == len(set(identifiers))


def test_without_real_faces_there_is_no_photograph(findings, run):
    page = render(MODEL, run, findings, real_faces=False)
    assert "<em>made</em>" not in render(MODEL, run, findings, real_faces=False, note="<em>made</em>")
    assert "all of them made" in render(MODEL, run, findings, real_faces=False, note="all of them made")
    assert "The closest pairs" not in page and "Photographs of real people are left out" in page
    assert page.count("data:image") == render(MODEL, run, findings, real_faces=True).count("data:image") - 1


def test_a_score_of_another_snapshot_is_not_the_models(findings, run):
    def page(nimg):
        run.scores.write_text(json.dumps({"nimg": nimg, "receipt": findings.receipt.to_dict()}) + "\n")
        return render(MODEL, run, replace(findings, receipt=None), real_faces=True)

    tile = '<div class="tile"><span>Frechet distance'
    assert tile in page(1234) and tile not in page(999_999)


def test_the_receipt_on_a_page_names_no_folder(findings, run):
    receipt = replace(findings.receipt, model={"path": "/home/anna/runs/a", "nimg": 1234})
    page = render(MODEL, run, replace(findings, receipt=receipt), real_faces=True)
    assert "anna" not in page and "&#34;path&#34;: &#34;a&#34;" in page


def test_a_model_alone_has_faces_and_says_what_is_missing(findings):
    page = render(MODEL, None, Findings(findings.faces_NHWC, 0, missing=["Nothing was measured."]), real_faces=True)
    assert "Nothing was measured." in page and "Not looked at." in page and "Incidents" not in page
