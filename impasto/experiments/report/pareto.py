"""The trade between keeping the content and taking on the style: every metric of one against every one of the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from impasto.experiments.report.tables import Quantity, Row
from impasto.experiments.statistics import pareto_front


def trades(rows: Sequence[Row], columns: Sequence[Quantity]) -> dict[str, Any]:
    """For the page: the metrics of each kind, and which variants nothing beats for each choice of two.

    A choice is `"structure metric|style metric"`; a front is a list of indices into the rows.
    """
    kinds = {kind: [column for column in columns if column.group == kind] for kind in ("structure", "style")}
    fronts = {f"{x.name}|{y.name}": _front(rows, x, y) for x in kinds["structure"] for y in kinds["style"]}
    return {**{kind: [_axis(each) for each in found] for kind, found in kinds.items()}, "fronts": fronts}


def _front(rows: Sequence[Row], x: Quantity, y: Quantity) -> list[int]:
    """Sanity checks are no paintings: they are drawn, but beat nothing."""
    points = {
        i: (-(x.better or -1) * a.median, -(y.better or -1) * b.median)
        for i, row in enumerate(rows)
        if not row.is_sanity and (a := row.figures[x.name]) is not None and (b := row.figures[y.name]) is not None
    }
    indices = list(points)
    return [indices[k] for k in pareto_front(list(points.values()))]


def _axis(column: Quantity) -> dict[str, Any]:
    return {"name": column.name, "help": column.help, "better": column.better}
