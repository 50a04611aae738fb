"""Declare, check and describe settings.

A configuration is a frozen, flat, keyword-only pydantic dataclass. The docstring under a field is its help text, the
`Annotated` bounds are its limits, and a `Literal` or `OneOf` lists its choices. Flags, records, web controls and the
tables of the documentation are read from it. Groups of settings are dataclasses that a configuration inherits from; the
docstring of a group is its title.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le
from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic.dataclasses import dataclass
from pydantic_core import CoreSchema, core_schema

SETTINGS = ConfigDict(extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

Precision = Literal["auto", "fp32", "bf16"]
Colors = Literal["style", "luminance", "moments", "histogram"]


def _names(files: Any) -> Any:
    """Return one file or several as a tuple."""
    return tuple(files) if isinstance(files, list | tuple) else (files,)


def names_of(names: str | Iterable[str]) -> tuple[str, ...]:
    """Return one name or several as a tuple; a single name is not a sequence of letters.

    >>> names_of("ssim"), names_of(["ssim", "content"])
    (('ssim',), ('ssim', 'content'))
    """
    return (names,) if isinstance(names, str) else tuple(names)


def _path(file: Any) -> Any:
    """Return the path of an object that represents one as a string."""
    return os.fsdecode(file) if isinstance(file, os.PathLike) else file


def _device(device: Any) -> Any:
    """Return the name of a `torch.device`; torch itself is not imported here because that is slow."""
    return str(device) if hasattr(device, "type") else device


File = Annotated[str, WithJsonSchema({"type": "string", "format": "path"}), BeforeValidator(_path)]
"""A path."""
Files = Annotated[tuple[File, ...], BeforeValidator(_names)]
"""One path or several."""
Device = Annotated[str, BeforeValidator(_device)]
"""Name of a device, or a `torch.device`."""


MAIN = Field(json_schema_extra={"tier": "main"})
"""Mark of the tier `main`, which `impasto stylize --help` and the studio show first; others are `advanced`."""


class OneOf:
    """Restrict a string to names that are known only at run time, such as those of a registry with plug-ins.

    Write `Annotated[str, OneOf(names)]`: other values are refused with the list of names, and the JSON schema of the
    setting lists them as `enum`, which flags and web controls read.

    Args:
        names: returns the names.
    """

    def __init__(self, names: Callable[[], Sequence[str]]) -> None:
        self._names = names

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "enum": list(self._names())}

    def _check(self, name: str) -> str:
        if name not in self._names():
            raise ValueError(f"choose from {', '.join(self._names())}")
        return name


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class CommonSettings:
    """Settings of every method."""

    size: Annotated[int, Ge(0), Le(65536), MAIN] = 512
    """Longer side of the output and of every style image in pixels; 0 keeps that of the content image."""
    strength: Annotated[Annotated[float, Ge(0), Le(100)] | None, MAIN] = None
    """Degree of stylization from 0 to 100; 50 balances style and content for every method and backbone."""
    style_scale: Annotated[float, Ge(1 / 16), Le(16), MAIN] = 1.0
    """Size of the style image relative to the output: 2 doubles the size of its strokes, 0.5 halves it."""
    style_mix: Annotated[tuple[Annotated[float, Ge(0)], ...], MAIN] = ()
    """Weight of each style image, one per style. Default: equal weights."""
    color: Annotated[Colors, MAIN] = "style"
    """Source of the colors: the style, or the content matched by luminance, moments or histogram."""
    preset: Literal["impasto", "paper"] = "impasto"
    """Defaults of settings that are not given: those of impasto, or those of the paper of the method."""
    seed: Annotated[int, Ge(0), Le(2**63 - 1), MAIN] = 0
    """Seed of the random numbers: the same seed on the same machine gives the same image."""
    device: Annotated[Device, MAIN] = "auto"
    """Device: auto, cpu, cuda, cuda:1, mps or xpu."""
    precision: Precision = "auto"
    """Precision of the convolutions; auto selects bf16 where the processor supports it, else fp32."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class RegionSettings:
    """Regions and masks."""

    mask: Annotated[Files, MAIN] = ()
    """Regions of the content: one label map with a color per region, or one gray mask per style."""
    style_mask: Annotated[Files, MAIN] = ()
    """One label map per style image: a region takes its style from the positions with the same color."""
    outside: Literal["style", "keep"] = "style"
    """Black areas of a label map: style makes them a region like the others, keep leaves the content unchanged."""
    feather: Annotated[float, Ge(0), Le(0.5)] = 0.02
    """Width of the transition between the regions of a label map, as a fraction of the longer side."""
    region_strength: tuple[Annotated[float, Ge(0), Le(1000)], ...] = ()
    """Factor on the style weight of each region, from dark to light or by mask. Default: 1."""
    region_style_scale: tuple[Annotated[float, Ge(1 / 16), Le(16)], ...] = ()
    """Factor on the style scale of each region, from dark to light or by mask. Default: 1."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class MethodConfig(RegionSettings, CommonSettings):
    """Settings of every method."""


def check_settings(config: type[Any], method: str, settings: dict[str, Any]) -> Any:
    """Return the checked configuration of a method.

    Args:
        config: configuration class.
        method: name of the method, for error messages.
        settings: values by name; missing ones have their defaults.

    Raises:
        ValueError: in one line, with the name of the setting, its value and the valid choices.
    """
    try:
        return TypeAdapter(config).validate_python(settings)
    except ValidationError as error:
        raise ValueError(_explain(error, config, method)) from None


def settings_of(config: Any) -> dict[str, Any]:
    """Return a configuration as JSON values; `check_settings` reads them back."""
    plain: dict[str, Any] = TypeAdapter(type(config)).dump_python(config, mode="json")
    return plain


def setting_schemas(config: type[Any]) -> dict[str, dict[str, Any]]:
    """Return the JSON schema of every setting of a configuration class, in the order of the fields.

    Beside type, default, limits and choices, a schema has

    - `description`: the help text, which is the docstring under the field;
    - `tier`: `main` or `advanced`;
    - `group`: the first line of the docstring of the class that introduces the setting.

    pydantic drops what a field inherits, so that help, tier and group are collected from all base classes.
    """
    facts: dict[str, dict[str, Any]] = {}
    bases: list[Any] = list(config.__mro__[:-1])
    for base in reversed(bases):
        for name in inspect.get_annotations(base):
            field = base.__pydantic_fields__.get(name)
            if field is None:
                continue
            group = (base.__doc__ or base.__name__).split("\n")[0].rstrip(".")
            known = facts.setdefault(name, {"description": "", "tier": "advanced", "group": group})
            known["description"] = field.description or known["description"]
            if (field.json_schema_extra or {}).get("tier") == "main":
                known["tier"] = "main"
    schemas = TypeAdapter(config).json_schema()["properties"]
    return {name: {**schema, **facts[name]} for name, schema in schemas.items()}


def names_files(schema: dict[str, Any]) -> bool:
    """Return whether a setting with this JSON schema is one path or several."""
    kinds = (schema, schema.get("items", {}), *schema.get("anyOf", ()))
    return any(each.get("format") == "path" for each in kinds)


def _explain(error: ValidationError, config: type[Any], method: str) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "unexpected_keyword_argument":
        known = ", ".join(config.__dataclass_fields__)
        return f"method {method!r} has no setting {name!r}; it has: {known}"
    message = first["msg"].removeprefix("Value error, ")
    value = " ".join(repr(first["input"]).split())[:200]  # that of a tensor has many lines
    return f"{name}: {message[0].lower()}{message[1:]}, not {value}"
