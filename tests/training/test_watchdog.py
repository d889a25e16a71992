"""The detectors, and what a training does about their alarms."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from facegan.data.writer import PackedWriter
from facegan.errors import UserError
from facegan.training import recovery, steps, trainer, watchdog
from facegan.training.schedule import Schedule
from facegan.training.watchdog import DETECTORS, alarms
from tests.conftest import small_recipe, train

BATCH = 8


def losses(nimg, **changes):
    return {"nimg": nimg, "D_loss": 0.7, "D_accuracy_fake": 0.8, "D_ranks": 0.9, "D_on_G": 0.3, "G_loss": 1.0,
            "G_gradient_norm": 5.0} | changes  # fmt: skip


def grid(nimg, variety=0.7, repeats=0.02):
    return {"nimg": nimg, "variety": variety, "repeats": repeats}


def quick(nimg, score, faces=2000):
    return {"nimg": nimg, "quick_score": score, "quick_score_faces": faces}


def kinds(history):
    """Return (kind, nimg) of every alarm as the history grows line by line."""
    return [(alarm.kind, alarm.nimg) for end in range(len(history)) for alarm in alarms(history[: end + 1])]


HEALTHY = [line for nimg in range(0, 60_000, 1_000) for line in (losses(nimg), grid(nimg))]


def test_a_healthy_run_raises_nothing():
    assert kinds(HEALTHY) == []


@pytest.mark.parametrize(("name", "lines"), [
    ("not-finite", [losses(60_000, D_loss=None)]),
    ("discriminator-won", [losses(nimg, D_ranks=1.0, G_gradient_norm=1e-3) for nimg in range(60_000, 70_000, 1_000)]),
    ("discriminator-won", [line for nimg in range(60_000, 70_000, 1_000)
                           for line in (losses(nimg, D_ranks=1.0), grid(nimg, variety=0.45))]),
    ("discriminator-fooled", [losses(nimg, D_on_G=0.99, D_accuracy_fake=0.0, D_ranks=0.5)
                              for nimg in range(60_000, 70_000, 1_000)]),
    ("loss", [losses(60_000, D_loss=5.0)]),
    ("loss", [line for nimg in (60_000, 61_000, 62_000) for line in (losses(nimg, D_loss=5.0), grid(nimg))]),
    ("variety", [grid(60_000, variety=0.1), grid(65_000, variety=0.1)]),
    ("repeats", [grid(60_000, repeats=0.6), grid(65_000, repeats=0.6)]),
    ("score", [quick(nimg, score) for nimg, score in
               [(60_000, 20.0), (65_000, 61.0), (70_000, 61.0), (75_000, 61.0)]]),
    ("data", [grid(0) | {"data_distance": 0.0}]),
])  # fmt: skip
def test_each_detector_raises_its_alarm_once(name, lines):
    found = kinds(HEALTHY + lines + [losses(90_000)])
    assert [kind for kind, _ in found] == [name]
    assert found[0][1] <= lines[-1]["nimg"]


@pytest.mark.parametrize("lines", [
    [losses(nimg, D_ranks=1.0) for nimg in range(60_000, 70_000, 1_000)],  # D wins, but G still learns
    [losses(nimg, D_ranks=1.0, G_gradient_norm=1e-3) for nimg in range(60_000, 64_000, 1_000)],  # too short
    [grid(60_000, variety=0.1), grid(65_000, variety=0.5)],  # one bad grid
    [losses(60_000, D_loss=1.9)],
    [losses(60_000 + 8 * step, D_loss=9.0 if step == 50 else 0.7) for step in range(100)],  # one bad step
    [quick(60_000, 10.0), quick(65_000, 99.0), quick(70_000, 15.0)],
    # Scores of another kind: those of version 0.1.0, and of fewer faces.
    [{"nimg": 59_000, "score": 1.0}, *(quick(nimg, 61.0) for nimg in (60_000, 65_000, 70_000, 75_000))],
    [quick(60_000, 61.0), *({"nimg": nimg, "score": 900.0} for nimg in (61_000, 65_000, 70_000, 75_000))],
    [quick(59_000, 1.0), *(quick(nimg, 61.0, faces=50) for nimg in (60_000, 65_000, 70_000, 75_000))],
])  # fmt: skip
def test_a_passing_weakness_is_no_alarm(lines):
    assert kinds(HEALTHY + lines) == []


def test_samples_of_a_young_run_may_be_alike():
    young = [grid(nimg, variety=0.05, repeats=1.0) for nimg in range(0, 20_000, 2_000)]
    assert kinds(young) == []
    assert {kind for kind, _ in kinds([*young, *(grid(nimg, 0.05, 1.0) for nimg in range(20_000, 30_000, 2_000))])} == {
        "variety", "repeats"
    }  # fmt: skip


def test_every_detector_survives_every_line():
    for line in (
        {"nimg": 0},
        losses(1),
        grid(2),
        {"nimg": 3, "score": 1.0},
        quick(3, 1.0),
        losses(4, G_gradient_norm=None),
    ):
        for detector in DETECTORS.values():
            detector([line])
            detector([])


# What a training does.


def run(data, folder, images=200, *, on_collapse="warn", score_count=0, **changes):
    schedule = Schedule(
        images=images,
        log_every=BATCH,
        sample_every=40,
        snapshot_every=40,
        keep=20,
        on_collapse=on_collapse,
        score_count=score_count,
    )
    return train(
        [data], folder, small_recipe("dcgan", **changes), batch=BATCH, schedule=schedule, precision="float32",
        threads=1, conv="direct",
    )  # fmt: skip


def poison(monkeypatch, *, at, most):
    """Put NaN into a weight of D after the step that ends at ``at``, ``most`` times."""
    left, play = [most], steps.train_step

    def poisoned(generator, discriminator, step):
        metrics = play(generator, discriminator, step)
        if int(step.batch.index_N[0]) + BATCH == at and left[0]:
            left[0] -= 1
            with torch.no_grad():
                next(discriminator.network.parameters())[0, 0, 0, 0] = float("nan")
        return metrics

    monkeypatch.setattr(trainer, "train_step", poisoned)


def incidents(folder):
    return [json.loads(line) for line in (folder / "incidents.jsonl").read_text().splitlines()]


def test_a_nan_takes_the_run_back_at_half_the_rate(tmp_path, packed16, monkeypatch):
    poison(monkeypatch, at=96, most=1)
    result = run(packed16, tmp_path / "run")
    assert (result.nimg, result.alarm) == (200, None)
    (entry,) = incidents(tmp_path / "run")
    assert (entry["kind"], entry["nimg"], entry["action"], entry["rollbacks"]) == ("not-finite", 104, "rewind", 0)
    state = json.loads((result.snapshot / "snapshot.json").read_text())["state"]
    assert (state["rate"], state["rollbacks"]) == (0.5, 1)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["nimg"] for line in lines if "D_loss" in line] == list(range(8, 201, 8))
    assert not any(None in line.values() for line in lines)
    assert not list((tmp_path / "run" / "snapshots").glob("set-aside-*")), "back to 80 images, the newest snapshot"


def test_a_nan_in_a_weight_never_reaches_a_snapshot(tmp_path, packed16, monkeypatch):
    poison(monkeypatch, at=120, most=1)  # a snapshot is due at 120, before any loss shows it
    result = run(packed16, tmp_path / "run")
    assert result.nimg == 200
    (entry,) = incidents(tmp_path / "run")
    assert (entry["kind"], entry["nimg"]) == ("not-finite", 120)
    assert entry["evidence"]["values"] == ["discriminator.blocks.0.weight"]


def test_a_run_that_goes_back_ends_the_same_if_it_is_killed(tmp_path, packed16, monkeypatch):
    poison(monkeypatch, at=96, most=99)

    class KilledError(Exception):
        pass

    with monkeypatch.context() as patched:
        patched.setattr(recovery.Recovery, "rewind", lambda *_: (_ for _ in ()).throw(KilledError()))
        with pytest.raises(KilledError):
            run(packed16, tmp_path / "killed")
    again = run(packed16, tmp_path / "killed")
    straight = run(packed16, tmp_path / "straight")
    assert again.nimg == straight.nimg
    found = [entry for entry in incidents(tmp_path / "killed") if entry["kind"] != "error"]
    assert len(incidents(tmp_path / "killed")) == len(found) + 1  # what killed it is an incident too
    assert [entry["rollbacks"] for entry in found] == [0, 1, 2]  # the first only once
    assert [dict(entry, time=0) for entry in found] == [
        dict(entry, time=0) for entry in incidents(tmp_path / "straight")
    ]


def test_the_third_time_it_stops_and_names_the_best_snapshot(tmp_path, packed16, monkeypatch):
    poison(monkeypatch, at=96, most=99)
    result = run(packed16, tmp_path / "run", score_count=4)
    assert result.alarm.kind == "not-finite" and result.nimg == 104
    assert [entry["action"] for entry in incidents(tmp_path / "run")] == ["rewind", "rewind", "stop"]
    scores = {nimg: json.loads((tmp_path / "run" / "snapshots" / f"nimg-{nimg:09d}" / "snapshot.json").read_text())
              ["state"]["quick_score"] for nimg in (0, 40, 80)}  # fmt: skip
    assert result.best.endswith(f"{min(scores, key=scores.get):09d}")


def test_rewinds_are_remembered_before_the_next_snapshot(tmp_path, packed16, monkeypatch):
    poison(monkeypatch, at=96, most=99)
    run(packed16, tmp_path / "run")
    again = run(packed16, tmp_path / "run")
    assert again.alarm.kind == "not-finite" and again.nimg == 104
    actions = [(entry["action"], entry["rollbacks"]) for entry in incidents(tmp_path / "run")]
    assert actions == [("rewind", 0), ("rewind", 1), ("stop", 2)], "no rewind more, and the same alarm stands once"


def test_a_line_without_any_step_in_float16_is_an_alarm():
    lines = [
        {"nimg": nimg, "D_loss": 0.7, "D_skipped": share, "G_skipped": 0.1} for nimg, share in ((8, 0.2), (16, 1.0))
    ]
    assert watchdog.nothing_learned(lines[:1]) is None
    alarm = watchdog.nothing_learned(lines)
    assert (alarm.kind, alarm.nimg, alarm.since) == ("not-finite", 16, 8) and "no gradient of D" in alarm.message
    assert watchdog.alarms(lines) == [alarm]


def zero_last_layer(monkeypatch, *, at):
    """From ``at`` on, G's last layer is zero after every step: all its images are alike."""
    play = steps.train_step

    def zeroed(generator, discriminator, step):
        metrics = play(generator, discriminator, step)
        if at <= int(step.batch.index_N[0]) and step.values.lr_scale == 1.0:
            with torch.no_grad():
                for parameter in list(generator.network.parameters())[-2:]:
                    parameter.zero_()
        return metrics

    monkeypatch.setattr(trainer, "train_step", zeroed)


