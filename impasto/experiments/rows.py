"""The tables of an experiment's file, and a run as a row of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from impasto.experiments.run import Run, Task
from impasto.types import Step

VERSION = 2
SCHEMA = (
    "CREATE TABLE experiment (one INTEGER PRIMARY KEY CHECK (one = 1), name TEXT, summary TEXT, judge TEXT,"
    " metrics TEXT, findings TEXT NOT NULL DEFAULT '[]')",
    # Several cells may be one painting.
    "CREATE TABLE cells (position INTEGER PRIMARY KEY, variant TEXT, key TEXT)",
    "CREATE TABLE runs (key TEXT PRIMARY KEY, method TEXT, settings TEXT, content TEXT, style TEXT,"
    " content_sha256 TEXT, style_sha256 TEXT, judged TEXT, status TEXT NOT NULL DEFAULT 'waiting',"
    " attempts INTEGER NOT NULL DEFAULT 0, runner TEXT, error TEXT, picture TEXT, seconds REAL, steps INTEGER,"
    " evaluations INTEGER, peak_memory_mib REAL, stopped TEXT, content_loss REAL, style_loss REAL, total_loss REAL,"
    " curve TEXT)",
    "CREATE INDEX runs_by_status ON runs (status)",
    "CREATE TABLE scores (key TEXT, role TEXT, metric TEXT, value REAL, PRIMARY KEY (key, role, metric)) WITHOUT ROWID",
)
"""The role of a score is `output`, `identity` or `style_copy`; one without meaning (NaN) is NULL."""
UPGRADES = {1: "ALTER TABLE experiment ADD COLUMN findings TEXT NOT NULL DEFAULT '[]'"}
"""What makes a file of one version one of the next."""

FACTS = ("status", "error", "picture", "seconds", "steps", "evaluations", "peak_memory_mib", "stopped")
LOSSES = ("content", "style", "total")


def columns_of(run: Run) -> dict[str, Any]:
    """What came of a run, by column."""
    losses = {f"{kind}_loss": run.losses.get(kind) for kind in LOSSES}
    curve = json.dumps([step.to_json() for step in run.curve])
    return {name: getattr(run, name) for name in FACTS} | losses | {"curve": curve}


def run_of(row: Mapping[str, Any], scores: dict[str, dict[str, float]]) -> Run:
    """The run that a row and its scores tell of."""
    task = Task(row["variant"], row["method"], json.loads(row["settings"]), row["content"], row["style"])
    if row["status"] != "done":
        return Run(task, row["status"], error=row["error"])
    return Run(
        task,
        losses={kind: row[f"{kind}_loss"] for kind in LOSSES},
        metrics=scores.get("output", {}),
        sanity={role: values for role, values in scores.items() if role != "output"},
        curve=tuple(Step.from_json(step) for step in json.loads(row["curve"])),
        **{name: row[name] for name in FACTS},
    )
