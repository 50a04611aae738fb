"""An experiment's runs in MLflow: settings, curves, figures and pictures, beside those of other programs."""

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

from impasto.experiments.report.losses import KINDS
from impasto.experiments.run import Run
from impasto.experiments.store import Store
from impasto.files import reason

BATCH = 1000
"""Metrics that a server takes at a time."""
LONGEST = 6000
"""Characters of a parameter that a server takes."""


def export(store: Store, uri: str) -> tuple[int, int]:
    """Files every run that is done or failed; returns how many are new there, and how many there are.

    What was filed before is let be, and filed anew where it has changed or was interrupted halfway.

    Args:
        store: the experiment; its name is that of the experiment in MLflow.
        uri: of a server, `http://...`, which keeps the pictures, or of a file, `sqlite:///...`: then the pictures are
            copied into the folder `mlflow` of the experiment.

    Raises:
        ValueError: in one line, without MLflow, and for whatever it refuses.
    """
    with _mlflow(uri) as client:
        experiment = _experiment(client, store, uri)
        known = {run.data.tags.get("impasto.digest"): run for run in _runs(client, experiment)}
        ended = {_digest(run): run for run in store.runs() if run.status in ("done", "failed")}
        stale = [run for digest, run in known.items() if digest not in ended or run.info.status == "RUNNING"]
        for run in stale:
            client.delete_run(run.info.run_id)
        fresh = [digest for digest in ended if digest not in known or known[digest] in stale]
        for digest in fresh:
            _file(client, experiment, ended[digest], digest, store.folder)
    return len(fresh), len(ended)


@contextmanager
def _mlflow(uri: str) -> Iterator[Any]:
    """A client; what goes wrong with it is a `ValueError` in one line."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # by itself it tries for minutes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of its libraries among themselves
        try:
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
            from sqlalchemy.exc import SQLAlchemyError
        except ImportError:
            raise ValueError("MLflow is not installed: pip install impasto[track]") from None
        for chatty in ("mlflow", "alembic"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
        try:
            yield MlflowClient(tracking_uri=uri)
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise ValueError(f"MLflow at {uri!r}: {reason(error)}") from None


def _experiment(client: Any, store: Store, uri: str) -> str:
    """The id of the experiment in MLflow, made where there is none."""
    name = store.experiment().name
    found = client.get_experiment_by_name(name)
    if found is None:
        beside = (store.folder / "mlflow").absolute().as_uri() if uri.startswith("sqlite:") else None
        return str(client.create_experiment(name, artifact_location=beside))
    if found.lifecycle_stage == "deleted":
        raise ValueError(f"MLflow at {uri!r}: the experiment {name!r} was deleted there: restore or purge it first")
    return str(found.experiment_id)


def _runs(client: Any, experiment: str) -> Iterator[Any]:
    """All of ours in an experiment of MLflow."""
    token = None
    while True:
        page = client.search_runs([experiment], "tags.impasto.digest != ''", max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _digest(run: Run) -> str:
    """Hash of a run with its variant's name and all that came of it."""
    return hashlib.sha256(repr(run).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _file(client: Any, experiment: str, run: Run, digest: str, folder: Path) -> None:
    """Files one run; it counts as ended only when all of it is there."""
    from mlflow.entities import Metric, Param, RunTag

    now = int(1000 * time.time())
    task = run.task
    tags = {"mlflow.runName": f"{task.variant}: {Path(task.content).stem} after {Path(task.style).stem}"}
    tags |= {"impasto.digest": digest, "impasto.key": task.key, "impasto.variant": task.variant}
    tags |= {"impasto.error": run.error} if run.error else {}
    made = client.create_run(experiment, start_time=now, tags=tags).info.run_id
    facts = {"variant": task.variant, "method": task.method, "content": task.content, "style": task.style}
    params = [Param(name, str(value)[:LONGEST]) for name, value in (facts | task.settings).items()]
    client.log_batch(made, params=params, tags=[RunTag("impasto.status", run.status)])
    metrics = [Metric(name, value, now + int(1000 * seconds), step) for name, value, seconds, step in _numbers(run)]
    for first in range(0, len(metrics), BATCH):
        client.log_batch(made, metrics=metrics[first : first + BATCH])
    if run.picture is not None and (folder / run.picture).is_file():
        client.log_artifact(made, str(folder / run.picture))
        record = (folder / run.picture).with_suffix(".json")
        if record.is_file():
            client.log_artifact(made, str(record))
    status, end = "FINISHED" if run.status == "done" else "FAILED", now + int(1000 * (run.seconds or 0))
    client.set_terminated(made, status=status, end_time=end)


def _numbers(run: Run) -> Iterator[tuple[str, float, float, int]]:
    """Names, values, seconds since the painting began, and steps: the curves, then what is said of the whole."""
    for step in run.curve:
        for kind in KINDS:
            yield f"curve/{kind}", step.by_kind().get(kind, 0.0), step.seconds, step.index
    last = run.steps or 0
    whole = {name: getattr(run, name) for name in ("seconds", "steps", "evaluations", "peak_memory_mib")}
    whole |= {f"loss/{kind}": value for kind, value in run.losses.items()}
    whole |= {f"metric/{name}": value for name, value in run.metrics.items()}
    for name, value in whole.items():
        if value is not None and value == value:  # MLflow would show a number without meaning as 0
            yield name, float(value), run.seconds or 0.0, last
