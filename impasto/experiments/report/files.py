"""Write the results of an experiment as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from impasto.experiments.findings import Finding
from impasto.experiments.report.commands import command_of
from impasto.experiments.report.curves import KINDS
from impasto.experiments.report.tables import SANITY, Quantity, TableRow, metric_names
from impasto.experiments.run import Run

RESULTS = ("status", "stopped", "error", "picture", "seconds", "steps", "evaluations", "peak_memory_mib")


def as_csv(runs: Sequence[Run]) -> bytes:
    """Return a CSV file with one row for each run; missing values are empty.

    The column of a metric has the prefix `metric/`, because `content` and `style` are the names of the images.
    """
    metrics = metric_names(runs)
    checks = [(check, name) for check in SANITY for name in metrics if any(check in run.sanity for run in runs)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    losses = [f"{kind}_loss" for kind in KINDS]
    task_columns = ("variant", "method", "content", "style", "seed")
    scores = [*(f"metric/{name}" for name in metrics), *(f"{check}/{name}" for check, name in checks)]
    writer.writerow([*task_columns, *RESULTS, *losses, *scores, "settings", "command"])
    for run in runs:
        task = run.task
        cells: list[Any] = [task.variant, task.method, task.content, task.style, task.settings.get("seed")]
        cells += [getattr(run, name) for name in RESULTS]
        cells += [run.losses.get(kind) for kind in KINDS]
        cells += [run.metrics.get(name) for name in metrics]
        cells += [run.sanity.get(check, {}).get(name) for check, name in checks]
        writer.writerow([*cells, json.dumps(task.settings), command_of(run)])
    return text.getvalue().encode("utf-8", "surrogateescape")


def as_json(
    title: str,
    summary: str,
    runs: Sequence[Run],
    columns: Sequence[Quantity],
    rows: Sequence[TableRow],
    findings: Sequence[Finding] = (),
) -> bytes:
    """Return a JSON file with the findings, the table of variants, and all results of each run except its curve."""
    table = [
        {
            "name": row.name,
            "sanity_check": row.is_sanity,
            "done": row.done,
            "tasks": row.tasks,
            "figures": {name: None if figure is None else asdict(figure) for name, figure in row.figures.items()},
        }
        for row in rows
    ]
    about = {column.name: {"group": column.group, "unit": column.unit, "better": column.better} for column in columns}
    document: dict[str, Any] = {
        "title": title,
        "summary": summary,
        "findings": [asdict(finding) for finding in findings],
        "quantities": about,
        "variants": table,
        "runs": _runs(runs),
    }
    return json.dumps(finite(document), indent=1, allow_nan=False).encode()


def finite(value: Any) -> Any:
    """Replace NaN and infinity, which JSON does not have, by None."""
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _runs(runs: Sequence[Run]) -> list[dict[str, Any]]:
    return [
        {
            "key": run.task.key,
            **vars(run.task),
            **{name: value for name, value in vars(run).items() if name not in ("task", "curve")},
            "command": command_of(run),
        }
        for run in runs
    ]
