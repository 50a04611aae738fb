"""Store the runs of an experiment in an SQLite file that several processes share."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path

from impasto.experiments.expand import Experiment
from impasto.experiments.rows import SCHEMA, VERSION, run_of
from impasto.experiments.run import Run, Task
from impasto.files import check_unused, reason
from impasto.methods import METHODS, configure
from impasto.samples import resolve
from impasto.weights import sha256_of

FILE = "experiment.sqlite"
REPORT_FILES = ("report.html", "report.csv", "report.json")
"""Names of the files of the report in the folder of an experiment."""
BUSY_TIMEOUT = 60.0
"""Seconds to wait while another process writes."""


class Store:
    """The runs in the folder of an experiment.

    Every method raises `ValueError` with one line if the file cannot be read or written.

    Args:
        folder: folder of the experiment.
        create: whether to create the folder and the file if they do not exist.
    """

    def __init__(self, folder: str | Path, *, create: bool = False) -> None:
        self.folder = Path(folder)
        self.file = self.folder / FILE
        if not create and not self.file.is_file():
            message = f"no experiment in {str(folder)!r}; create one with impasto experiment run NAME -o FOLDER"
            raise ValueError(message)
        if not self.file.exists():
            check_unused((self.folder / name for name in REPORT_FILES), "the report of an experiment")
        with self.translate_errors():
            self.folder.mkdir(parents=True, exist_ok=True)
            self.connection = sqlite3.connect(self.file, timeout=BUSY_TIMEOUT, isolation_level=None)
            """Each statement outside `transaction` is a transaction."""
            self._prepare()

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def register(self, experiment: Experiment) -> None:
        """Make the tasks of an experiment the tasks of this folder.

        Finished runs are kept. They are evaluated again if the evaluation network or the metrics changed, and computed
        again if one of their input files changed.

        Raises:
            ValueError: if the folder contains an experiment of another name.
        """
        hashes = _input_hashes(experiment.tasks)
        evaluation = json.dumps([experiment.evaluation_network, experiment.metrics])
        with self.transaction() as connection:
            lists = (json.dumps(experiment.metrics), json.dumps(experiment.findings))
            values = (experiment.name, experiment.summary, experiment.evaluation_network, *lists)
            known = connection.execute("SELECT name FROM experiment").fetchone()
            if known and known[0] != experiment.name:
                text = f"{str(self.folder)!r} contains the experiment {known[0]!r}, not {experiment.name!r}"
                raise ValueError(f"{text}: give another folder")
            connection.execute("INSERT OR REPLACE INTO experiment VALUES (1, ?, ?, ?, ?, ?)", values)
            connection.execute("DELETE FROM cells")
            for position, task in enumerate(experiment.tasks):
                connection.execute("INSERT INTO cells VALUES (?, ?, ?)", (position, task.variant, task.key))
                _register_task(connection, task, hashes[task.key], evaluation)

    def experiment(self) -> Experiment:
        """Return the experiment that was registered last.

        Raises:
            ValueError: if no experiment was registered.
        """
        with self.translate_errors():
            query = "SELECT name, summary, evaluation_network, metrics, findings FROM experiment"
            found = self.connection.execute(query).fetchone()
        if found is None:
            raise ValueError(f"the experiment in {str(self.folder)!r} was not started: run it first")
        name, summary, network, metrics, findings = found
        tasks = tuple(run.task for run in self.runs())
        return Experiment(name, summary, tasks, network, tuple(json.loads(metrics)), tuple(json.loads(findings)))

    def runs(self) -> list[Run]:
        """Return one run for each task, in the order of the tasks."""
        with self.transaction() as connection:
            query = "SELECT variant, runs.* FROM cells JOIN runs USING (key) ORDER BY position"
            cells = connection.execute(query).fetchall()
            found = connection.execute("SELECT key, role, metric, value FROM scores").fetchall()
            registered = connection.execute("SELECT metrics FROM experiment").fetchone()
        order = json.loads(registered["metrics"]) if registered else []
        scores: dict[str, dict[str, dict[str, float]]] = {}
        rank = {metric: i for i, metric in enumerate(order)}
        for key, role, metric, value in sorted(found, key=lambda row: rank.get(row["metric"], 0)):
            scores.setdefault(key, {}).setdefault(role, {})[metric] = float("nan") if value is None else value
        return [run_of(cell, scores.get(cell["key"], {})) for cell in cells]

    def counts(self) -> dict[str, int]:
        """Return the number of runs by status: waiting, running, done and failed."""
        with self.translate_errors():
            found = self.connection.execute(
                "SELECT status, COUNT(*) FROM runs WHERE key IN (SELECT key FROM cells) GROUP BY status"
            ).fetchall()
        return dict.fromkeys(("waiting", "running", "done", "failed"), 0) | dict(found)

    def finished(self) -> list[str]:
        """Return the keys of runs that are done or failed, in the order of the tasks."""
        with self.translate_errors():
            found = self.connection.execute(
                "SELECT DISTINCT key FROM cells JOIN runs USING (key) WHERE status IN ('done', 'failed')"
                " ORDER BY position"
            ).fetchall()
        return [key for (key,) in found]

    def retry(self) -> None:
        """Set failed runs to waiting."""
        with self.transaction() as connection:
            connection.execute("UPDATE runs SET status = 'waiting', attempts = 0, error = NULL WHERE status = 'failed'")

    def _prepare(self) -> None:
        self.connection.row_factory = sqlite3.Row
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = NORMAL")  # runs lost in a power failure are computed again
        with self.transaction() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, VERSION):
                text = f"{str(self.file)!r} has format version {version}, but this impasto reads version {VERSION}"
                raise ValueError(f"{text}: run the experiment in a new folder")
            if version == 0:
                for statement in SCHEMA:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run a block as one transaction: all of its changes are applied, or none; other writers wait."""
        with self.translate_errors():
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self.connection.execute("ROLLBACK")
                raise

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Raise errors of SQLite and the file system as `ValueError` with one line."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise ValueError(f"cannot use the experiment's file {str(self.file)!r}: {reason(error)}") from None


