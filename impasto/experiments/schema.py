"""The fields of an experiment's file, and which of them its quick form replaces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Le, MinLen
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from impasto.experiments.run import Task
from impasto.experiments.yaml_source import Document, Place

Seeds = Annotated[list[Annotated[int, Ge(0), Le(2**63 - 1)]], MinLen(1)]
Settings = dict[str, Any]
LIGHT = ("content", "ssim", "style_share", "frechet")
"""Metrics that are computed unless the file names others: two of structure and two of style, all quick."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Variant(_Part):
    """A row of the tables: a method and the settings that set it apart."""

    method: str
    settings: Settings = {}
    name: str | None = None
    seeds: Seeds | None = None
    """In place of the file's."""


class Include(Variant):
    """One more run: a variant of one pair."""

    content: str
    style: str


class Product(_Part):
    """Every method with every combination of the settings' values."""

    methods: Annotated[list[str], MinLen(1)]
    settings: dict[str, Annotated[list[Any], MinLen(1)]] = {}


class Exclude(_Part):
    """Runs that are left out: those that are like all that is given here."""

    variant: str | None = None
    method: str | None = None
    content: str | None = None
    style: str | None = None
    seed: int | None = None
    settings: Settings = {}

    def fits(self, task: Task, folder: Path) -> bool:
        """Whether a task is left out."""
        asked = {"variant": task.variant, "method": task.method, "seed": task.settings["seed"]}
        pictures = {"content": task.content, "style": task.style}
        return (
            all(getattr(self, name) in (None, value) for name, value in asked.items())
            and all(
                getattr(self, role) in (None, picture) or str((folder / str(getattr(self, role))).absolute()) == picture
                for role, picture in pictures.items()
            )
            and all(name in task.settings and task.settings[name] == value for name, value in self.settings.items())
        )


class _Grid(_Part):
    """What the file and its quick form have in common."""

    variants: list[Variant] = []
    product: Product | None = None
    contents: list[str] = []
    styles: list[str] = []
    pairs: list[tuple[str, str]] = []
    seeds: Seeds = [0]
    settings: Settings = {}
    include: list[Include] = []
    exclude: list[Exclude] = []
    judge: str = "lite"
    metrics: Annotated[list[str], MinLen(1)] = list(LIGHT)


class Form(_Grid):
    """An experiment's file."""

    name: Annotated[str, Field(pattern=r"^[\w-]+$")]
    summary: str = ""
    findings: list[str] = []
    """Questions that are asked of all runs together."""
    quick: _Grid = _Grid()


@dataclass(frozen=True)
class Asked:
    """The checked fields of a document, in the form that was asked for."""

    form: Form
    places: dict[str, Place]
    """Where each field stands: in the quick form, if that is asked for and has it."""
    forced: Settings
    """Settings of the quick form: they win over all others."""
    document: Document
    quick: bool

    def wrong(self, place: Place, message: str) -> ValueError:
        """An error in one line, with the place in the file."""
        return self.document.wrong(place, message)


INSTEAD = {
    "variants": ["product"],
    "product": ["variants"],
    "pairs": ["contents", "styles"],
    "contents": ["pairs"],
    "styles": ["pairs"],
}
"""Fields of the file that do not count where the quick form gives another of their kind."""


def form_of(document: Document, *, quick: bool) -> Asked:
    """The checked fields of a file, and where each of them stands.

    Raises:
        ValueError: in one line, for a field that is missing, unknown or of the wrong kind.
    """
    data = document.data
    if not isinstance(data, dict):
        raise document.wrong((), f"an experiment is a list of fields, such as {', '.join(_fields(Form))}")
    try:
        form = Form.model_validate(data)
    except ValidationError as error:
        raise _explained(error, document) from None
    places: dict[str, Place] = {name: (name,) for name in _fields(Form)}
    forced: Settings = {}
    if quick:
        forced = form.quick.settings
        given = form.quick.model_fields_set - {"settings"}
        replaced = given.union(*(INSTEAD.get(name, []) for name in given))
        form = form.model_copy(update={name: getattr(form.quick, name) for name in replaced})
        places |= {name: ("quick", name) for name in given}
    if form.pairs and (form.contents or form.styles):
        raise document.wrong(places["pairs"], "give either pairs, or contents and styles")
    return Asked(form, places, forced, document, quick)


def _explained(error: ValidationError, document: Document) -> ValueError:
    first = error.errors()[0]
    place: Place = first["loc"]
    if first["type"] == "extra_forbidden":
        return _unknown(place, _model_at(place[:-1]), document)
    if first["type"] == "missing":
        fields = ", ".join(_fields(_model_at(place[:-1])))
        return document.wrong(place, f"this field is missing; the fields here are: {fields}")
    message = first["msg"]
    return document.wrong(place, f"{message[0].lower()}{message[1:]}, not {first['input']!r}")


def _unknown(place: Place, model: type[BaseModel], document: Document) -> ValueError:
    return document.wrong(place, f"there is no such field; choose from {', '.join(_fields(model))}")


def _fields(model: type[BaseModel]) -> list[str]:
    return list(model.model_fields)


def _model_at(place: Place) -> type[BaseModel]:
    """Whose fields stand at a place."""
    named: dict[str | int, type[BaseModel]] = {
        "variants": Variant,
        "include": Include,
        "exclude": Exclude,
        "product": Product,
        "quick": _Grid,
    }
    return next((named[part] for part in reversed(place) if part in named), Form)
