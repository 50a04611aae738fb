"""Compute the tables of a report: medians with intervals of each variant, and settings that differ between variants."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import Any

from impasto.config import setting_schemas
from impasto.experiments.report.arrangement import Arrangement, by_pair
from impasto.experiments.run import Run
from impasto.experiments.statistics import Estimate, bootstrap_median
from impasto.methods import METHODS
from impasto.metrics import METRICS
from impasto.metrics.base import split_size

SANITY = {"identity": "the content image itself", "style_copy": "the style image itself"}
UNSET = "not set"


@dataclass(frozen=True)
class Quantity:
    """A column of the table."""

    name: str
    group: str
    """Group of columns: "cost", "loss", "structure", "style" or "other"."""
    unit: str
    help: str
    better: int | None
    """-1 if lower is better, 1 if higher is better, None if neither."""
    of: Callable[[Run], float | None]
    """Returns the value of a run."""


@dataclass(frozen=True)
class TableRow:
    """A row of the table: a variant or a sanity check."""

    name: str
    done: int
    """Number of runs that are done."""
    tasks: int
    """Number of all runs."""
    figures: dict[str, Estimate | None]
    """Median and interval by column; None if no run has a value."""
    is_sanity: bool = False


def quantities(runs: Sequence[Run]) -> list[Quantity]:
    """Return the columns for which at least one run has a value."""
    found = [
        Quantity("seconds", "cost", "s", "wall time of the stylization", -1, lambda run: run.seconds),
        Quantity("steps", "cost", "", "iterations of the optimizer", None, lambda run: run.steps),
        Quantity("evaluations", "cost", "", "evaluations of loss and gradient", None, lambda run: run.evaluations),
        Quantity("memory", "cost", "MiB", "peak memory of the process", -1, lambda run: run.peak_memory_mib),
        *(_loss(kind) for kind in ("total", "content", "style")),
        *(_metric(name) for name in metric_names(runs)),
    ]
    done = [run for run in runs if run.status == "done"]
    return [each for each in found if any(each.of(run) is not None for run in done)]


def metric_names(runs: Iterable[Run]) -> list[str]:
    """Return the metrics of all runs: structure first, then style, then metrics unknown to this installation.

    A metric at the size of the output comes before the same metric at other sizes, from large to small.
    """
    return sorted({name for run in runs for name in run.metrics}, key=_position)


def table_rows(arrangement: Arrangement, columns: Sequence[Quantity]) -> list[TableRow]:
    """Return one row for each variant, then one for each sanity check."""
    variants = [_variant_row(variant, runs, columns) for variant, runs in arrangement.by_variant.items()]
    checks = {name for run in arrangement.runs for name in run.sanity}
    known = [name for name in SANITY if name in checks]
    return variants + [_sanity_row(name, arrangement.runs, columns) for name in known]


def best_in(rows: Sequence[TableRow], column: Quantity) -> set[str]:
    """Return the names of the variants with the best median of a column; empty if all medians are equal."""
    medians = {row.name: e.median for row in rows if not row.is_sanity and (e := row.figures[column.name]) is not None}
    if column.better is None or len(set(medians.values())) < 2:
        return set()
    best = (max if column.better > 0 else min)(medians.values())
    return {name for name, median in medians.items() if median == best}


def settings_table(arrangement: Arrangement) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Compare the settings of the variants.

    Returns:
        The settings that differ, each with a text for every variant; and the settings that are the same for all.
    """
    columns = [_settings(runs) for runs in arrangement.by_variant.values()]
    names = dict.fromkeys(name for column in columns for name in column)
    differing: dict[str, list[str]] = {}
    common: dict[str, str] = {}
    for name in names:
        texts = [column.get(name) or _default(column, name) for column in columns]
        if len(set(texts)) > 1:
            differing[name] = texts
        else:
            common[name] = texts[0]
    return differing, common


def _loss(kind: str) -> Quantity:
    part = "" if kind == "total" else f"{kind} part of the "
    text = f"{part}weighted loss of the saved image; weights differ between methods"
    return Quantity(f"{kind} loss", "loss", "", text, None, lambda run: run.losses.get(kind))


def _metric(name: str) -> Quantity:
    better, text = None, ""
    if name in METRICS:
        better, size = -1 if METRICS[name].lower_is_better else 1, split_size(name)[1]
        text = METRICS[name].summary + (f", with all images reduced to {size} pixels" if size else "")
    return Quantity(name, _measures(name), "", text, better, lambda run: run.metrics.get(name))


def _position(name: str) -> tuple[int, str, float]:
    """Return the sort key of a metric."""
    metric, size = split_size(name) if name in METRICS else (name, None)
    return ("structure", "style", "other").index(_measures(name)), metric, -(size or math.inf)


def _measures(name: str) -> str:
    return METRICS[name].measures if name in METRICS else "other"


def _variant_row(variant: str, runs: Sequence[Run], columns: Sequence[Quantity]) -> TableRow:
    groups = by_pair([run for run in runs if run.status == "done"])
    figures = {
        column.name: bootstrap_median([[v for run in group if (v := column.of(run)) is not None] for group in groups])
        for column in columns
    }
    return TableRow(variant, sum(map(len, groups)), len(runs), figures)


def _sanity_row(check: str, runs: Sequence[Run], columns: Sequence[Quantity]) -> TableRow:
    """Use one number for each pair: every variant of the pair was compared with the same two images."""
    figures: dict[str, Estimate | None] = {}
    groups = by_pair([run for run in runs if check in run.sanity])
    for column in columns:
        own = [[v for run in group if (v := run.sanity[check].get(column.name)) is not None] for group in groups]
        figures[column.name] = bootstrap_median([[median(values)] for values in own if values])
    return TableRow(check, len(groups), len(groups), figures, is_sanity=True)


def _settings(runs: Sequence[Run]) -> dict[str, str]:
    """Return the settings of a variant as text, with several values for a setting that differs between its runs."""
    found: dict[str, dict[str, None]] = {"method": dict.fromkeys(run.task.method for run in runs)}
    for run in runs:
        for name, value in run.task.settings.items():
            found.setdefault(name, {})[_text(value)] = None
    return {name: ", ".join(values) for name, values in found.items()}


def _default(column: dict[str, str], name: str) -> str:
    """Return the default of a setting that a variant does not give."""
    method = column["method"]
    if method not in METHODS:
        return UNSET
    schemas = _schemas(method)
    if name not in schemas:
        return "no such setting"
    paper = METHODS[method].paper if column.get("preset") == "paper" else {}
    return f"{_text(paper.get(name, schemas[name].get('default')))} (default)"


@cache
def _schemas(method: str) -> dict[str, dict[str, Any]]:
    return setting_schemas(METHODS[method].Config)


def _text(value: Any) -> str:
    if value is None or value in ([], (), ""):
        return UNSET
    if isinstance(value, list | tuple):
        return " ".join(map(_text, value))
    return value if isinstance(value, str) else json.dumps(value)
