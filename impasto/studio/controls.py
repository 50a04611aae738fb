"""Describe a form control for every setting of a method, without depending on the page.

The page sends only the values that differ from the initial ones, so that a method uses its own defaults and a preset
applies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from impasto.backbones import BACKBONES
from impasto.config import names_files, setting_schemas
from impasto.methods import METHODS
from impasto.optim.schedule import STARTS

INITIAL_VALUES = {"strength": 50.0}
"""Initial values of settings whose default is None, where a number has the same meaning."""
SLIDER_RANGES = {"style_scale": (0.25, 4.0), "size": (64, 2048)}
"""Ranges of sliders that are narrower than the bounds of the setting, so that the slider is precise enough."""
MAX_SLIDER_RANGE = 2000
"""Widest range of a slider; a number with a wider range gets a number field."""

Kind = Literal["choice", "checkbox", "slider", "number", "list", "text"]


@dataclass(frozen=True)
class Control:
    """Form control of one setting of one method."""

    name: str
    kind: Kind
    help: str
    initial: Any
    """Initial value; None for an empty control."""
    tier: Literal["main", "advanced"]
    group: str
    """Heading of the group of settings."""
    is_integer: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()


def controls_of(method: str) -> list[Control]:
    """Return the controls of a method: first the tier `main`, then `advanced`, each in the order of the fields."""
    controls = [
        _control(name, schema)
        for name, schema in setting_schemas(METHODS[method].Config).items()
        if not names_files(schema)
    ]
    return sorted(controls, key=lambda control: control.tier != "main")


def _control(name: str, schema: dict[str, Any]) -> Control:
    value = next((each for each in schema.get("anyOf", ()) if each["type"] != "null"), schema)
    initial = INITIAL_VALUES.get(name, schema.get("default"))
    kind: Kind = "text"
    low = high = None
    choices = _choices(name, value)
    if choices:
        kind = "choice"
    elif value["type"] == "boolean":
        kind = "checkbox"
    elif value["type"] == "array":
        kind, initial = "list", None
    elif value["type"] in ("integer", "number"):
        low, high = SLIDER_RANGES.get(name, (value.get("minimum", value.get("exclusiveMinimum")), value.get("maximum")))
        is_bounded = initial is not None and low is not None and high is not None and high - low <= MAX_SLIDER_RANGE
        kind = "slider" if is_bounded else "number"
    return Control(
        name=name,
        kind=kind,
        help=schema["description"].replace("\n", " "),
        initial=initial,
        tier=schema["tier"],
        group=schema["group"],
        is_integer=value.get("items", value).get("type") == "integer",
        minimum=low,
        maximum=high,
        choices=choices,
    )


def _choices(name: str, value: dict[str, Any]) -> tuple[str, ...]:
    """Return the allowed values of a setting, or nothing where they cannot be listed."""
    if name == "backbone":
        return tuple(BACKBONES)
    return STARTS if name == "start" else tuple(value.get("enum", ()))
