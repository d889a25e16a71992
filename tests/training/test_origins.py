"""A run that begins with another's snapshot or weights."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

import facegan
from facegan.cli.progress import TerminalListener
from facegan.config import OptimizerConfig
from facegan.errors import UserError
from facegan.export.hub_folder import export_hub
from facegan.training.context import NullListener
from facegan.training.schedule import Schedule
from tests.conftest import small_recipe, train


def run(data, folder, images, *, recipe=None, **options):
    schedule = Schedule(images=images, log_every=8, sample_every=24, snapshot_every=24, score_count=0)
    recipe = recipe or small_recipe("dcgan")
    options = {"precision": "float32", "threads": 1, "conv": "direct", "batch": 8} | options
    return train([data], folder, recipe, schedule=schedule, **options)


def test_a_fork_goes_on_from_the_snapshot_under_other_settings(tmp_path, packed16):
    first = run(packed16, tmp_path / "first", 24)
    slower = small_recipe("dcgan", generator_optimizer=OptimizerConfig(learning_rate=1e-5, epsilon=1e-8))
    for images in (24, 48):  # the same command again goes on
        forked = run(packed16, tmp_path / "first", images, recipe=slower, fork=tmp_path / "second")
    assert (forked.run, forked.nimg) == (tmp_path / "second", 48)
    begun = tmp_path / "second" / "snapshots" / "nimg-000000024"
    for file in ("generator", "discriminator", "ema", "optimizers"):
        assert (begun / f"{file}.safetensors").read_bytes() == (first.snapshot / f"{file}.safetensors").read_bytes()
    entry = json.loads((tmp_path / "second" / "run.json").read_text())["ancestry"][0]
    assert (entry["how"], entry["nimg"]) == ("fork", 24)
    assert entry["sha256"] == json.loads((first.snapshot / "snapshot.json").read_text())["sha256"]
    assert [path.name for path in (tmp_path / "first" / "snapshots").iterdir()] == ["nimg-000000000", "nimg-000000024"]
    assert run(packed16, tmp_path / "second", 48, recipe=slower).nimg == 48  # and it is a run as any other


def test_the_usual_length_counts_from_where_a_run_begins(tmp_path, packed16):
    usual = Schedule(more_images=16, score_count=0)

    def length(folder, **options):
        options = {"batch": 8, "precision": "float32", "threads": 1, "conv": "direct"} | options
        result = train([packed16], tmp_path / folder, small_recipe("dcgan"), schedule=usual, **options)
        assert result.past == (result.images < result.nimg)
        return result.nimg

    begin = {"init": tmp_path / "first", "keep_nimg": True}
    assert (length("first"), length("second", **begin), length("second", **begin)) == (16, 32, 32)
    assert (length("second", fork=tmp_path / "third"), length("third")) == (48, 48)
    run(packed16, tmp_path / "second", 40)
    assert (length("second"), length("third")) == (40, 48)


def test_an_interrupt_before_the_first_step_leaves_nothing(tmp_path, packed16):
    class Interrupting(NullListener):
        def event(self, kind, **fields):
            if kind == "start":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stop:
        run(packed16, tmp_path / "run", 8, listener=Interrupting())
    assert stop.value.__notes__ == [f"before the first step; nothing is left of {tmp_path / 'run'}"]
    assert not (tmp_path / "run").exists()


def test_a_fork_of_a_fork_knows_all_its_ancestors(tmp_path, packed16):
    run(packed16, tmp_path / "a", 8)
    run(packed16, tmp_path / "a", 16, fork=tmp_path / "b", seed=1)
    run(packed16, tmp_path / "b" / "snapshots" / "nimg-000000008", 24, fork=tmp_path / "c", seed=2)
    entries = json.loads((tmp_path / "c" / "run.json").read_text())["ancestry"]
    assert [(entry["how"], entry["nimg"], entry["config"]["seed"]) for entry in entries] == [
        ("fork", 8, 1), ("fork", 8, 0)
    ]  # fmt: skip


def test_forks_that_cannot_be_are_refused(tmp_path, packed16):
    run(packed16, tmp_path / "a", 8)
    run(packed16, tmp_path / "b", 8, seed=5)
    with pytest.raises(UserError, match="did not begin with"):
        run(packed16, tmp_path / "a", 16, fork=tmp_path / "b", seed=5)
    wide = small_recipe("dcgan", generator={"width": 16})
    with pytest.raises(UserError, match=r"does not fit what is asked for(.|\n)*generator.width +8 +16"):
        run(packed16, tmp_path / "a", 16, fork=tmp_path / "c", recipe=wide)
    sgd = small_recipe("dcgan", generator_optimizer=OptimizerConfig(name="sgd", momentum=0.9))
    with pytest.raises(UserError, match=r"generator_optimizer.name +adam +sgd"):
        run(packed16, tmp_path / "a", 16, fork=tmp_path / "d", recipe=sgd)
    sgd_run = run(packed16, tmp_path / "b2", 8, recipe=sgd)
    plain = small_recipe("dcgan", generator_optimizer=OptimizerConfig(name="sgd"))
    with pytest.raises(UserError, match=r"generator_optimizer\.momentum +0\.9 +0"):
        run(packed16, sgd_run.run, 16, fork=tmp_path / "d", recipe=plain)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "b2"]  # nothing is left of a refusal
    with pytest.raises(UserError, match="choose one of them"):
        run(packed16, tmp_path / "a", 16, fork=tmp_path / "e", init=tmp_path / "b")


def test_a_warm_start_takes_the_weights_and_nothing_else(tmp_path, packed16):
    first = run(packed16, tmp_path / "first", 24)
    warm = run(packed16, tmp_path / "warm", 0, init=tmp_path / "first", warmup=80)
    averaged, began = (load_file(path) for path in (first.snapshot / "ema.safetensors",
                                                    warm.snapshot / "generator.safetensors"))  # fmt: skip
    assert warm.nimg == 0
    assert all(torch.equal(averaged[name], began[name]) for name in averaged)
    assert load_file(warm.snapshot / "optimizers.safetensors") == {}
    contents = json.loads((tmp_path / "warm" / "run.json").read_text())
    assert contents["ancestry"][0]["how"] == "init" and contents["config"]["warmup"] == 80
    went_on = run(packed16, tmp_path / "warm", 16)  # --init need not be repeated
    assert went_on.nimg == 16
    # In the first step of a warm-up the learning rate is 0: Adam moves nothing.
    steps = [json.loads(line) for line in (tmp_path / "warm" / "log.jsonl").read_text().splitlines()]
    assert [line["nimg"] for line in steps if "D_loss" in line] == [8, 16]
    with pytest.raises(UserError, match=r"warmup +80 +0"):
        run(packed16, tmp_path / "warm", 16, warmup=0)
    with pytest.raises(UserError, match=r"init +[0-9a-f]{12}\.\.\. +[0-9a-f]{12}\.\.\."):
        run(packed16, tmp_path / "other", 8, seed=3)
        run(packed16, tmp_path / "warm", 16, init=tmp_path / "other")
    wide = small_recipe("dcgan", generator={"width": 16})
    with pytest.raises(UserError, match=r"--init: .*does not fit what is asked for(.|\n)*generator.width +8 +16"):
        run(packed16, tmp_path / "wide", 8, init=tmp_path / "first", recipe=wide)
    assert not (tmp_path / "wide").exists()
    with pytest.raises(UserError, match="no model at"):
        run(packed16, tmp_path / "new", 8, init=tmp_path / "nowhere")


def test_a_warm_start_may_grow_style_networks_and_not_shrink_them(tmp_path, packed16):
    small = small_recipe("style-s")
    first = run(packed16, tmp_path / "first", 8, recipe=small)
    added = {"generator": "fine_layer", "discriminator": "fine_block"}
    wider = {side: getattr(small, side) | {"max_channels": 24, name: True} for side, name in added.items()}
    wide = run(packed16, tmp_path / "wide", 0, init=tmp_path / "first", recipe=replace(small, **wider))
    before, after = (facegan.load(path).sample(4, seed=1) for path in (first.snapshot, wide.snapshot))
    assert np.abs(before.astype(int) - after.astype(int)).max() <= 1
    tensors = load_file(wide.snapshot / "discriminator.safetensors")
    assert tensors["logit.weight"].shape == (1, 24) and not tensors["logit.weight"][:, 16:].any()
    assert run(packed16, tmp_path / "wide", 16, recipe=replace(small, **wider)).nimg == 16
    coarse = {side: wider[side] | {name: False} for side, name in added.items()}
    with pytest.raises(UserError, match=r"fine_block +True +False(.|\n)*generator.fine_layer +True +False"):
        run(packed16, tmp_path / "coarse", 8, init=tmp_path / "wide", recipe=replace(small, **coarse))
    with pytest.raises(UserError, match=r"so leave --recipe(.|\n)*generator.max_channels +24 +16"):
        run(packed16, tmp_path / "narrow", 8, init=tmp_path / "wide", recipe=small)
    for value in ("16", None, [16]):
        file = first.snapshot / "snapshot.json"
        before, contents = file.read_text(), json.loads(file.read_text())
        contents["config"]["recipe"]["generator"]["max_channels"] = value
        file.write_text(json.dumps(contents))
        with pytest.raises(UserError):
            run(packed16, tmp_path / "damaged", 8, init=first.snapshot, recipe=replace(small, **wider))
        file.write_text(before)
    with pytest.raises(UserError, match=r"discriminator.max_channels +16 +24(.|\n)*generator.max_channels +16 +24"):
        run(packed16, tmp_path / "first", 8, fork=tmp_path / "fork", recipe=replace(small, **wider))


def test_a_warm_up_begins_at_nothing(tmp_path, packed16):
    begun = run(packed16, tmp_path / "run", 0, warmup=800)
    one = run(packed16, tmp_path / "run", 8, warmup=800)
    two = run(packed16, tmp_path / "run", 16, warmup=800)
    at = [load_file(result.snapshot / "discriminator.safetensors")["blocks.0.weight"] for result in (begun, one, two)]
    assert torch.equal(at[0], at[1])
    # Adam's first real step has about the learning rate's size: 8 / 800 of 2e-4.
    assert 1e-7 < (at[2] - at[1]).abs().max() < 4e-6


def test_a_fork_goes_on_with_the_warm_up(tmp_path, packed16):
    run(packed16, tmp_path / "first", 16, warmup=800)
    with pytest.raises(UserError, match=r"--warmup 100: a fork goes on with its optimizers and has none"):
        run(packed16, tmp_path / "first", 24, fork=tmp_path / "second", warmup=100)
    run(packed16, tmp_path / "first", 24, fork=tmp_path / "second")
    assert json.loads((tmp_path / "second" / "run.json").read_text())["config"]["warmup"] == 800


def test_a_generator_that_starts_within_a_batch_resumes(tmp_path, packed16):
    recipe = small_recipe("dcgan", generator_start=12)  # its first step is the one after 16 images
    told = io.StringIO()
    for images in (16, 24):
        with TerminalListener(Console(file=told)) as listener:
            assert run(packed16, tmp_path / "run", images, recipe=recipe, listener=listener).nimg == images
    alone, together = (
        line for line in told.getvalue().splitlines() if " 8 images  D" in line or "24 images  D" in line
    )
    assert "G loss" not in alone and "G loss" in together


@pytest.mark.parametrize("start", [0, 12])
def test_a_fork_with_a_larger_batch_that_stops_at_once_resumes(tmp_path, packed16, start):
    recipe = small_recipe("dcgan", generator_start=start)
    run(packed16, tmp_path / "first", 16, recipe=recipe)
    for images in (16, 64):
        forked = run(packed16, tmp_path / "first", images, recipe=recipe, batch=48, fork=tmp_path / "second")
    assert forked.nimg == 64


def test_a_folder_for_the_hub_begins_a_run_with_a_fresh_discriminator(tmp_path, packed16):
    first = run(packed16, tmp_path / "first", 24, recipe=small_recipe("style-s"))
    export_hub(facegan.load(first.run), tmp_path / "hub", name="someone/faces")
    recipe = small_recipe("style-s")
    with pytest.raises(UserError, match=r"hub has a generator only: add --fresh-discriminator"):
        run(packed16, tmp_path / "warm", 0, recipe=recipe, init=tmp_path / "hub")
    options = {"recipe": recipe, "init": tmp_path / "hub", "fresh_discriminator": True}
    warm = run(packed16, tmp_path / "warm", 0, **options)
    averaged, began = (load_file(place) for place in (first.snapshot / "ema.safetensors",
                                                      warm.snapshot / "generator.safetensors"))  # fmt: skip
    assert all(torch.equal(averaged[name], began[name]) for name in averaged)
    assert len(json.loads((tmp_path / "warm" / "run.json").read_text())["config"]["init"]) == 64
    assert run(packed16, tmp_path / "warm", 8, **options).nimg == 8
