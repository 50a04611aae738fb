"""Compute the Pareto front of content preservation and style similarity, for every choice of two metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from impasto.experiments.report.tables import Quantity, TableRow
from impasto.experiments.statistics import pareto_front


def tradeoffs(rows: Sequence[TableRow], columns: Sequence[Quantity]) -> dict[str, Any]:
    """Return the metrics of each kind, and the Pareto front of each choice of two, as data for the page.

    The key of a front is `"structure metric|style metric"`, and its value is a list of indices into the rows.
    """
    kinds = {kind: [column for column in columns if column.group == kind] for kind in ("structure", "style")}
    fronts = {f"{x.name}|{y.name}": _front(rows, x, y) for x in kinds["structure"] for y in kinds["style"]}
    return {**{kind: [_axis(each) for each in found] for kind, found in kinds.items()}, "fronts": fronts}


def _front(rows: Sequence[TableRow], x: Quantity, y: Quantity) -> list[int]:
    """Return the front of the variants; sanity checks are drawn, but not compared."""
    points = {
        i: (-(x.better or -1) * a.median, -(y.better or -1) * b.median)
        for i, row in enumerate(rows)
        if not row.is_sanity and (a := row.figures[x.name]) is not None and (b := row.figures[y.name]) is not None
    }
    indices = list(points)
    return [indices[k] for k in pareto_front(list(points.values()))]


def _axis(column: Quantity) -> dict[str, Any]:
    return {"name": column.name, "help": column.help, "better": column.better}
