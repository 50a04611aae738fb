"""Combine the settings of each variant and check them with the method's own configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from impasto.config import check_settings, settings_of
from impasto.experiments.run import Task
from impasto.experiments.schema import Specification, Variant
from impasto.experiments.yaml_source import KeyPath
from impasto.methods import METHODS
from impasto.optim.schedule import Start

MASKS = ("mask", "style_mask")
"""Settings whose values are file names."""


@dataclass(frozen=True)
class ResolvedVariant:
    """A variant with all its settings and the location in the file of each."""

    name: str
    """Name that the file gives, or one generated from the settings that are used."""
    method: str
    settings: dict[str, Any]
    setting_paths: dict[str, KeyPath]
    path: KeyPath
    seeds: Sequence[int]
    written_name: str
    """Name without the settings of the quick version."""
    written_settings: dict[str, Any]
    """Settings without those of the quick version."""


@dataclass(frozen=True)
class PlannedTask:
    """A task and its description before the settings of the quick version apply, to which exclusions refer."""

    task: Task
    written: Task


def check_common_settings(spec: Specification) -> None:
    """Check that every common setting exists in at least one of the methods.

    Raises:
        ValueError: if no method has the setting, or if it is `seed`, which the field `seeds` replaces.
    """
    fields = spec.fields
    methods = [
        *(variant.method for variant in (*fields.variants, *fields.include)),
        *(fields.product.methods if fields.product else ()),
    ]
    known = [name for method in methods if method in METHODS for name in METHODS[method].Config.__dataclass_fields__]
    for path, settings in ((("settings",), fields.settings), (("quick", "settings"), spec.overrides)):
        for name in settings:
            if name == "seed":
                raise spec.error((*path, name), "give seeds, a list, instead of the setting seed")
            if known and name not in known:
                choices = ", ".join(dict.fromkeys(known))
                raise spec.error((*path, name), f"no method here has this setting; choose from {choices}")


def resolve_variants(spec: Specification) -> Iterator[ResolvedVariant]:
    """Yield the listed variants, then those of the product."""
    for i, variant in enumerate(spec.fields.variants):
        path = (*spec.paths["variants"], i)
        yield resolve_variant(variant, path, (*path, "method"), spec)
    if spec.fields.product is None:
        return
    path, values = spec.paths["product"], spec.fields.product.settings
    for j, method in enumerate(spec.fields.product.methods):
        for indices in product(*(range(len(each)) for each in values.values())):
            settings = {name: values[name][i] for name, i in zip(values, indices, strict=True)}
            variant = Variant(method=method, settings=settings)
            resolved = resolve_variant(variant, path, (*path, "methods", j), spec)
            paths: dict[str, KeyPath] = {
                name: (*resolved.setting_paths[name], i) for name, i in zip(values, indices, strict=True)
            }
            yield replace(resolved, setting_paths=resolved.setting_paths | paths)


def resolve_variant(variant: Variant, path: KeyPath, method_path: KeyPath, spec: Specification) -> ResolvedVariant:
    """Combine the settings of a variant and name it after those that it gives, with the values that are used.

    In increasing precedence: common settings of the file, settings of the variant, settings of the quick version.
    Common settings that the method does not have are dropped.

    Args:
        variant: the variant as the file gives it.
        path: location of the variant in the file.
        method_path: location of the method's name.
        spec: the experiment.

    Raises:
        ValueError: if the method is unknown, or if the settings contain `seed`.
    """
    if variant.method not in METHODS:
        raise spec.error(method_path, f"unknown method {variant.method!r}; choose from {', '.join(METHODS)}")
    if "seed" in variant.settings:
        raise spec.error((*path, "settings", "seed"), "give seeds, a list, instead of the setting seed")
    available = METHODS[variant.method].Config.__dataclass_fields__
    layers: list[tuple[KeyPath, dict[str, Any]]] = [
        (("settings",), {name: value for name, value in spec.fields.settings.items() if name in available}),
        ((*path, "settings"), variant.settings),
        (("quick", "settings"), {name: value for name, value in spec.overrides.items() if name in available}),
    ]
    (_, common), (_, own), (_, quick) = layers
    written = {**common, **own}
    settings = written | quick
    paths: dict[str, KeyPath] = {name: (*location, name) for location, layer in layers for name in layer}
    names = (_name_of(variant, settings), _name_of(variant, written))
    seeds = variant.seeds or spec.fields.seeds
    return ResolvedVariant(names[0], variant.method, settings, paths, path, seeds, names[1], written)


def tasks_of(variant: ResolvedVariant, pair: tuple[str, str], spec: Specification) -> list[PlannedTask]:
    """Return one task for each seed of a variant.

    Settings are taken from the checked configuration, so that equal values such as 1 and 1.0 give the same task key.

    Args:
        variant: the variant.
        pair: content image and style image.
        spec: the experiment.

    Raises:
        ValueError: if the method refuses a setting; the message contains the line of the setting.
    """
    tasks = []
    folder = spec.document.folder
    settings = {name: _absolute(name, value, folder) for name, value in variant.settings.items()}
    for seed in variant.seeds:
        try:
            METHODS[variant.method].check_given(settings)
            config = check_settings(METHODS[variant.method].Config, variant.method, settings | {"seed": seed})
            METHODS[variant.method](config)
        except ValueError as error:
            raise _located(str(error), variant, spec) from None
        checked = settings_of(config)
        used = {name: checked[name] for name in [*settings, "seed"]}
        written = {name: checked[name] for name in [*variant.written_settings, "seed"]}
        written |= {name: variant.written_settings[name] for name in spec.overrides if name in written}
        task = Task(variant.name, variant.method, used, *pair)
        tasks.append(PlannedTask(task, replace(task, variant=variant.written_name, settings=written)))
    return tasks


def _located(message: str, variant: ResolvedVariant, spec: Specification) -> ValueError:
    """Add the line of the setting that a configuration refused to its error message."""
    prefix = re.match(r"(\w+)(?:\.\d+)*: ", message)
    unknown = re.search(r"has no setting '(\w+)'", message)
    if unknown:
        return spec.error(variant.setting_paths.get(unknown[1], variant.path), message)
    if prefix and prefix[1] in variant.setting_paths:
        return spec.error(variant.setting_paths[prefix[1]], message[prefix.end() :])
    quoted = (name for name, value in variant.settings.items() if isinstance(value, str) and repr(value) in message)
    return spec.error(variant.setting_paths.get(next(quoted, ""), variant.path), message)


def _absolute(name: str, value: Any, folder: Path) -> Any:
    """Make the file names of a setting absolute if the files exist in the folder of the experiment."""
    if isinstance(value, list | tuple):
        return [_absolute(name, each, folder) for each in value]
    if not isinstance(value, str) or name not in (*MASKS, "start"):
        return value
    file = value
    if name == "start":
        start = Start.parse(value, METHODS)
        if start.kind != "file":
            return value
        file = start.name
    return str((folder / file).absolute()) if (folder / file).is_file() else value


def _name_of(variant: Variant, settings: dict[str, Any]) -> str:
    """Return the name of a variant: if it has none, the method and the values of the settings that it gives."""
    texts = [f"{name} {_as_text(settings[name])}" for name in variant.settings]
    return variant.name or ", ".join([variant.method, *texts])


def _as_text(value: Any) -> str:
    return " ".join(map(_as_text, value)) if isinstance(value, list | tuple) else str(value)
