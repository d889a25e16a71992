"""Settings that cannot work are refused with the reason, and those that can are trained with."""

import math

import pytest

from facegan.errors import UserError
from facegan.training.checks import refuse_impossible
from facegan.training.schedule import Schedule
from tests.conftest import small_recipe, train


@pytest.mark.parametrize(("name", "changes", "message"), [
    ("dcgan", {"r1": 1.0}, "has batch normalisation, which makes every logit depend on all images"),
    ("classic-dcgan", {"loss": "wasserstein", "gradient_penalty": 10.0}, "gradient_penalty=10 needs D's gradient at"),
    ("dcgan", {"attributes": True}, "the networks of dcgan know no attributes"),
])  # fmt: skip
def test_what_cannot_work(name, changes, message):
    with pytest.raises(UserError, match=message):
        refuse_impossible(small_recipe(name, **changes), 8, labelled=True)


def test_what_needs_other_data_or_another_batch():
    with pytest.raises(UserError, match="the data has none"):
        refuse_impossible(small_recipe("style-s", attributes=True), 8, labelled=False)
    with pytest.raises(UserError, match="groups of 4, so choose a multiple"):
        refuse_impossible(small_recipe("style-s"), 6, labelled=True)
    refuse_impossible(small_recipe("style-s"), 8, labelled=False)
    refuse_impossible(small_recipe("classic-tanh", r1=1.0), 6, labelled=False)


@pytest.mark.parametrize(("changes", "message"), [
    ({"loss": "wasserstein"}, "no bound without a penalty"),
    ({"loss": "hinge", "real_label": 0.9}, "only the loss non-saturating has labels to smooth"),
    ({"r1": -1.0}, "r1=-1"),
    ({"penalty_every": 0}, "penalty_every=0"),
    ({"label_dropout": 1.5}, "label_dropout=1.5"),
    ({"loss": "hing"}, "choose non-saturating, relativistic, hinge"),
    ({"augment": "difaugment"}, "choose none, diffaugment, ada"),
])  # fmt: skip
def test_settings_out_of_range(changes, message):
    with pytest.raises(UserError, match=message):
        small_recipe("classic-tanh", **changes)


def test_attributes_that_nothing_could_teach(tmp_path, packed16):
    recipe = small_recipe("style-s", attributes=True, pseudo_labels=False)

    def labeller(image_NHWC):
        return image_NHWC[:, 0, 0, :1].repeat(40, 1) / 255 - 0.5

    with pytest.raises(UserError, match="the data has none"):
        schedule = Schedule(images=8, score_count=0)
        train([packed16], tmp_path / "run", recipe, batch=8, schedule=schedule, labeller=labeller)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "options",
    [{"style_size": 0}, {"mapping_layers": 0}, {"patch": 3}, {"second_conv_max_side": -1}, {"max_channels": 0}],
)
def test_networks_that_cannot_be(tmp_path, packed16, options):
    recipe = small_recipe("style-s", generator={"width": 8, "max_channels": 16} | options)
    with pytest.raises(UserError, match=next(iter(options))):
        train([packed16], tmp_path / "run", recipe, batch=8, schedule=Schedule(images=8, score_count=0))
    assert not (tmp_path / "run").exists()


def test_an_existing_run_is_no_reason_to_try_what_cannot_work(tmp_path, packed16):
    run, recipe = tmp_path / "run", small_recipe("dcgan")
    train([packed16], run, recipe, batch=8, schedule=Schedule(images=8, score_count=0), threads=1, conv="direct")
    with pytest.raises(UserError, match="has batch normalisation"):
        train([packed16], run, small_recipe("dcgan", r1=1.0), batch=8, schedule=Schedule(images=8, score_count=0))


@pytest.mark.parametrize(("name", "changes"), [
    ("style-s", {"loss": "relativistic", "r1": 1.0, "r2": 1.0}),
    ("style-s", {"loss": "hinge", "augment": "diffaugment", "fakes": "training"}),
    ("style-s", {"loss": "wasserstein", "gradient_penalty": 10.0, "penalty_every": 1, "r1": 0.0}),
    ("classic-tanh", {"loss": "least-squares", "r1": 1.0}),
    ("classic-tanh", {"loss": "relativistic"}),
    ("dcgan", {"loss": "hinge", "augment": "ada"}),
    ("classic-dcgan", {"loss": "relativistic"}),
])  # fmt: skip
def test_losses_train_every_recipe_they_make_sense_for(tmp_path, packed16, name, changes):
    result = train(
        [packed16], tmp_path / "run", small_recipe(name, **changes), batch=8,
        schedule=Schedule(images=32, log_every=8, score_count=0), precision="float32", threads=1, conv="direct",
    )  # fmt: skip
    import json

    lines = [json.loads(line) for line in (result.run / "log.jsonl").read_text().splitlines()]
    losses = [line for line in lines if "D_loss" in line]
    assert len(losses) == 4
    assert all(math.isfinite(value) for line in losses for value in line.values())
    penalised = any(small_recipe(name, **changes).__dict__[field] for field in ("r1", "r2", "gradient_penalty"))
    assert all(("D_penalty" in line) == penalised for line in losses)
    assert not penalised or max(line["D_penalty"] for line in losses) > 0