def _input_hashes(tasks: Iterable[Task]) -> dict[str, str]:
    """Return one hash of all input files for the key of each task; every file is read once."""
    files = {task.key: [resolve(task.content), resolve(task.style), *_setting_files(task)] for task in tasks}
    hashes = {path: sha256_of(path) if path.is_file() else "missing" for path in set(chain(*files.values()))}
    texts = {key: " ".join(hashes[path] for path in own) for key, own in files.items()}
    return {key: hashlib.sha256(text.encode()).hexdigest() for key, text in texts.items()}


def _setting_files(task: Task) -> list[Path]:
    """Return the files that the settings of a task name: masks, the start image and weights."""
    method, config = METHODS[task.method], configure(task.method, task.settings)
    names = chain(*method.inputs(config).values())
    weights = None if task.settings.get("weights") is None else method.weights(config)
    return [*map(Path, names), *([] if weights is None else [weights])]


def _register_task(connection: sqlite3.Connection, task: Task, inputs: str, evaluation: str) -> None:
    """Insert the run of a task, or set an existing run to waiting if its inputs or its evaluation changed."""
    values = (task.key, task.method, json.dumps(task.settings), task.content, task.style)
    connection.execute(
        "INSERT INTO runs (key, method, settings, content, style, inputs_sha256, evaluation)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (*values, inputs, evaluation),
    )
    connection.execute(
        "UPDATE runs SET status = 'waiting', runner = NULL, attempts = 0, picture = NULL, inputs_sha256 = ?"
        " WHERE key = ? AND inputs_sha256 != ?",
        (inputs, task.key, inputs),
    )
    connection.execute(
        "UPDATE runs SET status = 'waiting', runner = NULL, attempts = 0, evaluation = ?"
        " WHERE key = ? AND evaluation != ?",
        (evaluation, task.key, evaluation),
    )
