"""What an experiment asks for: a YAML file of methods, settings, pictures and seeds -> tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from impasto.backbones import BACKBONES
from impasto.experiments.findings import FINDINGS
from impasto.experiments.run import Task
from impasto.experiments.schema import Asked, Include, form_of
from impasto.experiments.variants import check_settings_of_all, row_of, rows_of, tasks_of
from impasto.experiments.yaml_source import Document, Place, read_document
from impasto.metrics import METRICS
from impasto.samples import BLURRED, CONTENTS, STYLES, resolve


@dataclass(frozen=True)
class Experiment:
    """A list of tasks, and how they are judged."""

    name: str
    summary: str
    tasks: tuple[Task, ...]
    judge: str
    """The network whose features grade the paintings."""
    metrics: tuple[str, ...]
    findings: tuple[str, ...] = ()
    """What is asked of all runs together."""


def read_experiment(path: Path, *, quick: bool = False) -> Experiment:
    """The experiment that a YAML file describes; `quick` in its quick form, if it has one.

    Raises:
        ValueError: in one line, with the file's name, the line, the field, and what would be right.
    """
    return experiment_of(read_document(path), quick=quick)


def experiment_of(document: Document, *, quick: bool = False) -> Experiment:
    """The same for what was read already; a picture in it is a sample's name, or a path relative to its folder."""
    asked = form_of(document, quick=quick)
    form = asked.form
    _check_judge(asked)
    check_settings_of_all(asked)
    rows = list(rows_of(asked))
    pairs = list(_pairs(asked))
    tasks = [task for pair in pairs for row in rows for task in tasks_of(row, pair, asked)]
    tasks += [task for i, include in enumerate(form.include) for task in _included(include, i, asked)]
    tasks = list(_kept(tasks, asked))
    if not tasks:
        raise asked.wrong((), "no run is left; give variants or a product, and pairs or contents and styles")
    _check_names(tasks, asked)
    return Experiment(form.name, form.summary, tuple(tasks), form.judge, tuple(form.metrics), tuple(form.findings))


def _check_judge(asked: Asked) -> None:
    if asked.form.judge not in BACKBONES:
        choices = ", ".join(BACKBONES)
        raise asked.wrong(asked.places["judge"], f"unknown backbone {asked.form.judge!r}; choose from {choices}")
    for i, name in enumerate(asked.form.metrics):
        if name not in METRICS:
            choices = ", ".join(METRICS)
            raise asked.wrong((*asked.places["metrics"], i), f"unknown metric {name!r}; choose from {choices}")
    for i, name in enumerate(asked.form.findings):
        if name not in FINDINGS:
            choices = ", ".join(FINDINGS)
            raise asked.wrong((*asked.places["findings"], i), f"unknown finding {name!r}; choose from {choices}")


def _pairs(asked: Asked) -> Iterator[tuple[str, str]]:
    form, places = asked.form, asked.places
    for i, (content, style) in enumerate(form.pairs):
        place = (*places["pairs"], i)
        yield _picture(content, (*place, 0), asked), _picture(style, (*place, 1), asked)
    contents = [_picture(each, (*places["contents"], i), asked) for i, each in enumerate(form.contents)]
    styles = [_picture(each, (*places["styles"], i), asked) for i, each in enumerate(form.styles)]
    yield from product(contents, styles)


def _picture(name: str, place: Place, asked: Asked) -> str:
    """A sample's name, or the absolute path of a file."""
    file = asked.document.folder / name
    if file.is_file():
        return str(file.absolute())
    blurred = BLURRED.fullmatch(name)
    if (blurred[1] if blurred else name) not in (*CONTENTS, *STYLES):
        samples = f"photographs {', '.join(CONTENTS)}; styles {', '.join(STYLES)}"
        raise asked.wrong(place, f"no file {str(file)!r} and no sample {name!r}; samples: {samples}")
    try:
        resolve(name)
    except ValueError as error:
        raise asked.wrong(place, str(error)) from None
    return name


def _included(include: Include, i: int, asked: Asked) -> list[Task]:
    place = (*asked.places["include"], i)
    row = row_of(include, place, (*place, "method"), asked)
    content = _picture(include.content, (*place, "content"), asked)
    return tasks_of(row, (content, _picture(include.style, (*place, "style"), asked)), asked)


def _kept(tasks: list[Task], asked: Asked) -> Iterator[Task]:
    """The tasks that no exclusion matches; an exclusion that matches none is a mistake."""
    used = [False] * len(asked.form.exclude)
    for task in tasks:
        fits = [pattern.fits(task, asked.document.folder) for pattern in asked.form.exclude]
        used = [was or now for was, now in zip(used, fits, strict=True)]
        if not any(fits):
            yield task
    of_another_form = asked.quick and asked.places["exclude"] == ("exclude",)
    if False in used and not of_another_form:
        raise asked.wrong((*asked.places["exclude"], used.index(False)), "this excludes nothing: no run is like it")


def _check_names(tasks: Sequence[Task], asked: Asked) -> None:
    """Two paintings of one pair and seed may not have one name: the tables would mix them."""
    seen: dict[tuple[object, ...], str] = {}
    for task in tasks:
        cell = (task.variant, task.content, task.style, task.settings["seed"])
        if seen.setdefault(cell, task.key) != task.key:
            raise asked.wrong((), f"two variants are called {task.variant!r}; give each a name of its own")
