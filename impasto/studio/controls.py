"""Controls for the settings of every method, made from the methods' configurations; no page in here.

What stands on a control at first is passed on as "not given": so a method keeps its own default, and a preset counts.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from impasto.backbones import BACKBONES
from impasto.config import names_files, setting_schemas
from impasto.methods import METHODS
from impasto.optim.schedule import STARTS

FIRST = ("strength", "style_scale", "size", "steps", "color")
"""Shown at once, in this order; all others stand behind "more"."""
SHOWN = {"strength": 50.0}
"""What a control shows whose default is no value, where one value means the same."""
USEFUL = {"style_scale": (0.25, 4.0), "size": (64, 2048)}
"""Narrower limits, for a slider that is to be of use."""
WIDEST = 2000
"""Numbers with a wider range get no slider."""

Kind = Literal["choice", "switch", "slider", "number", "list", "text"]


@dataclass(frozen=True)
class Control:
    """One setting of one method."""

    name: str
    kind: Kind
    help: str
    shown: Any
    """What it shows at first; None for an empty one."""
    group: str
    """"first", or what the class says that declares the setting."""
    whole: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The setting's name as words."""
        return self.name.replace("_", " ")


def controls_of(method: str) -> list[Control]:
    """The controls of a method, those shown first in front."""
    config = METHODS[method].Config
    controls = [
        _control(name, facts, _group(config, name))
        for name, facts in setting_schemas(config).items()
        if not names_files(facts)
    ]
    rank = {name: i for i, name in enumerate(FIRST)}
    return sorted(controls, key=lambda control: rank.get(control.name, len(rank)))


def settings_from(method: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """What was set on the controls: whatever differs from what they show at first.

    Raises:
        ValueError: in one line, for a list that cannot be read.
    """
    settings = {}
    for control in controls_of(method):
        value = values.get(control.name, control.shown)
        if control.kind == "list" and isinstance(value, str):
            value = [_item(word) for word in re.split(r"[\s,;]+", value.strip()) if word] or None
        if control.kind == "number" and isinstance(value, str):
            value = _item(value.strip())
        if control.whole and isinstance(value, float) and value.is_integer():
            value = int(value)
        if value not in (None, "", control.shown):
            settings[control.name] = value
    return settings


def values_for(method: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the controls of a method show for given settings; a list becomes its words."""
    shown = {}
    for control in controls_of(method):
        value = settings.get(control.name)
        if isinstance(value, list | tuple):
            value = " ".join(map(str, value))
        if value not in (None, "") and control.kind == "number" and control.shown is None:
            value = str(value)
        shown[control.name] = control.shown if value in (None, "") else value
    return shown


def _control(name: str, facts: dict[str, Any], group: str) -> Control:
    value = next((each for each in facts.get("anyOf", ()) if each["type"] != "null"), facts)
    kind, help_text = value["type"], facts["description"].replace("\n", " ")
    shown = SHOWN.get(name, facts.get("default"))
    if choices := _choices(name, value):
        return Control(name, "choice", help_text, shown, group, choices=choices)
    if kind == "boolean":
        return Control(name, "switch", help_text, shown, group)
    if kind == "array":
        return Control(name, "list", help_text, None, group, whole=value["items"].get("type") == "integer")
    if kind not in ("integer", "number"):
        return Control(name, "text", help_text, shown, group)
    low, high = USEFUL.get(name, (value.get("minimum", value.get("exclusiveMinimum")), value.get("maximum")))
    bounded = shown is not None and low is not None and high is not None and high - low <= WIDEST
    return Control(name, "slider" if bounded else "number", help_text, shown, group, kind == "integer", low, high)


def _choices(name: str, value: dict[str, Any]) -> tuple[str, ...]:
    """What a setting may be, if that can be listed."""
    if name == "backbone":
        return tuple(BACKBONES)
    return STARTS if name == "start" else tuple(value.get("enum", ()))


def _item(word: str) -> Any:
    """A word as a number, where it is one."""
    for read in (int, float):
        try:
            return read(word)
        except ValueError:
            continue
    return word


def _group(config: type[Any], name: str) -> str:
    if name in FIRST:
        return "first"
    bases: list[Any] = list(config.__mro__[:-1])
    owner = next(base for base in reversed(bases) if name in inspect.get_annotations(base))
    return str(owner.__doc__).split("\n")[0].rstrip(".")