@pytest.mark.parametrize("policy", ["warn", "rewind", "stop"])
def test_a_collapse_is_met_as_the_policy_says(tmp_path, packed16, monkeypatch, policy):
    zero_last_layer(monkeypatch, at=120)
    recipe = {"ema_halflife": 0, "generator_optimizer": dataclasses.replace(
        small_recipe("dcgan").generator_optimizer, learning_rate=2e-3)}  # fmt: skip
    monkeypatch.setattr("facegan.training.watchdog._APART", 0.0)  # 100 images do not teach variety
    monkeypatch.setattr("facegan.training.watchdog._ALIKE", 0.001)
    result = run(packed16, tmp_path / "run", 280, on_collapse=policy, **recipe)
    first = incidents(tmp_path / "run")[0]
    assert first["kind"] == "variety" and first["nimg"] == 200 and first["action"] == policy
    with Image.open(tmp_path / "run" / first["grid"]) as grid:
        assert "model dcgan, 200 images seen" in grid.text["Description"] and grid.text["Title"] == "facegan sheet"
    aside = sorted(path.name for path in (tmp_path / "run" / "snapshots").glob("set-aside-*"))
    if policy == "stop":
        assert result.alarm.kind == "variety" and result.nimg == 200 and result.snapshot.is_dir()
    else:
        assert (result.alarm, result.nimg) == (None, 280)
    state = json.loads((result.snapshot / "snapshot.json").read_text())["state"]
    assert state.get("rate", 1.0) == (0.5 if policy == "rewind" else 1.0)
    assert aside == (["set-aside-1-nimg-000000160"] if policy == "rewind" else []), "back to 120 images, not farther"


