"""Expand an experiment file into the list of its tasks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from impasto.backbones import BACKBONES
from impasto.experiments.findings import FINDINGS
from impasto.experiments.run import Task
from impasto.experiments.schema import DEFAULT_METRICS, Include, Specification, validate
from impasto.experiments.variants import (
    PlannedTask,
    check_common_settings,
    resolve_variant,
    resolve_variants,
    tasks_of,
)
from impasto.experiments.yaml_source import Document, KeyPath, read_document
from impasto.images import MAX_PIXELS
from impasto.images.folders import SUFFIXES, pictures_in
from impasto.methods import METHODS
from impasto.methods.base import configure
from impasto.metrics import METRICS
from impasto.metrics.base import split_size
from impasto.metrics.reference import with_sizes
from impasto.samples import BLURRED, CONTENTS, STYLES, resolve


@dataclass(frozen=True)
class Experiment:
    """The tasks of an experiment and how their outputs are evaluated."""

    name: str
    summary: str
    tasks: tuple[Task, ...]
    evaluation_network: str
    """Backbone whose features the metrics compare."""
    metrics: tuple[str, ...]
    """Names of the metrics; an output that is smaller than the size of a metric has no value of it."""
    findings: tuple[str, ...] = ()
    """Names of analyses over all runs."""


def read_experiment(path: Path, *, quick: bool = False) -> Experiment:
    """Read an experiment from a YAML file.

    Args:
        path: the YAML file.
        quick: whether to apply the quick version of the file.

    Raises:
        ValueError: if anything in the file is invalid; the message is one line with the file name, the line, the field
            and the valid choices.
    """
    return experiment_of(read_document(path), quick=quick)


def experiment_of(document: Document, *, quick: bool = False) -> Experiment:
    """Check a document and expand it into tasks, pair by pair, variant by variant and seed by seed.

    Args:
        document: the content of an experiment file. Images are names of samples, or paths relative to its folder.
        quick: whether to apply the quick version.

    Raises:
        ValueError: if anything in the document is invalid.
    """
    spec = validate(document, quick=quick)
    fields = spec.fields
    _check_names(spec)
    check_common_settings(spec)
    variants = list(resolve_variants(spec))
    pairs = list(_pairs(spec))
    planned = [task for pair in pairs for variant in variants for task in tasks_of(variant, pair, spec)]
    planned += [task for i, include in enumerate(fields.include) for task in _included(include, i, spec)]
    tasks = _merged(_without_excluded(planned, spec))
    if not tasks:
        raise spec.error((), "the experiment has no runs; give variants or a product, and pairs or contents and styles")
    _check_unique(tasks, spec)
    return Experiment(
        fields.name,
        fields.summary,
        tuple(tasks),
        fields.evaluation_network,
        _metrics(spec, tasks),
        tuple(fields.findings),
    )


def _check_names(spec: Specification) -> None:
    """Check the names of the evaluation network, the metrics and the findings."""
    fields = spec.fields
    if fields.evaluation_network not in BACKBONES:
        text = f"unknown backbone {fields.evaluation_network!r}; choose from {', '.join(BACKBONES)}"
        raise spec.error(spec.paths["evaluation_network"], text)
    for i, name in enumerate(fields.metrics or ()):
        try:
            METRICS[name]
        except ValueError as error:
            raise spec.error((*spec.paths["metrics"], i), str(error)) from None
    for i, name in enumerate(fields.findings):
        if name not in FINDINGS:
            choices = ", ".join(FINDINGS)
            raise spec.error((*spec.paths["findings"], i), f"unknown finding {name!r}; choose from {choices}")


def _metrics(spec: Specification, tasks: Sequence[Task]) -> tuple[str, ...]:
    """Return the metrics of the experiment; one at a size above that of every output is an error."""
    largest = max(_longer_side(task) for task in tasks)
    if spec.fields.metrics is None:
        return with_sizes(DEFAULT_METRICS, largest)
    written_for_full_version = spec.quick and spec.paths["metrics"] == ("metrics",)
    for i, name in enumerate(spec.fields.metrics):
        if (split_size(name)[1] or 0) > largest and not written_for_full_version:
            text = f"metric {name!r}: the longest output has only {largest} pixels; give a smaller size"
            raise spec.error((*spec.paths["metrics"], i), text)
    return tuple(spec.fields.metrics)


def _longer_side(task: Task) -> int:
    """Return the longer side of the output in pixels, or a bound of it where it is that of the content image."""
    return METHODS[task.method].final_size(configure(task.method, task.settings)) or MAX_PIXELS


def _pairs(spec: Specification) -> Iterator[tuple[str, str]]:
    fields, paths = spec.fields, spec.paths
    for i, (content, style) in enumerate(fields.pairs):
        path = (*paths["pairs"], i)
        yield _image(content, (*path, 0), spec), _image(style, (*path, 1), spec)
    contents = _images(fields.contents, paths["contents"], spec)
    styles = _images(fields.styles, paths["styles"], spec)
    yield from product(contents, styles)


def _images(names: Sequence[str], path: KeyPath, spec: Specification) -> list[str]:
    """Return the images of a list as `_image` does; a folder stands for all images in it. None occurs twice."""
    found: list[str] = []
    for i, name in enumerate(names):
        folder = spec.document.folder / name
        if not _is_sample(name) and folder.is_dir():
            try:
                found += [str(each.absolute()) for each in pictures_in(folder)]
            except ValueError as error:
                raise spec.error((*path, i), str(error)) from None
        else:
            found.append(_image(name, (*path, i), spec))
    return list(dict.fromkeys(found))


def _image(name: str, path: KeyPath, spec: Specification) -> str:
    """Return the name of a sample, or the absolute path of a file; a file takes precedence."""
    file = spec.document.folder / name
    if file.is_file():
        return str(file.absolute())
    if not _is_sample(name):
        if file.is_dir():
            images = sorted(each.name for each in file.glob("*") if each.suffix.lower() in SUFFIXES)
            example = str(Path(name) / (images or ["photo.jpg"])[0])
            raise spec.error(path, f"{str(file)!r} is a folder; give the path of an image, such as {example!r}")
        samples = f"contents {', '.join(CONTENTS)}; styles {', '.join(STYLES)}"
        raise spec.error(path, f"no file {str(file)!r} and no sample {name!r}; samples: {samples}")
    try:
        resolve(name)
    except ValueError as error:
        raise spec.error(path, str(error)) from None
    return name


def _is_sample(name: str) -> bool:
    """Return whether a name is that of a sample, blurred or not."""
    blurred = BLURRED.fullmatch(name)
    return (blurred[1] if blurred else name) in (*CONTENTS, *STYLES)


def _included(include: Include, i: int, spec: Specification) -> list[PlannedTask]:
    path = (*spec.paths["include"], i)
    variant = resolve_variant(include, path, (*path, "method"), spec)
    content = _image(include.content, (*path, "content"), spec)
    return tasks_of(variant, (content, _image(include.style, (*path, "style"), spec)), spec)


def _without_excluded(tasks: Sequence[PlannedTask], spec: Specification) -> Iterator[PlannedTask]:
    """Yield the tasks that match no exclusion; an exclusion without a match is an error."""
    used = [False] * len(spec.fields.exclude)
    for task in tasks:
        matches = [pattern.matches(task.written, spec.document.folder) for pattern in spec.fields.exclude]
        used = [before or now for before, now in zip(used, matches, strict=True)]
        if not any(matches):
            yield task
    written_for_full_version = spec.quick and spec.paths["exclude"] == ("exclude",)
    if False in used and not written_for_full_version:
        path = (*spec.paths["exclude"], used.index(False))
        raise spec.error(path, "this pattern excludes nothing: it matches no run; correct or remove it")


def _merged(planned: Iterable[PlannedTask]) -> list[Task]:
    """Return the tasks, where variants that the settings of the quick version made equal have the name of the first.

    Tasks with the same name that are then equal occur once. Equal variants with several names in the file keep them.
    """
    first: dict[str, PlannedTask] = {}
    tasks: dict[tuple[str, str], Task] = {}
    for each in planned:
        known = first.setdefault(_method_and_settings(each.task), each)
        became_equal = _method_and_settings(known.written) != _method_and_settings(each.written)
        task = replace(each.task, variant=known.task.variant) if became_equal else each.task
        tasks.setdefault((task.variant, task.key), task)
    return list(tasks.values())


def _method_and_settings(task: Task) -> str:
    return repr((task.method, sorted((name, value) for name, value in task.settings.items() if name != "seed")))


def _check_unique(tasks: Sequence[Task], spec: Specification) -> None:
    """Check that different tasks of one pair and seed have different variant names, which the tables show."""
    keys: dict[tuple[object, ...], str] = {}
    for task in tasks:
        cell = (task.variant, task.content, task.style, task.settings["seed"])
        if keys.setdefault(cell, task.key) != task.key:
            raise spec.error((), f"two variants are called {task.variant!r}; give each a name")
