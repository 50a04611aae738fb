"""Write the report of an experiment: a self-contained HTML page, with CSV and JSON files beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from impasto.experiments.findings import Finding
from impasto.experiments.report.arrangement import Arrangement
from impasto.experiments.report.files import as_csv, as_json
from impasto.experiments.report.page import page
from impasto.experiments.report.tables import quantities, table_rows
from impasto.experiments.run import Run
from impasto.experiments.store import REPORT_FILES
from impasto.files import write_atomically


def write(folder: Path, runs: Sequence[Run], title: str, summary: str = "", findings: Sequence[Finding] = ()) -> Path:
    """Write `report.html`, `report.csv` and `report.json` (`REPORT_FILES`).

    Args:
        folder: folder of the experiment, to which paths of images are relative; the files are written there.
        runs: all runs, in the order in which variants and pairs are to appear; waiting and failed runs too.
        title: heading of the page.
        summary: plain text below the heading; an empty line starts a paragraph.
        findings: results of analyses over all runs.

    Returns:
        The path of the HTML page.

    Raises:
        ValueError: if `runs` is empty, or if a file cannot be written.
    """
    if not runs:
        raise ValueError(f"{title!r} has no runs to report: run the experiment first")
    arrangement = Arrangement(tuple(runs))
    columns = quantities(runs)
    rows = table_rows(arrangement, columns)
    html = page(Path(folder), arrangement, columns, rows, title, summary, findings)
    page_file, csv_file, json_file = (Path(folder) / name for name in REPORT_FILES)
    write_atomically(csv_file, as_csv(runs))
    write_atomically(json_file, as_json(title, summary, runs, columns, rows, findings))
    write_atomically(page_file, html.encode("utf-8", "replace"))
    return page_file
