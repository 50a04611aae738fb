"""Flags of the command line, built from dataclasses; whatever is wrong with them is one line.

tyro lays out the flags and their help. It reads every setting as text: what a value must be is said once, by the
method's configuration, which then checks it as it checks a call from Python.
"""

from __future__ import annotations

import dataclasses
import difflib
import io
import re
from collections.abc import Sequence
from contextlib import redirect_stderr
from typing import Annotated, Any, TypeVar

import tyro

from impasto.config import setting_schemas

Form = TypeVar("Form")


def parse(form: type[Form], arguments: Sequence[str], *, command: str) -> tuple[Form, list[str]]:
    """Reads `arguments` into a dataclass; also returns pictures and names that came after a flag.

    `--help` prints and raises `SystemExit(0)`. Raises `ValueError`, in one line, for flags that are wrong.
    """
    program = f"impasto {command}"
    box = io.StringIO()
    try:
        with redirect_stderr(box):  # tyro explains itself in boxes
            filled, rest = tyro.cli(form, prog=program, args=arguments, return_unknown_args=True)
    except SystemExit as end:
        if not end.code:
            raise
        raise ValueError(f"{_unboxed(box.getvalue())}; see {program} --help") from None
    for word in rest:
        if word.startswith("-") and len(word) > 1:
            raise ValueError(f"unknown flag {word}{_meant(word, form)}; see {program} --help")
    for flag in _without_values(filled):
        if flag in arguments:
            raise ValueError(f"{flag} needs a value; see {program} --help")
    return filled, rest


def form_of(config: type[Any], *, names: Sequence[str], title: str) -> type[Any]:
    """A dataclass of the settings called `names`, as text, for `parse`; what is not given stays None or ()."""
    fields = [_field(name, facts) for name, facts in setting_schemas(config).items() if name in names]
    form = dataclasses.make_dataclass(title, fields, frozen=True, kw_only=True)
    form.__doc__ = f"{title.capitalize()}."
    return form


def given(form: Any) -> dict[str, Any]:
    """The settings that were given; the others keep the configuration's defaults."""
    values = {field.name: getattr(form, field.name) for field in dataclasses.fields(form)}
    return {name: value for name, value in values.items() if value not in (None, ())}


def value_of(flag: str, arguments: Sequence[str]) -> str | None:
    """The value of one flag, read before the others are known."""
    for i, word in enumerate(arguments):
        if word == flag and i + 1 < len(arguments):
            return arguments[i + 1]
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
    return None


def named_as_flag(message: str, settings: Sequence[str]) -> str:
    """An error message about a setting, with the setting's name as the flag that was typed.

    >>> named_as_flag("style_mix.1: input should be positive", ["style_mix"])
    '--style-mix: input should be positive'
    """
    name = re.match(r"(\w+)(\.\d+)?: ", message)
    if name is None or name[1] not in settings:
        return message
    return f"--{name[1].replace('_', '-')}: {message[name.end() :]}"


def _field(name: str, facts: dict[str, Any]) -> tuple[str, Any, Any]:
    """Name, annotation and default of a flag."""
    many = facts.get("type") == "array"
    value = facts["items"] if many else next((f for f in facts.get("anyOf", ()) if f["type"] != "null"), facts)
    default = facts.get("default")
    if value.get("type") == "boolean":
        return name, Annotated[bool, tyro.conf.arg(help=facts["description"])], dataclasses.field(default=default)
    notes = [f"default: {default}"] if default not in (None, [], "") else []
    notes += [limits] if (limits := _limits(value)) else []
    kinds = {"integer": "INT", "number": "FLOAT"}
    kind = "FILE" if value.get("format") == "path" else kinds.get(value.get("type", ""), "TEXT")
    metavar = f"{{{','.join(value['enum'])}}}" if "enum" in value else kind
    how = tyro.conf.arg(
        help=facts["description"].replace("\n", " "),
        metavar=f"{metavar} [{metavar} ...]" if many else metavar,
        help_behavior_hint=f"({'; '.join(notes)})" if notes else "",
    )
    if many:
        return name, Annotated[tuple[str, ...], how], dataclasses.field(default=())
    return name, Annotated[str | None, how], dataclasses.field(default=None)


def _limits(value: dict[str, Any]) -> str:
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    return ", ".join(f"{word} {value[key]:.10g}" for key, word in words.items() if key in value)


def _unboxed(text: str) -> str:
    """What tyro says in a box, without heading, frame (of Unicode, or of dashes) and footer."""
    rows = [row.strip("│ ") for row in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()[1:]]
    said = " ".join(row for row in rows if not set(row) <= set("─-╰╯"))
    said = re.split("For full helptext|Argument helptext", said)[0]
    if lacking := re.match(r"Missing value for argument '([^']+)'", said):
        return f"{lacking[1].replace('/', ' or ')} needs a value"
    if number := re.match(r"Error parsing (\S+): invalid literal for int\(\) with base 10: (.+)", said):
        return f"{number[1]}: give a whole number, not {number[2].strip()}"
    said = said.strip().rstrip(".")
    return said or "the flags cannot be read"


def _meant(word: str, form: type[Any]) -> str:
    """A guess which flag was meant."""
    flag = word.partition("=")[0].replace("_", "-")
    close = difflib.get_close_matches(flag, [f"--{name.replace('_', '-')}" for name in _names(form)], n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _without_values(form: Any) -> list[str]:
    """The flags that take any number of values, and were left with none."""
    flags = []
    for field in dataclasses.fields(form):
        value = getattr(form, field.name)
        if dataclasses.is_dataclass(value):
            flags += _without_values(value)
        elif value == ():
            flags.append(f"--{field.name.replace('_', '-')}")
    return flags


def _names(form: type[Any]) -> list[str]:
    """Every field, those of nested dataclasses included."""
    names: list[str] = []
    for field in dataclasses.fields(form):
        inner = getattr(field.type, "__origin__", field.type)
        if dataclasses.is_dataclass(field.default_factory):
            inner = field.default_factory
        names += _names(inner) if dataclasses.is_dataclass(inner) and isinstance(inner, type) else [field.name]
    return names
