"""A run that goes on elsewhere, or from weights alone, or under settings that the command does not repeat."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import facegan
from facegan.data.packed import DataView, PackedDataset
from facegan.errors import UserError
from facegan.machine import describe_machine, other_machine
from facegan.runs.folder import RunFolder
from facegan.training import checks, setup, trainer
from facegan.training.execution_plan import ExecutionPlan
from facegan.training.face_statistics import ranking_faces, training_rank
from facegan.training.run_settings import base_recipe, run_data
from facegan.training.schedule import Schedule
from facegan.training.steps import Batch, Step, StepValues
from tests.conftest import small_recipe, train, write_packed

HERE = {"processor": "A", "instructions": ["avx2"], "cores": 2, "accelerator": None}


class Listener:
    def __init__(self):
        self.warnings = []

    def event(self, kind, **fields):
        if kind == "warning":
            self.warnings.append(fields["message"])

    def progress(self, *_):
        pass


def run(data, folder, images, *, recipe=None, **options):
    schedule = Schedule(images=images, log_every=8, sample_every=24, snapshot_every=24, score_count=0)
    options = {"precision": "float32", "threads": 1, "conv": "direct", "batch": 8} | options
    return train([data], folder, recipe or small_recipe("dcgan"), schedule=schedule, **options)


def lines_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("change", "words"), [
    ({}, None),
    ({"processor": "B"}, "another processor: A then, B now"),
    ({"accelerator": "H100"}, "another accelerator: none then, H100 now"),
    ({"instructions": ["avx2", "avx512_bf16"]}, "other instructions: avx2 then, avx2 avx512_bf16 now"),
    ({"cores": 1}, "fewer cores: 2 threads then, 1 cores now"),
])  # fmt: skip
def test_another_machine_is_known(change, words):
    found = other_machine(HERE, HERE | change, threads=2)
    assert found is None if words is None else words in found


def test_a_machine_that_version_0_1_0_described_is_known_by_its_name():
    before = {name: value for name, value in HERE.items() if name != "instructions"}
    assert other_machine(before, HERE, threads=1) is None
    assert "without bfloat16 units" in other_machine(before, HERE, threads=1, precision="bfloat16")
    with_units = HERE | {"instructions": ["avx2", "avx512_bf16"]}
    assert other_machine(before, with_units, threads=1, precision="bfloat16") is None
    assert other_machine(before, HERE | {"instructions": []}, threads=1, precision="bfloat16") is None  # not known
    assert other_machine(HERE, HERE, threads=1, precision="bfloat16") is None  # it was asked for there
    assert other_machine(describe_machine(), describe_machine(), threads=1) is None


def test_on_another_processor_choices_are_measured_again_and_said(tmp_path, packed16, monkeypatch):
    asked = []

    def measured(config, requested, engine):
        asked.append((requested.precision, requested.threads, requested.conv))
        return ExecutionPlan(precision="float32", threads=requested.threads, conv=requested.conv), {}

    run(packed16, tmp_path / "run", 8, precision="bfloat16")
    monkeypatch.setattr(setup, "autotune", measured)
    listener = Listener()
    run(packed16, tmp_path / "run", 16, listener=listener, precision="auto")
    assert asked == [] and listener.warnings == []  # the same machine: nothing is measured
    elsewhere = describe_machine() | {"processor": "Another 9000"}
    monkeypatch.setattr(setup, "describe_machine", lambda *_: elsewhere)
    assert (
        run(packed16, tmp_path / "run", 24, listener=listener, precision="auto", threads=None, conv="auto").nimg == 24
    )
    assert asked == [("bfloat16", 1, "direct")]  # what was asked for at the start is asked for again
    assert len(listener.warnings) == 1
    assert "Another 9000 now" in listener.warnings[0] and "up to 16 images" in listener.warnings[0]
    contents = RunFolder(tmp_path / "run").read()
    assert contents["choices"]["precision"] == "float32" and contents["machine"] == elsewhere
    assert [(move["nimg"], move["choices"]["precision"]) for move in contents["moves"]] == [(16, "bfloat16")]
    run(packed16, tmp_path / "run", 32, listener=listener, precision="auto")  # and then it is the run's own
    assert len(asked) == len(listener.warnings) == 1


def test_the_same_command_goes_on_where_there_are_fewer_cores_than_it_names(tmp_path, packed16, monkeypatch):
    cores = 2
    for module in (setup, checks):
        monkeypatch.setattr(module, "describe_machine", lambda *_: describe_machine() | {"cores": cores})
    run(packed16, tmp_path / "run", 8, threads=2)
    cores = 1
    for images in (16, 24):
        assert run(packed16, tmp_path / "run", images, threads=2).nimg == images
    assert RunFolder(tmp_path / "run").read()["choices"]["threads"] == 1
    with pytest.raises(UserError, match=r"threads +1 +3"):
        run(packed16, tmp_path / "run", 32, threads=3)


def test_a_training_that_leaves_the_gpu_alone_is_another_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H100")
    on_cpu, on_gpu = describe_machine("cpu"), describe_machine("cuda")
    assert "another accelerator: none then, H100 now" in (other_machine(on_cpu, on_gpu, threads=1) or "")
    assert "another accelerator: H100 then, none now" in (other_machine(on_gpu, on_cpu, threads=1) or "")


def test_what_the_command_does_not_name_is_the_runs_own(tmp_path, packed16):
    changed = small_recipe("dcgan", flip=False, lr_decay_start=500)
    run(packed16, tmp_path / "run", 8, recipe=changed, seed=7)
    again = base_recipe(None, 16, run=tmp_path / "run")
    assert again == base_recipe("dcgan", 16, run=tmp_path / "run") == changed
    assert run_data(RunFolder(tmp_path / "run")) == [packed16]
    assert run(packed16, tmp_path / "run", 16, recipe=again, batch=None).nimg == 16
    parent = base_recipe(None, 16, run=tmp_path / "run", fork=tmp_path / "fork")
    run(packed16, tmp_path / "run", 24, recipe=replace(parent, real_label=0.9), fork=tmp_path / "fork", batch=None)
    config = json.loads((tmp_path / "fork" / "run.json").read_text())["config"]
    assert (config["seed"], config["batch"], config["recipe"]["lr_decay_start"]) == (7, 8, 500)
    assert base_recipe("classic-tanh", 16, run=tmp_path / "run").name == "classic-tanh"  # refused later, by name
    with pytest.raises(UserError, match="--recipe NAME"):
        base_recipe(None, 16, run=tmp_path / "new")
    with pytest.raises(UserError, match="is no run yet"):
        run_data(RunFolder(tmp_path / "new"))


def test_options_that_an_older_config_lacks_mean_their_defaults(tmp_path, packed16):
    recipe = small_recipe("style-s")
    run(packed16, tmp_path / "run", 8, recipe=recipe)
    for file in (tmp_path / "run" / "run.json", *(tmp_path / "run").glob("snapshots/*/snapshot.json")):
        contents = json.loads(file.read_text())
        stored = contents["config"]["recipe"]
        for later in (
            "lr_schedule",
            "penalty_schedule",
            "augment_schedule",
            "extra_ema_halflives",
            "generator_start",
            "instance_noise",
        ):
            del stored[later]
        stored["rate_steady"] = stored.pop("lr_decay_start")
        stored["generator"]["most"] = stored["generator"].pop("max_channels")
        del contents["config"]["start_nimg"]
        file.write_text(json.dumps(contents))
    assert run(packed16, tmp_path / "run", 16, recipe=recipe).nimg == 16


def test_a_clock_that_is_kept_goes_on_counting(tmp_path, packed16):
    recipe = small_recipe("style-s", lr_schedule=((0, 1.0), (400, 0.5)), ada_target=-1.0, ada_images=80)
    first = run(packed16, tmp_path / "first", 48, recipe=recipe)
    lost = run(packed16, tmp_path / "second", 48, recipe=recipe, init=tmp_path / "first", keep_nimg=True, warmup=16)
    assert lost.nimg == 48
    averaged, began = (load_file(path) for path in (first.snapshot / "ema.safetensors",
                                                    lost.snapshot / "generator.safetensors"))  # fmt: skip
    assert all(torch.equal(averaged[name], began[name]) for name in averaged)
    states = [json.loads((end.snapshot / "snapshot.json").read_text())["state"] for end in (first, lost)]
    assert states[0]["ada"]["p"] == states[1]["ada"]["p"] > 0
    for images in (56, 72):  # resumed from its first snapshot, whose optimisers have not stepped
        went_on = run(packed16, tmp_path / "second", images, recipe=recipe)
    assert went_on.nimg == 72
    assert [line["nimg"] for line in lines_of(tmp_path / "second") if "D_loss" in line] == [56, 64, 72]
    assert json.loads((tmp_path / "second" / "run.json").read_text())["config"]["start_nimg"] == 48
    shutil.rmtree(tmp_path / "first")
    assert run(packed16, tmp_path / "second", 80, recipe=recipe).nimg == 80  # the source is not needed any more
    assert run(packed16, tmp_path / "second", 88, recipe=recipe, fork=tmp_path / "third").nimg == 88
    with pytest.raises(UserError, match="needs --init"):
        run(packed16, tmp_path / "other", 8, keep_nimg=True)


def test_a_fresh_discriminator_may_be_another_and_learns_alone_at_first(tmp_path, packed16):
    run(packed16, tmp_path / "first", 24, recipe=small_recipe("style-s"))
    wide = small_recipe(
        "style-s", discriminator={"width": 12, "max_channels": 24, "patch": 1}, generator_start=16, penalty_every=1
    )
    with pytest.raises(UserError, match=r"discriminator.patch +2 +1"):
        run(packed16, tmp_path / "second", 8, recipe=wide, init=tmp_path / "first")
    options = {"recipe": wide, "init": tmp_path / "first", "fresh_discriminator": True, "warmup": 0}
    begun = run(packed16, tmp_path / "second", 0, **options)
    alone = run(packed16, tmp_path / "second", 16, **options)
    together = run(packed16, tmp_path / "second", 24, **options)
    files = {name: [load_file(end.snapshot / f"{name}.safetensors") for end in (begun, alone, together)]
             for name in ("generator", "discriminator")}  # fmt: skip
    same = [[torch.equal(one[key], other[key]) for key in one] for one, other in zip(files["generator"][:2],
            files["generator"][1:], strict=True)]  # fmt: skip
    assert all(same[0]) and not all(same[1])
    weights = [tensors["logit.weight"] for tensors in files["discriminator"]]
    assert not torch.equal(weights[0], weights[1]) and not torch.equal(weights[1], weights[2])
    assert ["G_loss" in line for line in lines_of(tmp_path / "second") if "D_loss" in line] == [False, False, True]


def test_another_mapping_multiplier_leaves_the_faces_as_they_were(tmp_path, packed16):
    recipe = small_recipe("style-s", attributes=False)
    first = run(packed16, tmp_path / "first", 24, recipe=recipe)
    faster = replace(recipe, generator={**recipe.generator, "mapping_lr_multiplier": 0.1})
    forked = run(packed16, tmp_path / "first", 24, recipe=faster, fork=tmp_path / "fork")
    begun = run(packed16, tmp_path / "warm", 0, recipe=faster, init=tmp_path / "first")
    faces = [facegan.load(end.snapshot).sample(8, seed=0).astype(int) for end in (first, forked, begun)]
    assert np.abs(faces[0] - faces[1]).max() <= 1 and np.abs(faces[0] - faces[2]).max() <= 1
    before, after = (load_file(end.snapshot / "optimizers.safetensors") for end in (first, forked))
    name = "generator/mapping.layers.0.weight/exp_avg"
    torch.testing.assert_close(after[name], before[name] * 10)
    torch.testing.assert_close(after[f"{name}_sq"], before[f"{name}_sq"] * 100)
    moved = run(packed16, tmp_path / "first", 32, recipe=faster, fork=tmp_path / "fork")
    stood = run(packed16, tmp_path / "first", 32, recipe=recipe)
    ends = [load_file(end.snapshot / "generator.safetensors")["mapping.layers.0.weight"] for end in (moved, stood)]
    begins = [load_file(end.snapshot / "generator.safetensors")["mapping.layers.0.weight"] for end in (forked, first)]
    steps = [(end - begin).abs().mean() / begin.abs().mean() for end, begin in zip(ends, begins, strict=True)]
    assert 8 < steps[0] / steps[1] < 12


def test_several_averages_are_kept_and_resumed(tmp_path, packed16):
    recipe = small_recipe("dcgan", ema_halflife=10, extra_ema_halflives=(1000, 2))
    straight = run(packed16, tmp_path / "straight", 48, recipe=recipe)
    for images in (16, 48):
        stopped = run(packed16, tmp_path / "stopped", images, recipe=recipe)
    names = {path.name for path in straight.snapshot.glob("*.safetensors")}
    assert names >= {"ema.safetensors", "ema-1000.safetensors", "ema-2.safetensors"}
    for name in names:
        assert (straight.snapshot / name).read_bytes() == (stopped.snapshot / name).read_bytes()
    generator = load_file(straight.snapshot / "generator.safetensors")["blocks.1.weight"]
    distance = [
        (load_file(straight.snapshot / name)["blocks.1.weight"] - generator).norm()
        for name in ("ema-2.safetensors", "ema.safetensors", "ema-1000.safetensors")
    ]
    assert distance == sorted(distance)  # the longer its half-life, the farther behind
    more = replace(recipe, ema_halflife=1000, extra_ema_halflives=(10, 50))
    forked = run(packed16, tmp_path / "straight", 48, recipe=more, fork=tmp_path / "fork")
    for new, old in (("ema", "ema-1000"), ("ema-10", "ema"), ("ema-50", "ema")):
        assert all(
            torch.equal(tensor, load_file(straight.snapshot / f"{old}.safetensors")[name])
            for name, tensor in load_file(forked.snapshot / f"{new}.safetensors").items()
        )


def test_penalties_follow_their_schedule(tmp_path, packed16):
    half = small_recipe("style-s", penalty_every=1, penalty_schedule=((8, 1.0), (16, 0.5), (24, 0.0)))
    lines = {}
    for name, recipe in (("half", half), ("whole", replace(half, penalty_schedule=()))):
        run(packed16, tmp_path / name, 32, recipe=recipe)
        lines[name] = [line["D_penalty"] for line in lines_of(tmp_path / name) if "D_penalty" in line]
    assert lines["half"][:2] == lines["whole"][:2]  # the steps that begin at 0 and 8 images
    assert 0 < lines["half"][2] < 0.8 * lines["whole"][2]
    assert lines["half"][3] == 0 < lines["whole"][3]


def test_a_scheduled_probability_augments(tmp_path, packed16):
    plain = small_recipe("style-s", augment="none")
    late = replace(plain, augment="scheduled", augment_schedule=((8, 0.0), (16, 1.0)))
    losses = {}
    for name, recipe in (("plain", plain), ("late", late)):
        run(packed16, tmp_path / name, 24, recipe=recipe)
        losses[name] = [line["D_loss"] for line in lines_of(tmp_path / name) if "D_loss" in line]
    assert losses["plain"][:2] == losses["late"][:2] and losses["plain"][2] != losses["late"][2]


def test_a_discriminator_that_knows_its_training_faces_ranks_them_higher(tmp_path):
    identities = np.where(np.arange(60) % 2, 10, 11).astype(np.int32)
    data = write_packed(tmp_path / "data", 60, 16, identities=identities)
    view = DataView([PackedDataset.open(data)])
    training_NHWC, held_out_NHWC = ranking_faces(view)
    assert len(training_NHWC) == len(held_out_NHWC) == 30

    class ByHeart(torch.nn.Module):
        def __init__(self, known_NHWC):
            super().__init__()
            self.register_buffer("known", torch.from_numpy(known_NHWC).permute(0, 3, 1, 2) / 127.5 - 1)

        def forward(self, image_NCHW):
            return -(image_NCHW[:, None] - self.known).abs().mean((2, 3, 4)).min(1).values

    assert training_rank(ByHeart(training_NHWC), training_NHWC, held_out_NHWC) == 1
    assert training_rank(ByHeart(held_out_NHWC), training_NHWC, held_out_NHWC) == 0
    assert training_rank(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 1), torch.nn.Flatten(0)),
                         training_NHWC, training_NHWC) == 0.5  # fmt: skip
    run(data, tmp_path / "run", 8)
    assert [line["nimg"] for line in lines_of(tmp_path / "run") if "D_training_rank" in line] == [0, 8]


def test_instance_noise_is_as_strong_as_its_schedule_says():
    image_NCHW = torch.zeros(8, 3, 16, 16)
    recipe, batch = small_recipe("dcgan"), Batch(np.arange(8), image_NCHW)
    steps = [Step(recipe, 0, batch, StepValues(noise_std=noise)) for noise in (0.0, 0.3)]
    assert torch.equal(steps[0].augmented(image_NCHW, "real"), image_NCHW)
    noisy = {which: steps[1].augmented(image_NCHW, which) for which in ("real", "fake")}
    assert noisy["real"].std() == pytest.approx(0.3, rel=0.05) and abs(noisy["real"].mean()) < 0.02
    assert not torch.equal(noisy["real"], noisy["fake"])
    last = Step(recipe, 0, Batch(np.arange(7, 8), image_NCHW[7:]), StepValues(noise_std=0.3))
    assert torch.equal(last.augmented(image_NCHW[7:], "real")[0], noisy["real"][7])  # a function of the position alone


def test_held_out_people_are_never_trained_on(tmp_path, monkeypatch):
    identities = np.where(np.arange(60) % 2, 10, 11).astype(np.int32)
    data = write_packed(tmp_path / "data", 60, 16, identities=identities)
    play, seen = trainer.train_step, set()

    def looking(generator, discriminator, step):
        faces_NHWC = ((step.batch.image_NCHW + 1) * 127.5).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
        seen.update(face.tobytes() for face in faces_NHWC)
        return play(generator, discriminator, step)

    monkeypatch.setattr(trainer, "train_step", looking)
    run(data, tmp_path / "run", 64, recipe=small_recipe("dcgan", flip=False))
    dataset = PackedDataset.open(data)
    assert dataset.held_out().sum() == 30
    assert seen == {face.tobytes() for face in dataset.images[~dataset.held_out()]}


def test_instance_noise_comes_when_its_schedule_says(tmp_path, packed16):
    plain = small_recipe("dcgan")
    losses = {}
    for name, recipe in (("plain", plain), ("noisy", replace(plain, instance_noise=((8, 0.0), (16, 0.5))))):
        run(packed16, tmp_path / name, 24, recipe=recipe)
        losses[name] = [line["D_loss"] for line in lines_of(tmp_path / name) if "D_loss" in line]
    assert losses["plain"][:2] == losses["noisy"][:2] and losses["plain"][2] != losses["noisy"][2]


def test_tensorboard_has_what_the_log_has(tmp_path, packed16):
    run(packed16, tmp_path / "run", 24)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    found = {event.step: event.value for event in events.Scalars("D_loss")}
    logged = {line["nimg"]: line["D_loss"] for line in lines_of(tmp_path / "run") if "D_loss" in line}
    assert found == pytest.approx(logged, rel=1e-4)
