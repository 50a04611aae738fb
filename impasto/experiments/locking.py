"""Distribute waiting runs among several processes so that no run is computed twice.

Each runner holds a lock on a file, which the operating system releases however the process ends. A run is in progress
exactly as long as the lock of its runner is held, so that no timeout and no process id is needed.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from impasto.experiments.rows import columns_of, run_of
from impasto.experiments.run import Run, Task
from impasto.experiments.store import Store

ATTEMPTS = 3
"""Attempts after which a run whose process died counts as failed."""
DIED = f"the process died while computing this run, {ATTEMPTS} times; there may be too little memory"


@dataclass(frozen=True)
class Claim:
    """A run that a runner has reserved."""

    task: Task
    stylized: Run | None
    """Earlier result, if the run only needs a new evaluation."""


class Runner:
    """Claim runs inside a `with` block; claims that are not finished at its end are released."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._name = secrets.token_hex(8)
        self._file = _lock_file(store, self._name)
        self._lock = FileLock(self._file)

    def __enter__(self) -> Runner:
        with self._store.translate_errors():
            self._file.parent.mkdir(exist_ok=True)
            self._lock.acquire(timeout=0)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ValueError):
            _release(self._store, self._name, died=False)
        self._lock.release()
        _remove(self._file)

    def claim(self) -> Claim | None:
        """Claim the next waiting run, including runs of dead processes.

        Returns:
            The claim, or None if no run is waiting.
        """
        reclaim(self._store)
        with self._store.transaction() as connection:
            found = connection.execute(
                "UPDATE runs SET status = 'running', runner = ?, attempts = attempts + 1 WHERE key ="
                " (SELECT key FROM cells JOIN runs USING (key) WHERE status = 'waiting' ORDER BY position LIMIT 1)"
                " RETURNING *, (SELECT variant FROM cells WHERE key = runs.key LIMIT 1) AS variant",
                (self._name,),
            ).fetchall()
        if not found:
            return None
        row = dict(found[0])
        stylized = run_of(row | {"status": "done"}, {}) if row["picture"] else None
        return Claim(run_of(row, {}).task, stylized)

    def finish(self, run: Run) -> None:
        """Store the results of a claimed run.

        A run that was set to waiting in the meantime, because the experiment changed, is left as it is.
        """
        values = columns_of(run)
        with self._store.transaction() as connection:
            changed = connection.execute(
                f"UPDATE runs SET {', '.join(f'{name} = ?' for name in values)}, runner = NULL"
                " WHERE key = ? AND runner = ?",
                (*values.values(), run.task.key, self._name),
            ).rowcount
            if not changed:
                return
            connection.execute("DELETE FROM scores WHERE key = ?", (run.task.key,))
            for role, scores in (("output", run.metrics), *run.sanity.items()):
                rows = [(run.task.key, role, metric, value) for metric, value in scores.items()]
                connection.executemany("INSERT INTO scores VALUES (?, ?, ?, ?)", rows)


def reclaim(store: Store) -> None:
    """Set runs that were claimed by dead processes to waiting, or to failed after `ATTEMPTS` attempts."""
    with store.translate_errors():
        names = store.connection.execute("SELECT DISTINCT runner FROM runs WHERE status = 'running'").fetchall()
    for (name,) in names:
        file = _lock_file(store, name)
        lock = FileLock(file)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        _release(store, name, died=True)
        lock.release()
        _remove(file)


def _release(store: Store, name: str, *, died: bool) -> None:
    """Set the claimed runs of a runner to waiting; if it died in too many attempts, to failed."""
    claimed = "WHERE runner = ? AND status = 'running'"
    with store.transaction() as connection:
        if died:
            failed = "UPDATE runs SET status = 'failed', runner = NULL, error = ?"
            connection.execute(f"{failed} {claimed} AND attempts >= ?", (DIED, name, ATTEMPTS))
        waits = "UPDATE runs SET status = 'waiting', runner = NULL, attempts = attempts - ?"
        connection.execute(f"{waits} {claimed}", (0 if died else 1, name))


def _remove(file: Path) -> None:
    """Remove the file of a lock, unless another process has opened it, which Windows does not allow."""
    with suppress(PermissionError):
        file.unlink(missing_ok=True)


def _lock_file(store: Store, name: str) -> Path:
    return store.folder / "runners" / f"{name}.lock"
