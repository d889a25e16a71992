import json

import pytest

from facegan.config import RecipeConfig, RunConfig, from_dict, to_dict
from facegan.config_changes import FIXED, differences, flatten, parse_count, setting_text, table_of, with_settings
from facegan.errors import UserError
from facegan.networks.style import StyleGenerator
from facegan.recipes import RECIPES, recipe


@pytest.mark.parametrize("name", RECIPES)
def test_a_config_survives_json(name):
    config = RunConfig(recipe=recipe(name), batch=32, seed=5, data="abc")
    again = from_dict(RunConfig, json.loads(json.dumps(to_dict(config))), "test")
    assert again == config
    assert differences(config, again) == []


def test_settings_reach_into_parts():
    settings = ["generator.width=32", "flip=false", "generator_optimizer.learning_rate=1e-3", "ema_halflife=2k"]
    changed = with_settings(recipe("dcgan"), settings)
    assert changed.generator["width"] == 32
    assert changed.discriminator["width"] == 64
    assert changed.flip is False
    assert changed.generator_optimizer.learning_rate == 1e-3
    assert changed.ema_halflife == 2000
    assert {name for name, _, _ in differences(recipe("dcgan"), changed)} == {
        "generator.width", "flip", "generator_optimizer.learning_rate", "ema_halflife"}  # fmt: skip


@pytest.mark.parametrize(("setting", "message"), [
    ("flip", "field=value"),
    ("flop=true", "did you mean flip"),
    ("flip=maybe", "true or false"),
    ("generator.width=wide", "whole number"),
    ("generator_optimizer.learning_rate=-1", "learning_rate"),
    ("generator_optimizer.learning_rate=nan", "learning_rate"),
    ("generator_optimizer=adam", "no field"),
    ("fakes=sometimes", "training, inference or shared"),
    ("real_label=0.2", "real_label"),
    ("name=other", "choose another --recipe"),
    ("flip.deep=1", "no field"),
])  # fmt: skip
def test_a_wrong_setting_is_named(setting, message):
    with pytest.raises(UserError, match=message):
        with_settings(recipe("dcgan"), [setting])


@pytest.mark.parametrize(("change", "message"), [
    ({"resolution": "64"}, "resolution"),
    ({"surprise": 1}, "unknown setting surprise"),
    ({"latent": "cauchy"}, "normal or uniform"),
    ({"generator": 3}, "expected a table"),
])  # fmt: skip
def test_damaged_json_is_named(change, message):
    with pytest.raises(UserError, match=message):
        from_dict(RecipeConfig, to_dict(recipe("dcgan")) | change, "run.json")


def test_a_missing_field_is_named():
    values = to_dict(recipe("dcgan"))
    del values["network"]
    with pytest.raises(UserError, match="network is missing"):
        from_dict(RecipeConfig, values, "run.json")


@pytest.mark.parametrize(("text", "number"), [("64", 64), ("100k", 100_000), ("2M", 2_000_000), ("1.5M", 1_500_000),
                                              ("4.1M", 4_100_000), ("2.01k", 2010), ("16.1K", 16_100)])  # fmt: skip
def test_counts(text, number):
    assert parse_count(text) == number


@pytest.mark.parametrize("text", ["", "k", "1.2", "many", "nan", "0x10", "inf", "2.0001k"])
def test_no_counts(text):
    with pytest.raises(ValueError):
        parse_count(text)


@pytest.mark.parametrize("text", ["1e30", "-1e30", "1e400", "9e18M"])
def test_counts_too_large(text):
    with pytest.raises(OverflowError):
        parse_count(text)


def test_an_unknown_recipe_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="did you mean classic-dcgan"):
        recipe("clasic-dcgan")


def test_schedules_are_written_as_values_at_images():
    settings = ["lr_schedule=1@7M,0.01@10M", "penalty_schedule=1@0,0.1@4M", "extra_ema_halflives=100k,500k"]
    changed = with_settings(recipe("style"), settings)
    assert changed.lr_schedule == ((7_000_000, 1.0), (10_000_000, 0.01))
    assert changed.penalty_schedule == ((0, 1.0), (4_000_000, 0.1))
    assert changed.extra_ema_halflives == (100_000, 500_000)
    assert from_dict(RecipeConfig, json.loads(json.dumps(to_dict(changed))), "test") == changed
    assert with_settings(changed, ["lr_schedule=none"]).lr_schedule == ()
    text = table_of(differences(recipe("style"), changed), "before", "after")
    assert "1@7M,0.01@10M" in text and "100k,500k" in text and "none" in text


@pytest.mark.parametrize(("settings", "message"), [
    (["lr_schedule=1@2M,0.1@1M"], "images must rise"),
    (["lr_schedule=0.5"], "lr_schedule"),
    (["lr_schedule=fast@slow"], "VALUE@IMAGES"),
    (["penalty_schedule=-1@0"], "from 0 to"),
    (["augment=scheduled"], "go together"),
    (["augment_schedule=0@0,0.1@1M"], "go together"),
    (["augment=scheduled", "augment_schedule=0@0,2@1M"], "from 0 to 1"),
    (["extra_ema_halflives=30k"], "each once"),
    (["extra_ema_halflives=100k,100k"], "each once"),
    (["ema_halflife=0", "extra_ema_halflives=100k"], "needs an ema_halflife"),
    (["generator.mapping_lr_multiplier=0"], "mapping_lr_multiplier from"),
])  # fmt: skip
def test_a_wrong_schedule_is_named(settings, message):
    with pytest.raises(UserError, match=message):
        changed = with_settings(recipe("style"), settings)
        StyleGenerator(**changed.generator_options)


def test_names_of_version_0_1_0_are_read():
    values = to_dict(recipe("style-s"))
    old = {"lr_decay_start": "rate_steady", "ada_target": "augment_target", "ada_images": "augment_images",
           "pseudo_labels": "label_unlabelled"}  # fmt: skip
    stored = {old.get(name, name): value for name, value in values.items()}
    for later in (
        "lr_schedule",
        "penalty_schedule",
        "augment_schedule",
        "extra_ema_halflives",
        "generator_start",
        "instance_noise",
    ):
        del stored[later]
    for part in ("generator", "discriminator"):
        names = {"max_channels": "most", "second_conv_max_side": "deep"}
        stored[part] = {names.get(name, name): value for name, value in values[part].items()}
    del stored["generator"]["mapping_lr_multiplier"]
    assert from_dict(RecipeConfig, stored, "run.json") == recipe("style-s")
    changed = with_settings(recipe("style-s"), ["rate_steady=5k", "generator.most=32", "discriminator.most=16"])
    assert changed.lr_decay_start == 5000
    assert (changed.generator["max_channels"], changed.discriminator["max_channels"]) == (32, 16)


@pytest.mark.parametrize("name", RECIPES)
def test_a_setting_that_is_shown_can_be_written(name):
    shown = [
        f"{path}={str(value).lower() if isinstance(value, bool) else setting_text(value)}"
        for path, value in flatten(to_dict(recipe(name))).items()
        if path not in FIXED
    ]
    assert with_settings(recipe(name), shown) == recipe(name)


def test_a_number_beyond_float_is_named():
    stored = to_dict(recipe("dcgan"))
    stored["generator_optimizer"] = {**stored["generator_optimizer"], "learning_rate": 10**400}
    with pytest.raises(UserError, match="learning_rate: the number is too large"):
        from_dict(RecipeConfig, stored, "run.json")
