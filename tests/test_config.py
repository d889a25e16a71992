import json

import pytest

from facegan.config import RecipeConfig, RunConfig, differences, from_dict, parse_count, to_dict, with_settings
from facegan.errors import UserError
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
    ("fakes=sometimes", "training or inference"),
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


@pytest.mark.parametrize(("text", "number"), [("64", 64), ("100k", 100_000), ("2M", 2_000_000), ("1.5M", 1_500_000)])
def test_counts(text, number):
    assert parse_count(text) == number


@pytest.mark.parametrize("text", ["", "k", "1.2", "many", "nan", "0x10", "inf", "1e400"])
def test_no_counts(text):
    with pytest.raises((ValueError, OverflowError)):
        parse_count(text)


def test_an_unknown_recipe_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="did you mean classic-dcgan"):
        recipe("clasic-dcgan")
