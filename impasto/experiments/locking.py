"""Who paints what: several runners share a store, and none does what another does.

A runner holds a lock on a file of its own, which the system releases however the runner ends. So a run is being painted
exactly as long as the lock of the runner that claimed it is held: no clock and no process number is asked.
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
"""Times that a run may take its runner down before it counts as failed."""


@dataclass(frozen=True)
class Claim:
    """A run that a runner has taken upon itself."""

    task: Task
    painted: Run | None
    """How it went, where it is painted already and only to be judged again."""


class Runner:
    """Claims runs within its `with` block; those that it still holds at the end are given back."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._name = secrets.token_hex(8)
        self._file = _lock_file(store, self._name)
        self._lock = FileLock(self._file)

    def __enter__(self) -> Runner:
        with self._store.said():
            self._file.parent.mkdir(exist_ok=True)
            self._lock.acquire(timeout=0)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ValueError):
            _give_back(self._store, self._name, died=False)
        self._lock.release()
        self._file.unlink(missing_ok=True)

    def claim(self) -> Claim | None:
        """Takes the next waiting run, one of a dead runner included; None where there is none."""
        bury(self._store)
        with self._store.transaction() as base:
            found = base.execute(
                "UPDATE runs SET status = 'running', runner = ?, attempts = attempts + 1 WHERE key ="
                " (SELECT key FROM cells JOIN runs USING (key) WHERE status = 'waiting' ORDER BY position LIMIT 1)"
                " RETURNING *, (SELECT variant FROM cells WHERE key = runs.key LIMIT 1) AS variant",
                (self._name,),
            ).fetchall()
        if not found:
            return None
        row = dict(found[0])
        painted = run_of(row | {"status": "done"}, {}) if row["picture"] else None
        return Claim(run_of(row, {}).task, painted)

    def finish(self, run: Run) -> None:
        """Files how a claimed run went; one that was taken away meanwhile, because it is asked otherwise, is let be."""
        values = columns_of(run)
        with self._store.transaction() as base:
            changed = base.execute(
                f"UPDATE runs SET {', '.join(f'{name} = ?' for name in values)}, runner = NULL"
                " WHERE key = ? AND runner = ?",
                (*values.values(), run.task.key, self._name),
            ).rowcount
            if not changed:
                return
            base.execute("DELETE FROM scores WHERE key = ?", (run.task.key,))
            for role, scores in (("output", run.metrics), *run.sanity.items()):
                rows = [(run.task.key, role, metric, value) for metric, value in scores.items()]
                base.executemany("INSERT INTO scores VALUES (?, ?, ?, ?)", rows)


def any_left(store: Store) -> bool:
    """Whether a run is waiting, or held by a runner that is dead."""
    bury(store)
    return store.counts()["waiting"] > 0


def bury(store: Store) -> None:
    """Takes back what runners hold that are dead."""
    with store.said():
        names = store.base.execute("SELECT DISTINCT runner FROM runs WHERE status = 'running'").fetchall()
    for (name,) in names:
        file = _lock_file(store, name)
        lock = FileLock(file)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        _give_back(store, name, died=True)
        lock.release()
        file.unlink(missing_ok=True)


def _give_back(store: Store, name: str, *, died: bool) -> None:
    """What a runner holds waits again; what took down too many of them has failed."""
    reason = f"the process died while painting it, {ATTEMPTS} times; perhaps there was not enough memory"
    held = "WHERE runner = ? AND status = 'running'"
    with store.transaction() as base:
        if died:
            failed = "UPDATE runs SET status = 'failed', runner = NULL, error = ?"
            base.execute(f"{failed} {held} AND attempts >= ?", (reason, name, ATTEMPTS))
        waits = "UPDATE runs SET status = 'waiting', runner = NULL, attempts = attempts - ?"
        base.execute(f"{waits} {held}", (0 if died else 1, name))


def _lock_file(store: Store, name: str) -> Path:
    return store.folder / "runners" / f"{name}.lock"
