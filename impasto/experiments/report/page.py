"""The page: what the template is given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from impasto.experiments.findings import Finding
from impasto.experiments.report import pictures
from impasto.experiments.report.arrangement import Arrangement
from impasto.experiments.report.commands import command_of
from impasto.experiments.report.files import finite
from impasto.experiments.report.losses import columns as curve_columns
from impasto.experiments.report.losses import points_each
from impasto.experiments.report.pareto import trades
from impasto.experiments.report.pictures import Thumbnail
from impasto.experiments.report.tables import SANITY, Quantity, Row, best_in, settings_table
from impasto.experiments.run import Run

TEMPLATES = Path(__file__).parent / "templates"
GROUPS = {"cost": "cost", "loss": "loss", "structure": "content kept", "style": "style taken", "other": "other"}
TRIAL_SIDE = 192
"""Pixels; a painting made smaller than that takes more bytes a pixel, one that is larger fewer."""
ARROWS = {-1: "↓", 1: "↑", None: ""}


def page(
    folder: Path,
    arrangement: Arrangement,
    columns: Sequence[Quantity],
    rows: Sequence[Row],
    title: str,
    summary: str,
    findings: Sequence[Finding] = (),
) -> str:
    """The whole page as text, with pictures, style sheet and script inside."""
    runs = arrangement.runs
    sources = _sources(folder, arrangement)
    thumbnails = _paintings(folder, runs)
    differing, common = settings_table(arrangement)
    data = {
        "variants": list(arrangement.variants),
        "pairs": [{"content": content, "style": style} for content, style in arrangement.pairs],
        "sources": {name: [i, t.width, t.height] for i, (name, t) in enumerate(sources.items()) if t is not None},
        "cells": [[list(arrangement.cells.get((p, v), ())) for v in arrangement.variants] for p in arrangement.pairs],
        "runs": _run_data(runs, thumbnails),
        "rows": [_row_data(row) for row in rows],
        "trades": trades(rows, columns),
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "best": best_in}
    return environment.get_template("page.html").render(
        title=title,
        paragraphs=[text for part in summary.split("\n\n") if (text := part.strip())],
        facts=_facts(arrangement),
        findings=findings,
        arrangement=arrangement,
        sources=sources,
        numbers={name: i for i, name in enumerate(sources)},
        thumbnails=thumbnails,
        columns=columns,
        groups=_groups(columns),
        arrows=ARROWS,
        rows=rows,
        sanity=SANITY,
        differing=differing,
        common=common,
        commands=[command_of(run) for run in runs],
        data=finite(data),
    )


def number(value: float | None) -> str:
    """Three digits, as a reader would write them.

    >>> number(0.012345), number(1234.5), number(12.3), number(0), number(None)
    ('0.0123', '1,234', '12.3', '0', '-')
    """
    if value is None or not math.isfinite(value):
        return "-"
    size = abs(value)
    if 1000 <= size < 1e6:
        return f"{value:,.0f}"
    return f"{value:.3g}".replace("e-0", "e-").replace("e+0", "e+")


def _sources(folder: Path, arrangement: Arrangement) -> dict[str, Thumbnail | None]:
    """Photographs and styles, each once."""
    names = list(dict.fromkeys(name for pair in arrangement.pairs for name in pair))
    trial = [pictures.of_source(name, folder, pictures.LARGEST) for name in pictures.spread(names)]
    side = pictures.side_for(trial, len(names), pictures.SOURCES_SHARE)
    return {name: pictures.of_source(name, folder, side) for name in names}


def _paintings(folder: Path, runs: Sequence[Run]) -> list[Thumbnail | None]:
    paths = [None if run.picture is None else folder / run.picture for run in runs]
    there = [path for path in paths if path is not None]
    trial = [pictures.of_painting(path, TRIAL_SIDE) for path in pictures.spread(there)]
    side = pictures.side_for(trial, len(there), 1 - pictures.SOURCES_SHARE)
    return [None if path is None else pictures.of_painting(path, side) for path in paths]


def _facts(arrangement: Arrangement) -> list[str]:
    """What was run, in a few words each."""
    runs = arrangement.runs
    counts = {status: sum(run.status == status for run in runs) for status in ("failed", "waiting", "running")}
    seconds = sum(run.seconds or 0 for run in runs)
    facts = [
        _count(sum(run.status == "done" for run in runs), "painting"),
        _count(len(arrangement.variants), "variant"),
        _count(len(arrangement.pairs), "pair") + " of pictures",
        *(f"{count} {status}" for status, count in counts.items() if count),
    ]
    return [*facts, f"{number(seconds if seconds < 120 else seconds / 60)} {'s' if seconds < 120 else 'min'} to paint"]


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _groups(columns: Sequence[Quantity]) -> list[tuple[str, int]]:
    """The upper line of the table's head: a text, and how many columns it spans."""
    present = dict.fromkeys(column.group for column in columns)
    return [(GROUPS[group], sum(column.group == group for column in columns)) for group in present]


def _run_data(runs: Sequence[Run], thumbnails: Sequence[Thumbnail | None]) -> list[dict[str, Any]]:
    count = points_each(sum(bool(run.curve) for run in runs))
    return [
        {
            "seed": run.task.settings.get("seed"),
            "status": run.status,
            "error": run.error,
            "file": None if run.picture is None else "./" + quote(run.picture, errors="surrogateescape"),
            "original": None if thumbnail is None else thumbnail.original,
            "shown": None if thumbnail is None else (thumbnail.width, thumbnail.height),
            "facts": _figures(run),
            "curve": curve_columns(run, count),
        }
        for run, thumbnail in zip(runs, thumbnails, strict=True)
    ]


def _figures(run: Run) -> list[tuple[str, str]]:
    """What is said of one painting, as names and texts."""
    facts = [("seconds", number(run.seconds)), ("steps", number(run.steps)), ("ended", run.stopped or "-")]
    facts += [(f"{kind} loss", number(loss)) for kind, loss in run.losses.items()]
    return facts + [(name, number(value)) for name, value in run.metrics.items()]


def _row_data(row: Row) -> dict[str, Any]:
    """Medians and intervals as the plot reads them."""
    figures = {name: [f.median, f.low, f.high] for name, f in row.figures.items() if f is not None}
    return {"name": row.name, "sanity": row.is_sanity, "figures": figures}
