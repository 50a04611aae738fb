"""The report of an experiment: one page that needs nothing but a browser, with CSV and JSON beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from impasto.experiments.findings import Finding
from impasto.experiments.report.arrangement import Arrangement
from impasto.experiments.report.files import as_csv, as_json
from impasto.experiments.report.page import page
from impasto.experiments.report.tables import quantities, rows
from impasto.experiments.run import Run
from impasto.files import write_atomically


def write(folder: Path, runs: Sequence[Run], title: str, summary: str = "", findings: Sequence[Finding] = ()) -> Path:
    """Writes `report.html`, `report.csv` and `report.json` into a folder; returns the path of the first.

    Args:
        folder: the experiment's; pictures are looked for from there, and what cannot be read is said to be missing.
        runs: in the order in which variants and pairs are to appear; those that wait or failed too.
        title: heading of the page.
        summary: plain text below it; an empty line starts a paragraph.
        findings: answers to what was asked of all runs together.

    Raises:
        ValueError: in one line, for no runs, and for a folder that cannot be written.
    """
    if not runs:
        raise ValueError(f"{title!r} has no runs to report: run the experiment first")
    arrangement = Arrangement(tuple(runs))
    columns = quantities(runs)
    table = rows(arrangement, columns)
    html = page(Path(folder), arrangement, columns, table, title, summary, findings)
    write_atomically(Path(folder) / "report.csv", as_csv(runs))
    write_atomically(Path(folder) / "report.json", as_json(title, summary, runs, columns, table, findings))
    write_atomically(Path(folder) / "report.html", html.encode("utf-8", "replace"))
    return Path(folder) / "report.html"
