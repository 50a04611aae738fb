"""Define the tables of an experiment's SQLite file and convert runs to and from table rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from impasto.experiments.run import Run, Task
from impasto.types import Step

VERSION = 4
"""Version of the file format, stored as `user_version`."""
SCHEMA = (
    "CREATE TABLE experiment (one INTEGER PRIMARY KEY CHECK (one = 1), name TEXT, summary TEXT,"
    " evaluation_network TEXT, metrics TEXT, findings TEXT NOT NULL DEFAULT '[]')",
    # Several cells may refer to one run.
    "CREATE TABLE cells (position INTEGER PRIMARY KEY, variant TEXT, key TEXT)",
    "CREATE TABLE runs (key TEXT PRIMARY KEY, method TEXT, settings TEXT, content TEXT, style TEXT,"
    " inputs_sha256 TEXT, evaluation TEXT, status TEXT NOT NULL DEFAULT 'waiting',"
    " attempts INTEGER NOT NULL DEFAULT 0, runner TEXT, error TEXT, picture TEXT, seconds REAL, steps INTEGER,"
    " evaluations INTEGER, peak_memory_mib REAL, stopped TEXT, content_loss REAL, style_loss REAL, total_loss REAL,"
    " curve TEXT)",
    "CREATE INDEX runs_by_status ON runs (status)",
    "CREATE TABLE scores (key TEXT, role TEXT, metric TEXT, value REAL, PRIMARY KEY (key, role, metric)) WITHOUT ROWID",
)
"""`inputs_sha256` is one hash of all input files, `evaluation` the JSON of evaluation network and metrics. The role of
a score is `output`, `identity` or `style_copy`; a score that is not defined (NaN) is NULL."""

RESULTS = ("status", "error", "picture", "seconds", "steps", "evaluations", "peak_memory_mib", "stopped")
LOSSES = ("content", "style", "total")


def columns_of(run: Run) -> dict[str, Any]:
    """Return the results of a run as column values."""
    losses = {f"{kind}_loss": run.losses.get(kind) for kind in LOSSES}
    curve = json.dumps([step.to_json() for step in run.curve])
    return {name: getattr(run, name) for name in RESULTS} | losses | {"curve": curve}


def run_of(row: Mapping[str, Any], scores: dict[str, dict[str, float]]) -> Run:
    """Return the run of a table row.

    Args:
        row: a row of `runs` joined with the variant of its cell.
        scores: values of the metrics by role and metric.
    """
    task = Task(row["variant"], row["method"], json.loads(row["settings"]), row["content"], row["style"])
    if row["status"] != "done":
        return Run(task, row["status"], error=row["error"])
    return Run(
        task,
        losses={kind: row[f"{kind}_loss"] for kind in LOSSES},
        metrics=scores.get("output", {}),
        sanity={role: values for role, values in scores.items() if role != "output"},
        curve=tuple(Step.from_json(step) for step in json.loads(row["curve"])),
        **{name: row[name] for name in RESULTS},
    )
