"""The one way a setting is declared.

A configuration is a frozen, flat, keyword-only pydantic dataclass. The docstring under a field is its help, the
`Annotated` bounds are its limits, a `Literal` lists its choices. The command line, the record in a picture, and the
tables of the documentation are read from it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le
from pydantic import BeforeValidator, ConfigDict, TypeAdapter, ValidationError, WithJsonSchema
from pydantic.dataclasses import dataclass

SETTINGS = ConfigDict(extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

Precision = Literal["auto", "fp32", "bf16"]
Colour = Literal["style", "luminance", "moments", "histogram"]


def _names(files: Any) -> Any:
    """One file or several, as text or as paths."""
    many = files if isinstance(files, list | tuple) else [files]
    return tuple(str(file) if isinstance(file, Path) else file for file in many)


Files = Annotated[
    tuple[Annotated[str, WithJsonSchema({"type": "string", "format": "path"})], ...], BeforeValidator(_names)
]


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class PaintingConfig:
    """What every method lets one choose."""

    size: Annotated[int, Ge(0), Le(65536)] = 512
    """Longer side of the picture, and of every style, in pixels; 0 keeps the content's own size."""
    style_mix: tuple[Annotated[float, Ge(0)], ...] = ()
    """Weight of each style picture; none means equal weights."""
    strength: Annotated[float, Ge(0), Le(100)] | None = None
    """How far to go from photograph to style, 0 to 100; 50 is balanced, whatever the method, network and size."""
    stroke: Annotated[float, Ge(1 / 16), Le(16)] = 1.0
    """Size of the style relative to the picture: 2 makes its strokes twice as large, 0.5 half as large."""
    colour: Colour = "style"
    """Whose colours: the style's, or the content's by luminance, by moments of the style, or by histogram."""
    mask: Files = ()
    """Divides the content: one file with a colour for every region, or a soft grey file for each; see docs/masks.md."""
    style_mask: Files = ()
    """For every style a file like mask: a region takes after the places of its own colour."""
    feather: Annotated[float, Ge(0), Le(0.5)] = 0.02
    """Width in which one region of a coloured mask passes into the next, as a share of the longer side."""
    region_strength: tuple[Annotated[float, Ge(0), Le(1000)], ...] = ()
    """Factor on the pull of the style in every region, from its darkest colour to its lightest, or file by file."""
    region_stroke: tuple[Annotated[float, Ge(1 / 16), Le(16)], ...] = ()
    """Size of the style in every region, on top of stroke, in the same order."""
    preset: Literal["impasto", "paper"] = "impasto"
    """Where settings that are not given come from: our choice, or the method's paper (but for the backbone)."""
    seed: Annotated[int, Ge(0), Le(2**63 - 1)] = 0
    """Seed of everything random: the same seed on the same machine gives the same picture."""
    device: str = "auto"
    """Where to compute: auto, cpu, cuda, cuda:1, mps."""
    precision: Precision = "auto"
    """Arithmetic of the convolutions; auto is bf16 where the processor has it, else fp32."""


def check_settings(config: type[Any], method: str, settings: dict[str, Any]) -> Any:
    """The checked configuration of a method.

    Raises:
        ValueError: in one line, naming the setting, its value and what would be right.
    """
    try:
        return TypeAdapter(config).validate_python(settings)
    except ValidationError as error:
        raise ValueError(_explain(error, config, method)) from None


def settings_of(config: Any) -> dict[str, Any]:
    """A configuration as plain JSON values; `check_settings` reads them back."""
    plain: dict[str, Any] = TypeAdapter(type(config)).dump_python(config, mode="json")
    return plain


def setting_schemas(config: type[Any]) -> dict[str, dict[str, Any]]:
    """The JSON schema of every setting: type, default, limits, choices, and its help as `description`.

    pydantic forgets the docstrings of inherited fields, so each is taken from the class that declares it.
    """
    help_of: dict[str, str] = {}
    bases: list[Any] = list(config.__mro__[:-1])
    for base in reversed(bases):
        help_of |= {name: field.description for name, field in base.__pydantic_fields__.items() if field.description}
    schemas = TypeAdapter(config).json_schema()["properties"]
    return {name: {**schema, "description": help_of.get(name, "")} for name, schema in schemas.items()}


def names_files(schema: dict[str, Any]) -> bool:
    """Whether a setting of this JSON schema is a path, or paths."""
    kinds = (schema, schema.get("items", {}), *schema.get("anyOf", ()))
    return any(each.get("format") == "path" for each in kinds)


def _explain(error: ValidationError, config: type[Any], method: str) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "unexpected_keyword_argument":
        known = ", ".join(config.__dataclass_fields__)
        return f"method {method!r} has no setting {name!r}; it has: {known}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{name}: {message[0].lower()}{message[1:]}, not {first['input']!r}"
