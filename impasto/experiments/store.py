"""Where an experiment keeps its runs: an SQLite file beside the pictures, safe to share and safe to kill."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from impasto.experiments.expand import Experiment
from impasto.experiments.rows import SCHEMA, UPGRADES, VERSION, run_of
from impasto.experiments.run import Run
from impasto.files import reason
from impasto.samples import resolve
from impasto.weights import sha256_of

FILE = "experiment.sqlite"
PATIENCE = 60.0
"""Seconds to wait for another runner that is writing."""


class Store:
    """The runs of one folder. `ValueError`, in one line, where the file is at fault."""

    def __init__(self, folder: str | Path, *, create: bool = False) -> None:
        self.folder = Path(folder)
        self.file = self.folder / FILE
        if not create and not self.file.is_file():
            raise ValueError(f"no experiment lies in {str(folder)!r}; impasto experiment run NAME -o FOLDER makes one")
        with self.said():
            self.folder.mkdir(parents=True, exist_ok=True)
            self.base = sqlite3.connect(self.file, timeout=PATIENCE, isolation_level=None)
            """Statements outside `transaction` are one each."""
            self._prepare()

    def close(self) -> None:
        """Lets go of the file."""
        self.base.close()

    def enrol(self, experiment: Experiment) -> None:
        """Makes the experiment's tasks those of this folder.

        What is painted stays painted. Where the judge or the metrics changed it is judged again, and where the file of
        a content or a style is another one now, painted again.
        """
        names = {name for task in experiment.tasks for name in (task.content, task.style)}
        hashes = {name: sha256_of(resolve(name)) for name in names}
        judged = json.dumps([experiment.judge, experiment.metrics])
        with self.transaction() as base:
            lists = (json.dumps(experiment.metrics), json.dumps(experiment.findings))
            facts = (experiment.name, experiment.summary, experiment.judge, *lists)
            known = base.execute("SELECT name FROM experiment").fetchone()
            if known and known[0] != experiment.name:
                raise ValueError(f"{str(self.folder)!r} holds the experiment {known[0]!r}: give another folder")
            base.execute("INSERT OR REPLACE INTO experiment VALUES (1, ?, ?, ?, ?, ?)", facts)
            base.execute("DELETE FROM cells")
            for position, task in enumerate(experiment.tasks):
                base.execute("INSERT INTO cells VALUES (?, ?, ?)", (position, task.variant, task.key))
                pictures = (hashes[task.content], hashes[task.style])
                asked = (task.key, task.method, json.dumps(task.settings), task.content, task.style)
                base.execute(
                    "INSERT INTO runs (key, method, settings, content, style, content_sha256, style_sha256, judged)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    (*asked, *pictures, judged),
                )
                base.execute(
                    "UPDATE runs SET status = 'waiting', runner = NULL, attempts = 0, picture = NULL,"
                    " content_sha256 = ?, style_sha256 = ?"
                    " WHERE key = ? AND (content_sha256 != ? OR style_sha256 != ?)",
                    (*pictures, task.key, *pictures),
                )
                base.execute(
                    "UPDATE runs SET status = 'waiting', runner = NULL, attempts = 0, judged = ?"
                    " WHERE key = ? AND judged != ?",
                    (judged, task.key, judged),
                )

    def experiment(self) -> Experiment:
        """What was enrolled last."""
        with self.said():
            query = "SELECT name, summary, judge, metrics, findings FROM experiment"
            found = self.base.execute(query).fetchone()
        if found is None:
            raise ValueError(f"the experiment in {str(self.folder)!r} was never begun: run it first")
        name, summary, judge, metrics, findings = found
        tasks = tuple(run.task for run in self.runs())
        return Experiment(name, summary, tasks, judge, tuple(json.loads(metrics)), tuple(json.loads(findings)))

    def runs(self) -> list[Run]:
        """A run for every task, in the order of the grid."""
        with self.transaction() as base:
            cells = base.execute("SELECT variant, runs.* FROM cells JOIN runs USING (key) ORDER BY position").fetchall()
            found = base.execute("SELECT key, role, metric, value FROM scores").fetchall()
            asked = base.execute("SELECT metrics FROM experiment").fetchone()
        order = json.loads(asked["metrics"]) if asked else []
        scores: dict[str, dict[str, dict[str, float]]] = {}
        rank = {metric: i for i, metric in enumerate(order)}
        for key, role, metric, value in sorted(found, key=lambda row: rank.get(row["metric"], 0)):
            scores.setdefault(key, {}).setdefault(role, {})[metric] = float("nan") if value is None else value
        return [run_of(cell, scores.get(cell["key"], {})) for cell in cells]

    def counts(self) -> dict[str, int]:
        """How many paintings of the grid are waiting, running, done and failed."""
        with self.said():
            found = self.base.execute(
                "SELECT status, COUNT(*) FROM runs WHERE key IN (SELECT key FROM cells) GROUP BY status"
            ).fetchall()
        return dict.fromkeys(("waiting", "running", "done", "failed"), 0) | dict(found)

    def ended(self) -> list[str]:
        """Keys of the grid's paintings that are done or failed, in the order of the grid."""
        with self.said():
            found = self.base.execute(
                "SELECT DISTINCT key FROM cells JOIN runs USING (key) WHERE status IN ('done', 'failed')"
                " ORDER BY position"
            ).fetchall()
        return [key for (key,) in found]

    def retry(self) -> None:
        """Lets failed runs wait again."""
        with self.transaction() as base:
            base.execute("UPDATE runs SET status = 'waiting', attempts = 0, error = NULL WHERE status = 'failed'")

    def _prepare(self) -> None:
        self.base.row_factory = sqlite3.Row
        self.base.execute("PRAGMA journal_mode = WAL")
        self.base.execute("PRAGMA synchronous = NORMAL")  # whatever is lost with the power is painted again
        with self.transaction() as base:
            version = base.execute("PRAGMA user_version").fetchone()[0]
            if version and version not in (*UPGRADES, VERSION):
                raise ValueError(f"{self.file} is of another version of impasto ({version}, not {VERSION})")
            if version == 0:
                for statement in SCHEMA:
                    base.execute(statement)
            else:
                for older in range(version, VERSION):
                    base.execute(UPGRADES[older])
            base.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of a block, or nothing of it; other writers wait."""
        with self.said():
            self.base.execute("BEGIN IMMEDIATE")
            try:
                yield self.base
                self.base.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self.base.execute("ROLLBACK")
                raise

    @contextmanager
    def said(self) -> Iterator[None]:
        """What goes wrong with the file, as a `ValueError` in one line."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise ValueError(f"the experiment's file {str(self.file)!r}: {reason(error)}") from None