def test_data_of_one_image_is_said_at_the_start(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), np.uint8)
    with PackedWriter(tmp_path / "data", resolution=16, capacity=20) as writer:
        writer.write(0, image.repeat(20, 0))
        writer.finish(identities=np.ones(20, np.int32))
    assert run(tmp_path / "data", tmp_path / "run", 40).nimg == 40
    assert [(entry["kind"], entry["nimg"]) for entry in incidents(tmp_path / "run")] == [("data", 0)]


def test_an_unknown_policy_is_refused(tmp_path, packed16):
    with pytest.raises(UserError, match="choose warn, rewind, stop"):
        run(packed16, tmp_path / "run", on_collapse="pray")


@pytest.mark.parametrize("recipe", ["classic-tanh", "classic-dcgan", "dcgan"])
def test_stored_healthy_runs_raise_nothing(recipe):
    """Logs of runs on 20,012 faces of CelebA at 64 px, of other seeds than those that the thresholds were set by."""
    text = (Path(__file__).parent / "healthy" / f"{recipe}.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    assert sum("variety" in line for line in lines) >= 5
    assert kinds(lines) == []


def test_a_discriminator_whose_logits_have_moved_is_not_fooled():
    """A loss of differences leaves the logits' zero to chance: what counts is how D ranks."""
    for ranks, kinds in ((0.8, []), (0.4, ["discriminator-fooled"])):
        history = [
            losses(nimg, D_on_G=0.99, D_accuracy_fake=0.0, D_ranks=ranks) for nimg in range(60_000, 70_000, 1_000)
        ]
        assert {alarm.kind for end in range(len(history) + 1) for alarm in alarms(history[:end])} == set(kinds)


def test_a_stop_names_a_snapshot_that_is_there(tmp_path, packed16, monkeypatch):
    poison(monkeypatch, at=96, most=99)
    result = run(packed16, tmp_path / "run")
    assert result.alarm is not None and result.snapshot.is_dir()
