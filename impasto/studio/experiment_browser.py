"""Find experiments in a folder and read their tables, pictures and reports for the studio."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.experiments import report
from impasto.experiments.report.arrangement import Arrangement
from impasto.experiments.report.page import number
from impasto.experiments.report.tables import quantities, table_rows
from impasto.experiments.run import Run
from impasto.experiments.store import FILE, Store
from impasto.studio.plot import curves_svg
from impasto.studio.requests import display_name

MAX_EXPERIMENTS = 200
"""Largest number of listed experiments."""
PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}


@dataclass(frozen=True)
class ExperimentBrowser:
    """Read access to the experiments in a folder and its subfolders, at most two levels deep."""

    root: Path

    def find(self) -> dict[str, str]:
        """Return the folder of every experiment, relative to the root, by a key for addresses."""
        root = self.root.absolute()
        stores = [file for depth in ("", "*/", "*/*/") for file in sorted(root.glob(f"{depth}{FILE}"))]
        names = [str(file.parent.relative_to(root)) for file in stores[:MAX_EXPERIMENTS]]
        return {hashlib.sha256(name.encode()).hexdigest()[:12]: name for name in names}

    def folder(self, key: str) -> Path:
        """Return the folder of an experiment.

        Raises:
            ValueError: for an unknown key.
        """
        names = self.find()
        if key not in names:
            raise ValueError(f"no experiment has the key {key[:20]!r}; open the tab Experiments again")
        return self.root.absolute() / names[key]

    def runs(self, key: str) -> list[Run]:
        """Return all runs of an experiment, including waiting and failed runs."""
        with _open_store(self.folder(key)) as store:
            return store.runs()

    def report(self, key: str) -> Path:
        """Write the report of the finished runs and return its path."""
        with _open_store(self.folder(key)) as store:
            experiment = store.experiment()
            return report.write(store.folder, store.runs(), experiment.name, experiment.summary)

    def picture(self, key: str, path: str) -> Path:
        """Return the path of a picture of an experiment.

        Args:
            key: key of the experiment.
            path: path of the picture relative to the folder of the experiment.

        Raises:
            ValueError: if the path leaves the folder, is missing, or is not a picture.
        """
        folder = self.folder(key).resolve()
        file = (folder / path).resolve()
        if not file.is_relative_to(folder) or file.suffix.lower() not in PICTURE_SUFFIXES or not file.is_file():
            raise ValueError(f"the experiment has no picture {path[:80]!r}")
        return file

    def summary(self, key: str) -> dict[str, Any]:
        """Return the table and the runs of an experiment as JSON values.

        Raises:
            ValueError: for an unknown key, or an experiment that cannot be read.
        """
        header, rows = self.table(key)
        return {"header": header, "rows": rows, "runs": [_run_json(run) for run in self.runs(key)]}

    def table(self, key: str) -> tuple[list[str], list[list[str]]]:
        """Return the header and the rows of a table: the median of every metric over the pairs, for each variant."""
        runs = self.runs(key)
        columns = quantities(runs)
        header = [
            "variant",
            "done",
            *(f"{column.name} ({column.unit})" if column.unit else column.name for column in columns),
        ]
        return header, [
            [row.name, f"{row.done} of {row.tasks}", *(_median(row.figures.get(column.name)) for column in columns)]
            for row in table_rows(Arrangement(tuple(runs)), columns)
        ]


def _run_json(run: Run) -> dict[str, Any]:
    """Return what the page shows of a run."""
    status = run.error or (run.status if run.status != "done" else f"{run.seconds or 0:.1f} s")
    title = f"{display_name(run.task.content)} in the style of {display_name(run.task.style)}, {run.task.variant}"
    return {"title": title, "status": status, "picture": run.picture or "", "curve": curves_svg(run.curve)}


def _median(figure: object) -> str:
    return number(getattr(figure, "median", None))


@contextmanager
def _open_store(folder: Path) -> Iterator[Store]:
    store = Store(folder)
    try:
        yield store
    finally:
        store.close()
