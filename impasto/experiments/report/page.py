"""Render the HTML page of a report."""

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
from impasto.experiments.report.curves import columns as curve_columns
from impasto.experiments.report.curves import points_each
from impasto.experiments.report.files import finite
from impasto.experiments.report.pareto import tradeoffs
from impasto.experiments.report.pictures import Thumbnail
from impasto.experiments.report.tables import SANITY, Quantity, TableRow, best_in, settings_table
from impasto.experiments.run import Run

TEMPLATES = Path(__file__).parent / "templates"
GROUPS = {
    "cost": "cost",
    "loss": "loss",
    "structure": "content preservation",
    "style": "style similarity",
    "other": "other",
}
SAMPLE_SIDE = 192
"""Longer side in pixels at which bytes per pixel are estimated; smaller images take more bytes per pixel."""
ARROWS = {-1: "↓", 1: "↑", None: ""}


def page(
    folder: Path,
    arrangement: Arrangement,
    columns: Sequence[Quantity],
    rows: Sequence[TableRow],
    title: str,
    summary: str,
    findings: Sequence[Finding] = (),
) -> str:
    """Return the page as text, with images, style sheet and script embedded.

    Args:
        folder: folder of the experiment, to which paths of images are relative.
        arrangement: the runs.
        columns: the columns of the table of figures.
        rows: the rows of the table of figures.
        title: heading of the page.
        summary: plain text below the heading; an empty line starts a paragraph.
        findings: results of analyses over all runs.
    """
    paragraphs = [text for part in summary.split("\n\n") if (text := part.strip())]
    context = _context(folder, arrangement, columns, rows)
    template = _environment().get_template("page.html")
    return template.render(title=title, paragraphs=paragraphs, findings=findings, **context)


def number(value: float | None) -> str:
    """Return a number with three significant digits.

    >>> number(0.012345), number(1234.5), number(12.3), number(0), number(None)
    ('0.0123', '1,234', '12.3', '0', '-')
    """
    if value is None or not math.isfinite(value):
        return "-"
    size = abs(value)
    if 1000 <= size < 1e6:
        return f"{value:,.0f}"
    return f"{value:.3g}".replace("e-0", "e-").replace("e+0", "e+")


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "best": best_in}
    return environment


def _context(
    folder: Path, arrangement: Arrangement, columns: Sequence[Quantity], rows: Sequence[TableRow]
) -> dict[str, Any]:
    """Return the variables of the template that depend on the runs."""
    inputs = _inputs(folder, arrangement)
    outputs = _outputs(folder, arrangement.runs)
    differing, common = settings_table(arrangement)
    return {
        "facts": _facts(arrangement),
        "arrangement": arrangement,
        "inputs": inputs,
        "numbers": {name: i for i, name in enumerate(inputs)},
        "outputs": outputs,
        "columns": columns,
        "groups": _groups(columns),
        "arrows": ARROWS,
        "rows": rows,
        "sanity": SANITY,
        "differing": differing,
        "common": common,
        "commands": [command_of(run) for run in arrangement.runs],
        "data": finite(_data(arrangement, inputs, outputs, columns, rows)),
    }


def _inputs(folder: Path, arrangement: Arrangement) -> dict[str, Thumbnail | None]:
    """Return the content images and style images, each once."""
    names = list(dict.fromkeys(name for pair in arrangement.pairs for name in pair))
    sample = [pictures.input_thumbnail(name, folder, pictures.LARGEST) for name in pictures.sample_of(names)]
    side = pictures.side_for(sample, len(names), pictures.INPUTS_FRACTION)
    return {name: pictures.input_thumbnail(name, folder, side) for name in names}


def _outputs(folder: Path, runs: Sequence[Run]) -> list[Thumbnail | None]:
    """Return the output image of each run."""
    paths = [None if run.picture is None else folder / run.picture for run in runs]
    existing = [path for path in paths if path is not None]
    sample = [pictures.output_thumbnail(path, SAMPLE_SIDE) for path in pictures.sample_of(existing)]
    side = pictures.side_for(sample, len(existing), 1 - pictures.INPUTS_FRACTION)
    return [None if path is None else pictures.output_thumbnail(path, side) for path in paths]


def _facts(arrangement: Arrangement) -> list[str]:
    """Return the numbers of runs, variants and pairs, and the total time, as short texts."""
    runs = arrangement.runs
    counts = {status: sum(run.status == status for run in runs) for status in ("failed", "waiting", "running")}
    seconds = sum(run.seconds or 0 for run in runs)
    time = f"{number(seconds)} s" if seconds < 120 else f"{number(seconds / 60)} min"
    return [
        _count(sum(run.status == "done" for run in runs), "output image"),
        _count(len(arrangement.variants), "variant"),
        _count(len(arrangement.pairs), "content-style pair"),
        *(f"{count} {status}" for status, count in counts.items() if count),
        f"{time} of computation",
    ]


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _groups(columns: Sequence[Quantity]) -> list[tuple[str, int]]:
    """Return the text and the number of columns of each group in the head of the table."""
    present = dict.fromkeys(column.group for column in columns)
    return [(GROUPS[group], sum(column.group == group for column in columns)) for group in present]


def _data(
    arrangement: Arrangement,
    inputs: dict[str, Thumbnail | None],
    outputs: Sequence[Thumbnail | None],
    columns: Sequence[Quantity],
    rows: Sequence[TableRow],
) -> dict[str, Any]:
    """Return the data that the script of the page reads."""
    cells = [[list(arrangement.cells.get((p, v), ())) for v in arrangement.variants] for p in arrangement.pairs]
    return {
        "variants": list(arrangement.variants),
        "pairs": [{"content": content, "style": style} for content, style in arrangement.pairs],
        "inputs": {name: [i, t.width, t.height] for i, (name, t) in enumerate(inputs.items()) if t is not None},
        "cells": cells,
        "runs": _run_data(arrangement.runs, outputs),
        "rows": [_row_data(row) for row in rows],
        "tradeoffs": tradeoffs(rows, columns),
    }


def _run_data(runs: Sequence[Run], outputs: Sequence[Thumbnail | None]) -> list[dict[str, Any]]:
    count = points_each(sum(bool(run.curve) for run in runs))
    return [
        {
            "seed": run.task.settings.get("seed"),
            "status": run.status,
            "error": run.error,
            "file": None if run.picture is None else "./" + quote(run.picture, errors="surrogateescape"),
            "original": None if thumbnail is None else thumbnail.original,
            "shown": None if thumbnail is None else (thumbnail.width, thumbnail.height),
            "figures": _figures(run),
            "curve": curve_columns(run, count),
        }
        for run, thumbnail in zip(runs, outputs, strict=True)
    ]


def _figures(run: Run) -> list[tuple[str, str]]:
    """Return names and texts of the figures of one run."""
    figures = [("seconds", number(run.seconds)), ("steps", number(run.steps)), ("stopped by", run.stopped or "-")]
    figures += [(f"{kind} loss", number(loss)) for kind, loss in run.losses.items()]
    return figures + [(name, number(value)) for name, value in run.metrics.items()]


def _row_data(row: TableRow) -> dict[str, Any]:
    """Return medians and intervals for the plot."""
    figures = {name: [f.median, f.low, f.high] for name, f in row.figures.items() if f is not None}
    return {"name": row.name, "sanity": row.is_sanity, "figures": figures}
