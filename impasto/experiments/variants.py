"""The rows of an experiment's tables: a method with settings, from the place in the file where each of them stands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from impasto.config import check_settings, settings_of
from impasto.experiments.run import Task
from impasto.experiments.schema import Asked, Variant
from impasto.experiments.yaml_source import Place
from impasto.methods import METHODS

FILES = ("start", "mask", "style_mask")
"""Settings that may name files."""


@dataclass(frozen=True)
class Row:
    """A variant with all its settings, and where in the file each of them stands."""

    name: str
    method: str
    settings: dict[str, Any]
    places: dict[str, Place]
    place: Place
    seeds: Sequence[int]


def check_settings_of_all(asked: Asked) -> None:
    """A setting of all goes to the methods that have it: at least one must."""
    form = asked.form
    methods = [
        *(each.method for each in (*form.variants, *form.include)),
        *(form.product.methods if form.product else ()),
    ]
    known = [name for method in methods if method in METHODS for name in METHODS[method].Config.__dataclass_fields__]
    for place, settings in ((("settings",), form.settings), (("quick", "settings"), asked.forced)):
        for name in settings:
            if name == "seed":
                raise asked.wrong((*place, name), "give seeds, a list, beside the settings")
            if known and name not in known:
                choices = ", ".join(dict.fromkeys(known))
                raise asked.wrong((*place, name), f"no method here has this setting; choose from {choices}")


def rows_of(asked: Asked) -> Iterator[Row]:
    """The variants that are listed, then those of the product."""
    for i, variant in enumerate(asked.form.variants):
        place = (*asked.places["variants"], i)
        yield row_of(variant, place, (*place, "method"), asked)
    if asked.form.product is None:
        return
    place, swept = asked.places["product"], asked.form.product.settings
    for j, method in enumerate(asked.form.product.methods):
        for choice in product(*(range(len(values)) for values in swept.values())):
            chosen = {name: swept[name][i] for name, i in zip(swept, choice, strict=True)}
            row = row_of(Variant(method=method, settings=chosen), place, (*place, "methods", j), asked)
            where: dict[str, Place] = {name: (*row.places[name], i) for name, i in zip(swept, choice, strict=True)}
            yield replace(row, places=row.places | where)


def row_of(variant: Variant, place: Place, method_place: Place, asked: Asked) -> Row:
    """A variant with the settings of all: those of the file first, then its own, then those of the quick form."""
    if variant.method not in METHODS:
        raise asked.wrong(method_place, f"unknown method {variant.method!r}; choose from {', '.join(METHODS)}")
    if "seed" in variant.settings:
        raise asked.wrong((*place, "settings", "seed"), "give seeds, a list, beside the settings")
    has = METHODS[variant.method].Config.__dataclass_fields__
    layers: list[tuple[Place, dict[str, Any]]] = [
        (("settings",), {name: value for name, value in asked.form.settings.items() if name in has}),
        ((*place, "settings"), variant.settings),
        (("quick", "settings"), {name: value for name, value in asked.forced.items() if name in has}),
    ]
    settings = {name: value for _, layer in layers for name, value in layer.items()}
    places: dict[str, Place] = {name: (*where, name) for where, layer in layers for name in layer}
    given = ", ".join(f"{name} {_in_words(value)}" for name, value in variant.settings.items())
    name = variant.name or ", ".join(filter(None, [variant.method, given]))
    return Row(name, variant.method, settings, places, place, variant.seeds or asked.form.seeds)


def tasks_of(row: Row, pair: tuple[str, str], asked: Asked) -> list[Task]:
    """One for each seed; the settings in the form that the configuration gives them, so that 1 and 1.0 are the same."""
    tasks = []
    given = {name: _placed(name, value, asked.document.folder) for name, value in row.settings.items()}
    for seed in row.seeds:
        try:
            config = check_settings(METHODS[row.method].Config, row.method, given | {"seed": seed})
            METHODS[row.method](config)
        except ValueError as error:
            raise _misplaced(str(error), row, asked) from None
        plain = settings_of(config)
        tasks.append(Task(row.name, row.method, {name: plain[name] for name in [*given, "seed"]}, *pair))
    return tasks


def _misplaced(message: str, row: Row, asked: Asked) -> ValueError:
    """The error that a configuration raised, with the line of the setting that it is about."""
    named = re.match(r"(\w+)(?:\.\d+)*: ", message)
    unknown = re.search(r"has no setting '(\w+)'", message)
    if unknown:
        return asked.wrong(row.places.get(unknown[1], row.place), message)
    if named and named[1] in row.places:
        return asked.wrong(row.places[named[1]], message[named.end() :])
    quoted = (name for name, value in row.settings.items() if isinstance(value, str) and repr(value) in message)
    return asked.wrong(row.places.get(next(quoted, ""), row.place), message)


def _placed(name: str, value: Any, folder: Path) -> Any:
    """A setting that names files, with those that lie beside the grid as absolute paths."""
    if name not in FILES:
        return value
    if isinstance(value, list | tuple):
        return [_placed(name, each, folder) for each in value]
    return str((folder / value).absolute()) if isinstance(value, str) and (folder / value).is_file() else value


def _in_words(value: Any) -> str:
    return " ".join(map(_in_words, value)) if isinstance(value, list | tuple) else str(value)
