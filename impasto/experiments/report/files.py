"""The report to compute with: every run as a row of CSV, and everything but the pictures as JSON."""

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
from impasto.experiments.report.losses import KINDS
from impasto.experiments.report.tables import SANITY, Quantity, Row, metric_names
from impasto.experiments.run import Run

FACTS = ("status", "stopped", "error", "picture", "seconds", "steps", "evaluations", "peak_memory_mib")


def as_csv(runs: Sequence[Run]) -> bytes:
    """A row for each run; what it has no number for is empty."""
    metrics = metric_names(runs)
    checks = [(check, name) for check in SANITY for name in metrics if any(check in run.sanity for run in runs)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    losses = [f"{kind}_loss" for kind in KINDS]
    task = ("variant", "method", "content", "style", "seed")
    sanity = [f"{check}/{name}" for check, name in checks]
    writer.writerow([*task, *FACTS, *losses, *metrics, *sanity, "settings", "command"])
    for run in runs:
        asked = run.task
        cells: list[Any] = [asked.variant, asked.method, asked.content, asked.style, asked.settings.get("seed")]
        cells += [getattr(run, name) for name in FACTS]
        cells += [run.losses.get(kind) for kind in KINDS]
        cells += [run.metrics.get(name) for name in metrics]
        cells += [run.sanity.get(check, {}).get(name) for check, name in checks]
        writer.writerow([*cells, json.dumps(asked.settings), command_of(run)])
    return text.getvalue().encode("utf-8", "surrogateescape")


def as_json(
    title: str,
    summary: str,
    runs: Sequence[Run],
    columns: Sequence[Quantity],
    rows: Sequence[Row],
    findings: Sequence[Finding] = (),
) -> bytes:
    """Title, summary, findings, the table of variants, and all that is known of each run but its curve."""
    table = [
        {
            "name": row.name,
            "sanity_check": row.is_sanity,
            "done": row.done,
            "asked": row.asked,
            "figures": {name: None if figure is None else asdict(figure) for name, figure in row.figures.items()},
        }
        for row in rows
    ]
    about = {column.name: {"group": column.group, "unit": column.unit, "better": column.better} for column in columns}
    told = [asdict(finding) for finding in findings]
    document = {"title": title, "summary": summary, "findings": told, "quantities": about, "variants": table}
    document["runs"] = _runs(runs)
    return json.dumps(finite(document), indent=1, allow_nan=False).encode()


def finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become None."""
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
