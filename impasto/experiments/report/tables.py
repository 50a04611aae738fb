"""The figures of every variant: medians over the pairs, with intervals; and in which settings the variants differ."""

from __future__ import annotations

import json
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

SANITY = {"identity": "the photograph itself", "style_copy": "the style itself"}
UNSET = "not set"


@dataclass(frozen=True)
class Quantity:
    """A column."""

    name: str
    group: str
    """What stands above it: "cost", "loss", "structure", "style" or "other"."""
    unit: str
    help: str
    better: int | None
    """-1 where lower is better, 1 where higher is, None where neither."""
    of: Callable[[Run], float | None]


@dataclass(frozen=True)
class Row:
    """A variant, or a sanity check."""

    name: str
    done: int
    asked: int
    figures: dict[str, Estimate | None]
    is_sanity: bool = False


def quantities(runs: Sequence[Run]) -> list[Quantity]:
    """The columns that some run has a number for."""
    found = [
        Quantity("seconds", "cost", "s", "wall time of a painting", -1, lambda run: run.seconds),
        Quantity("steps", "cost", "", "iterations of the optimizer", None, lambda run: run.steps),
        Quantity("evaluations", "cost", "", "how often loss and gradient were computed", None, lambda r: r.evaluations),
        Quantity("memory", "cost", "MiB", "peak memory of the process", -1, lambda run: run.peak_memory_mib),
        *(_loss(kind) for kind in ("total", "content", "style")),
        *(_metric(name) for name in metric_names(runs)),
    ]
    done = [run for run in runs if run.status == "done"]
    return [each for each in found if any(each.of(run) is not None for run in done)]


def metric_names(runs: Iterable[Run]) -> list[str]:
    """Metrics of any run: structure first, then style, then those that this installation does not know."""
    names = {name for run in runs for name in run.metrics}
    order = {"structure": 0, "style": 1, "other": 2}
    return sorted(names, key=lambda name: (order[_measures(name)], name))


def rows(arrangement: Arrangement, columns: Sequence[Quantity]) -> list[Row]:
    """A row for each variant, then one for each sanity check that was made."""
    variants = [_row(variant, runs, columns) for variant, runs in arrangement.by_variant.items()]
    checks = {name for run in arrangement.runs for name in run.sanity}
    known = [name for name in SANITY if name in checks]
    return variants + [_sanity_row(name, arrangement.runs, columns) for name in known]


def best_in(rows: Sequence[Row], column: Quantity) -> set[str]:
    """The variants whose median is the best of a column, where there is anything to be better than."""
    medians = {row.name: e.median for row in rows if not row.is_sanity and (e := row.figures[column.name]) is not None}
    if column.better is None or len(set(medians.values())) < 2:
        return set()
    best = (max if column.better > 0 else min)(medians.values())
    return {name for name, median in medians.items() if median == best}


def settings_table(arrangement: Arrangement) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Settings in which variants differ, each with a text for every variant; and those that all have in common."""
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
    where = "" if kind == "total" else f"{kind} part of the "
    text = f"{where}weighted loss of the saved picture; methods weight differently"
    return Quantity(f"{kind} loss", "loss", "", text, None, lambda run: run.losses.get(kind))


def _metric(name: str) -> Quantity:
    better, text = None, ""
    if name in METRICS:
        better, text = -1 if METRICS[name].lower_is_better else 1, METRICS[name].summary
    return Quantity(name, _measures(name), "", text, better, lambda run: run.metrics.get(name))


def _measures(name: str) -> str:
    return METRICS[name].measures if name in METRICS else "other"


def _row(variant: str, runs: Sequence[Run], columns: Sequence[Quantity]) -> Row:
    groups = by_pair([run for run in runs if run.status == "done"])
    figures = {
        column.name: bootstrap_median([[v for run in group if (v := column.of(run)) is not None] for group in groups])
        for column in columns
    }
    return Row(variant, sum(map(len, groups)), len(runs), figures)


def _sanity_row(check: str, runs: Sequence[Run], columns: Sequence[Quantity]) -> Row:
    """One number a pair: every variant of it was compared with the same two pictures."""
    figures: dict[str, Estimate | None] = {}
    groups = by_pair([run for run in runs if check in run.sanity])
    for column in columns:
        own = [[v for run in group if (v := run.sanity[check].get(column.name)) is not None] for group in groups]
        figures[column.name] = bootstrap_median([[median(values)] for values in own if values])
    return Row(check, len(groups), len(groups), figures, is_sanity=True)


def _settings(runs: Sequence[Run]) -> dict[str, str]:
    """The settings of a variant as text; several values where its runs differ."""
    found: dict[str, dict[str, None]] = {"method": dict.fromkeys(run.task.method for run in runs)}
    for run in runs:
        for name, value in run.task.settings.items():
            found.setdefault(name, {})[_text(value)] = None
    return {name: ", ".join(values) for name, values in found.items()}


def _default(column: dict[str, str], name: str) -> str:
    """What a method does where a setting is not given."""
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
