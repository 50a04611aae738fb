"""Export the runs of an experiment to MLflow: settings, curves, metrics and images."""

from __future__ import annotations

import hashlib
import logging
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from impasto.experiments.report.curves import KINDS
from impasto.experiments.run import Run
from impasto.experiments.store import Store
from impasto.files import reason

MAX_BATCH = 1000
"""Metric values that an MLflow server accepts in one request."""
MAX_PARAMETER = 6000
"""Characters of a parameter that an MLflow server accepts."""


def export(store: Store, uri: str) -> tuple[int, int]:
    """Export every run that is done or failed.

    Runs that were exported before are skipped; runs that changed, or whose export was interrupted, are exported again.

    Args:
        store: the experiment; MLflow's experiment has the same name.
        uri: a server, `http://HOST:PORT`, which stores the images, or a file, `sqlite:///FILE`; then the images are
            copied to the folder `mlflow` inside the folder of the experiment.

    Returns:
        The number of runs that were exported now, and the number of all runs that are done or failed.

    Raises:
        ValueError: if MLflow is not installed, or if it reports an error.
    """
    with _mlflow(uri) as client:
        experiment = _experiment(client, store, uri)
        known = {run.data.tags.get("impasto.digest"): run for run in _exported_runs(client, experiment)}
        finished = {_digest(run): run for run in store.runs() if run.status in ("done", "failed")}
        stale = [run for digest, run in known.items() if digest not in finished or run.info.status == "RUNNING"]
        for run in stale:
            client.delete_run(run.info.run_id)
        new = [digest for digest in finished if digest not in known or known[digest] in stale]
        for digest in new:
            _export_run(client, experiment, finished[digest], digest, store.folder)
    return len(new), len(finished)


@contextmanager
def _mlflow(uri: str) -> Iterator[Any]:
    """Create a client; raise its errors as `ValueError` with one line."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # by default it retries for minutes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own dependencies warn of each other
        try:
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
            from sqlalchemy.exc import SQLAlchemyError
        except ImportError:
            raise ValueError("MLflow is not installed: pip install impasto[track]") from None
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        try:
            yield MlflowClient(tracking_uri=uri)
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise ValueError(f"MLflow at {uri!r}: {reason(error)}") from None


def _experiment(client: Any, store: Store, uri: str) -> str:
    """Return the id of the experiment in MLflow, which is created if it does not exist."""
    name = store.experiment().name
    found = client.get_experiment_by_name(name)
    if found is None:
        artifacts = (store.folder / "mlflow").absolute().as_uri() if uri.startswith("sqlite:") else None
        return str(client.create_experiment(name, artifact_location=artifacts))
    if found.lifecycle_stage == "deleted":
        raise ValueError(f"MLflow at {uri!r}: the experiment {name!r} was deleted there: restore or purge it first")
    return str(found.experiment_id)


def _exported_runs(client: Any, experiment: str) -> Iterator[Any]:
    """Yield the runs of MLflow's experiment that impasto exported."""
    token = None
    while True:
        page = client.search_runs([experiment], "tags.impasto.digest != ''", max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _digest(run: Run) -> str:
    """Return a hash of a run, including its variant's name and all its results."""
    return hashlib.sha256(repr(run).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _export_run(client: Any, experiment: str, run: Run, digest: str, folder: Path) -> None:
    """Export one run; its status in MLflow is set last, so that an interrupted export is recognized."""
    from mlflow.entities import Metric, Param, RunTag

    now = int(1000 * time.time())
    task = run.task
    tags = {"mlflow.runName": f"{task.variant}: {Path(task.content).stem} with {Path(task.style).stem}"}
    tags |= {"impasto.digest": digest, "impasto.key": task.key, "impasto.variant": task.variant}
    tags |= {"impasto.error": run.error} if run.error else {}
    run_id = client.create_run(experiment, start_time=now, tags=tags).info.run_id
    facts = {"variant": task.variant, "method": task.method, "content": task.content, "style": task.style}
    params = [Param(name, str(value)[:MAX_PARAMETER]) for name, value in (facts | task.settings).items()]
    client.log_batch(run_id, params=params, tags=[RunTag("impasto.status", run.status)])
    metrics = [Metric(name, value, now + int(1000 * seconds), step) for name, value, seconds, step in _values(run)]
    for first in range(0, len(metrics), MAX_BATCH):
        client.log_batch(run_id, metrics=metrics[first : first + MAX_BATCH])
    if run.picture is not None and (folder / run.picture).is_file():
        client.log_artifact(run_id, str(folder / run.picture))
        record = (folder / run.picture).with_suffix(".json")
        if record.is_file():
            client.log_artifact(run_id, str(record))
    status, end = "FINISHED" if run.status == "done" else "FAILED", now + int(1000 * (run.seconds or 0))
    client.set_terminated(run_id, status=status, end_time=end)


def _values(run: Run) -> Iterator[tuple[str, float, float, int]]:
    """Yield name, value, seconds since the start, and step: first of the curves, then of the whole run."""
    for step in run.curve:
        for kind in KINDS:
            yield f"curve/{kind}", step.by_kind().get(kind, 0.0), step.seconds, step.index
    last = run.steps or 0
    values = {name: getattr(run, name) for name in ("seconds", "steps", "evaluations", "peak_memory_mib")}
    values |= {f"loss/{kind}": value for kind, value in run.losses.items()}
    values |= {f"metric/{name.replace('@', '.')}": value for name, value in run.metrics.items()}
    for name, value in values.items():
        if value is not None and value == value:  # MLflow would show NaN as 0
            yield name, float(value), run.seconds or 0.0, last
