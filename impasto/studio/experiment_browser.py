"""The shelf: experiments made by `impasto experiment run`, as far as the studio shows them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from impasto.experiments import report
from impasto.experiments.report.arrangement import Arrangement
from impasto.experiments.report.page import number
from impasto.experiments.report.tables import quantities, table_rows
from impasto.experiments.run import Run
from impasto.experiments.store import FILE, Store

MOST = 200
"""Experiments that are listed."""
PICTURES = {".png", ".jpg", ".jpeg", ".webp"}


@dataclass(frozen=True)
class Shelf:
    """A folder in which experiments lie, at once or in folders of folders."""

    root: Path

    def found(self) -> dict[str, str]:
        """The experiments there are: a key for addresses, and the folder's name below the root."""
        root = self.root.absolute()
        stores = [file for depth in ("", "*/", "*/*/") for file in sorted(root.glob(f"{depth}{FILE}"))]
        names = [str(file.parent.relative_to(root)) for file in stores[:MOST]]
        return {hashlib.sha256(name.encode()).hexdigest()[:12]: name for name in names}

    def folder(self, key: str) -> Path:
        """Where an experiment lies. Raises `ValueError` for an unknown key."""
        found = self.found()
        if key not in found:
            raise ValueError(f"there is no experiment {key[:20]!r} in {str(self.root.absolute())!r}")
        return self.root.absolute() / found[key]

    def runs(self, key: str) -> list[Run]:
        """The paintings of an experiment, those that wait or failed too."""
        with _opened(self.folder(key)) as store:
            return store.runs()

    def report(self, key: str) -> Path:
        """Writes the report of what is done so far; returns its path."""
        with _opened(self.folder(key)) as store:
            experiment = store.experiment()
            return report.write(store.folder, store.runs(), experiment.name, experiment.summary)

    def picture(self, key: str, path: str) -> Path:
        """A picture that lies in an experiment's folder. Raises `ValueError` for any other file."""
        folder = self.folder(key).resolve()
        file = (folder / path).resolve()
        if not file.is_relative_to(folder) or file.suffix.lower() not in PICTURES or not file.is_file():
            raise ValueError(f"there is no picture {path[:80]!r} in this experiment")
        return file

    def table(self, key: str) -> tuple[list[str], list[list[str]]]:
        """Head and rows of the figures of every variant, medians over its pairs."""
        runs = self.runs(key)
        columns = quantities(runs)
        found = table_rows(Arrangement(tuple(runs)), columns)
        head = [
            "variant",
            "done",
            *(f"{column.name} ({column.unit})" if column.unit else column.name for column in columns),
        ]
        return head, [
            [row.name, f"{row.done} of {row.tasks}", *(_median(row.figures.get(column.name)) for column in columns)]
            for row in found
        ]


def _median(figure: object) -> str:
    return number(getattr(figure, "median", None))


@contextmanager
def _opened(folder: Path) -> Iterator[Store]:
    store = Store(folder)
    try:
        yield store
    finally:
        store.close()
