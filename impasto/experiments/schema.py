"""Define the fields of an experiment file and validate a document against them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Le, MinLen
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from impasto.experiments.run import Task
from impasto.experiments.yaml_source import Document, KeyPath

Seeds = Annotated[list[Annotated[int, Ge(0), Le(2**63 - 1)]], MinLen(1)]
Settings = dict[str, Any]
DEFAULT_METRICS = ("content", "ssim", "style_share", "frechet")
"""Metrics of an experiment that names none: two of structure and two of style, all fast; `content` and `style_share`
also at the sizes of `impasto.metrics.reference.SIZES` that are below the largest output."""


def _check_name(name: str) -> str:
    if not re.fullmatch(r"[\w-]+", name):
        raise ValueError("give a name of letters, digits, _ and -, without spaces")
    return name


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Variant(_Fields):
    """A row of the result tables: a method with settings."""

    method: str
    settings: Settings = {}
    name: str | None = None
    seeds: Seeds | None = None
    """Seeds of this variant; default: the seeds of the experiment."""


class Include(Variant):
    """An additional run: one variant on one pair of images."""

    content: str
    style: str


class Product(_Fields):
    """Variants for every combination of methods and setting values."""

    methods: Annotated[list[str], MinLen(1)]
    settings: dict[str, Annotated[list[Any], MinLen(1)]] = {}


class Exclude(_Fields):
    """A pattern of runs to leave out: a run is excluded if it matches every field that is given."""

    variant: str | None = None
    method: str | None = None
    content: str | None = None
    style: str | None = None
    seed: int | None = None
    settings: Settings = {}

    def matches(self, task: Task, folder: Path) -> bool:
        """Return whether a task matches the pattern.

        Args:
            task: the task to test.
            folder: folder that relative paths of images in the pattern are relative to.
        """
        values = {"variant": task.variant, "method": task.method, "seed": task.settings["seed"]}
        images = {"content": task.content, "style": task.style}
        return (
            all(getattr(self, name) in (None, value) for name, value in values.items())
            and all(
                getattr(self, role) in (None, image) or str((folder / str(getattr(self, role))).absolute()) == image
                for role, image in images.items()
            )
            and all(name in task.settings and task.settings[name] == value for name, value in self.settings.items())
        )


class GridFields(_Fields):
    """Fields that an experiment and its quick version share."""

    variants: list[Variant] = []
    product: Product | None = None
    contents: list[str] = []
    styles: list[str] = []
    pairs: list[tuple[str, str]] = []
    seeds: Seeds = [0]
    settings: Settings = {}
    include: list[Include] = []
    exclude: list[Exclude] = []
    evaluation_network: str = "lite"
    """Backbone whose features the metrics compare."""
    metrics: Annotated[list[str], MinLen(1)] | None = None
    """Names of the metrics, with a size or without; default: `DEFAULT_METRICS`."""


class ExperimentFields(GridFields):
    """All fields of an experiment file."""

    name: Annotated[str, AfterValidator(_check_name)]
    """Heading of the report and name in MLflow: letters, digits, `_` and `-`."""
    summary: str = ""
    findings: list[str] = []
    """Names of analyses over all runs."""
    quick: GridFields = GridFields()
    """Fields that replace others in the quick version."""


@dataclass(frozen=True)
class Specification:
    """The validated fields of an experiment, in its full or its quick version."""

    fields: ExperimentFields
    paths: dict[str, KeyPath]
    """Location of each field: below `quick` where the quick version replaces the field."""
    overrides: Settings
    """Settings of the quick version, which take precedence over all others."""
    document: Document
    quick: bool

    def error(self, path: KeyPath, message: str) -> ValueError:
        """Return a one-line error with the location in the file."""
        return self.document.error(path, message)


REPLACES = {
    "variants": ["product"],
    "product": ["variants"],
    "pairs": ["contents", "styles"],
    "contents": ["pairs"],
    "styles": ["pairs"],
}
"""Fields of the full version that are dropped when the quick version gives the field named by the key."""


def validate(document: Document, *, quick: bool) -> Specification:
    """Validate the fields of an experiment.

    Args:
        document: the content of an experiment file.
        quick: whether to apply the quick version.

    Raises:
        ValueError: if a field is missing, unknown or invalid.
    """
    data = document.data
    if not isinstance(data, dict):
        names = ", ".join(_names(ExperimentFields))
        raise document.error((), f"an experiment is a mapping of fields, not {type(data).__name__}; fields: {names}")
    try:
        fields = ExperimentFields.model_validate(data)
    except ValidationError as error:
        raise _first_error(error, document) from None
    paths: dict[str, KeyPath] = {name: (name,) for name in _names(ExperimentFields)}
    overrides: Settings = {}
    if quick:
        overrides = fields.quick.settings
        given = fields.quick.model_fields_set - {"settings"}
        replaced = given.union(*(REPLACES.get(name, []) for name in given))
        fields = fields.model_copy(update={name: getattr(fields.quick, name) for name in replaced})
        paths |= {name: ("quick", name) for name in given}
    if fields.pairs and (fields.contents or fields.styles):
        raise document.error(paths["pairs"], "give either pairs, or contents and styles")
    return Specification(fields, paths, overrides, document, quick)


def _first_error(error: ValidationError, document: Document) -> ValueError:
    first = error.errors()[0]
    path: KeyPath = first["loc"]
    if first["type"] in ("extra_forbidden", "missing"):
        names = ", ".join(_names(_model_at(path[:-1])))
        if first["type"] == "missing":
            return document.error(path, f"missing field; the fields here are {names}")
        return document.error(path, f"unknown field; choose from {names}")
    message = first["msg"].removeprefix("Value error, ")
    value = repr(first["input"])[:200]  # aliases make a value of a short file long
    return document.error(path, f"{message[0].lower()}{message[1:]}, not {value}")


def _names(model: type[BaseModel]) -> list[str]:
    return list(model.model_fields)


def _model_at(path: KeyPath) -> type[BaseModel]:
    """Return the model of the mapping at a path."""
    models: dict[str | int, type[BaseModel]] = {
        "variants": Variant,
        "include": Include,
        "exclude": Exclude,
        "product": Product,
        "quick": GridFields,
    }
    return next((models[part] for part in reversed(path) if part in models), ExperimentFields)
