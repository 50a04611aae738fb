"""Settings: checked on the way in, in one line for whoever got them wrong, and read back as they were."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from impasto.config import MethodConfig, check_settings, settings_of
from impasto.methods import METHODS

EVERY = sorted(METHODS)
NAN, INFINITY = float("nan"), float("inf")


def check(**settings: Any) -> Any:
    return check_settings(METHODS["gatys"].Config, "gatys", settings)


@pytest.mark.parametrize("method", EVERY)
def test_every_method_has_defaults_for_all_its_settings(method: str) -> None:
    config = check_settings(METHODS[method].Config, method, {})
    assert isinstance(config, MethodConfig)
    assert config == METHODS[method].Config()


@pytest.mark.parametrize("method", EVERY)
def test_every_setting_has_a_help_text(method: str) -> None:
    described = set()
    for part in METHODS[method].Config.__mro__[:-1]:  # a help text is known to the class that declares the setting
        properties = TypeAdapter(part).json_schema()["properties"]
        described |= {name for name, schema in properties.items() if schema.get("description")}
    assert described == {field.name for field in dataclasses.fields(METHODS[method].Config)}


@pytest.mark.parametrize("method", EVERY)
def test_a_configuration_survives_as_json(method: str) -> None:
    config = check_settings(METHODS[method].Config, method, {"size": 300, "style_mix": (0.25, 0.75), "seed": 7})
    stored = json.loads(json.dumps(settings_of(config)))
    assert check_settings(METHODS[method].Config, method, stored) == config


def test_values_that_are_not_the_defaults_survive_as_json() -> None:
    config = check(steps=5, sizes=[64, 128], lr=0.5, content_layers=["relu3_1"], pooling="average", precision="fp32")
    stored = json.loads(json.dumps(settings_of(config)))
    assert stored["sizes"] == [64, 128]
    assert check(**stored) == config


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        check().size = 3


def test_the_documented_defaults_hold() -> None:
    config = check()
    assert (config.size, config.seed, config.start, config.optimizer) == (512, 0, "content", "lbfgs")
    assert (config.content_weight, config.style_weight, config.tv_weight) == (1, 100, 0)
    assert (config.steps, config.lr, config.pooling, config.precision) == (None, None, "max", "auto")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *(("size", 0), ("size", 65536), ("seed", 2**63 - 1), ("steps", 1), ("steps", None), ("lr", 100)),
        *(("style_weight", 0), ("style_weight", 1e9), ("style_mix", [0.0, 1.0]), ("sizes", [1, 65536])),
    ],
)
def test_values_on_the_bounds_are_allowed(setting: str, value: Any) -> None:
    expected = tuple(value) if isinstance(value, list) else value
    assert getattr(check(**{setting: value}), setting) == expected


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *(("size", -1), ("size", 65537), ("size", 3.5), ("size", "large"), ("size", None), ("seed", -1)),
        *(("seed", 2**63), ("steps", 0), ("steps", 1_000_001), ("lr", 0), ("lr", -1), ("lr", 101), ("lr", NAN)),
        *(("style_weight", -1), ("style_weight", NAN), ("style_weight", INFINITY), ("style_weight", 2e9)),
        *(("precision", "fp16"), ("optimizer", "sgd"), ("pooling", "none"), ("history", 0), ("device", 3)),
    ],
)
def test_a_bad_value_is_refused_in_one_line_with_its_name_and_value(setting: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{setting}: ") as caught:
        check(**{setting: value})
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(f", not {value!r}")
    assert "pydantic" not in message


@pytest.mark.parametrize(
    ("setting", "value", "place"),
    [("style_mix", [0.5, -1], 1), ("style_mix", [INFINITY], 0), ("sizes", [64, 0], 1), ("style_layers", [3], 0)],
)
def test_a_bad_value_in_a_list_is_named_with_its_place(setting: str, value: Any, place: int) -> None:
    with pytest.raises(ValueError, match=rf"^{setting}\.{place}: .*, not {value[place]!r}$"):
        check(**{setting: value})


@pytest.mark.parametrize(
    ("setting", "choices"),
    [("optimizer", ["lbfgs", "adam"]), ("pooling", ["max", "average"]), ("precision", ["auto", "fp32", "bf16"])],
)
def test_a_bad_choice_lists_the_choices(setting: str, choices: list[str]) -> None:
    with pytest.raises(ValueError, match=setting) as caught:
        check(**{setting: "magic"})
    assert all(f"'{choice}'" in str(caught.value) for choice in choices)


def test_an_unknown_setting_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"^method 'gatys' has no setting 'styl_weight'; it has: .+$") as caught:
        check(styl_weight=3)
    assert all(field.name in str(caught.value) for field in dataclasses.fields(METHODS["gatys"].Config))
