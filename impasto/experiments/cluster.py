"""Run the tasks of an experiment on a Ray cluster.

The store stays on this machine, and images travel as bytes. The machines of the cluster need no common folder, but each
needs this package, and files that the experiment names must have the same path on each of them.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from impasto.experiments.expand import Experiment
from impasto.experiments.locking import ATTEMPTS, DIED, Claim, Runner
from impasto.experiments.run import Run, Task
from impasto.experiments.runner import OnRun, execute
from impasto.experiments.scoring import Scorer
from impasto.experiments.store import Store
from impasto.files import reason, write_atomically

START_ATTEMPTS = 4
"""Attempts to start a local cluster: Ray gives its processes 30 s, which is too short on a busy machine."""

Files = dict[str, bytes]
"""Contents of files by their paths relative to the folder of the experiment."""


class Worker:
    """Run tasks in a process of the cluster, in temporary folders.

    Args:
        evaluation_network: name of the backbone whose features the metrics compare.
        metrics: names of the metrics.
    """

    def __init__(self, evaluation_network: str, metrics: tuple[str, ...]) -> None:
        self._scorer = Scorer(evaluation_network, metrics)

    def run(self, task: Task, stylized: Run | None, files: Files) -> tuple[Run, Files]:
        """Run a task and return its results and its files.

        Args:
            task: the task.
            stylized: earlier result, if the run only needs a new evaluation.
            files: the image of the earlier result.

        Returns:
            The run, and the files that it produced.
        """
        with TemporaryDirectory() as name:
            folder = Path(name)
            for path, content in files.items():
                write_atomically(folder / path, content)
            run = execute(Claim(task, stylized), folder, self._scorer)
            found = (path for path in folder.rglob("*") if path.is_file())
            contents = {str(path.relative_to(folder)): path.read_bytes() for path in found}
        return run, {path: content for path, content in contents.items() if path not in files}


def run_on_ray(
    folder: str | Path,
    experiment: Experiment,
    *,
    workers: int,
    address: str | None = None,
    gpus: float | None = None,
    on_run: OnRun | None = None,
) -> None:
    """Run waiting tasks on a Ray cluster, with one thread for each worker.

    A worker that dies is replaced, and its run starts again, up to `ATTEMPTS` times.

    Args:
        folder: folder of the experiment; only this process writes there.
        experiment: the experiment, registered in the folder.
        workers: number of runs at a time.
        address: address of a cluster, as Ray defines it. Default: start a cluster on this machine that listens on
            127.0.0.1 only and requires a random token.
        gpus: number of GPUs of each worker, which may be a fraction. Default: 1 if the cluster has GPUs, else 0.
        on_run: called with every run that finishes.

    Raises:
        ValueError: if Ray is not installed, if no cluster answers at the address, or if the cluster is too small.
    """
    store = Store(folder)
    try:
        with _ray(workers, address) as ray, Runner(store) as runner:
            _distribute(ray, _start_workers(ray, experiment, workers, gpus), runner, store, on_run)
    finally:
        store.close()


def _distribute(ray: Any, idle: list[Any], runner: Runner, store: Store, on_run: OnRun | None) -> None:
    """Give each idle worker a run until no run is left."""
    busy: dict[Any, tuple[Any, Claim]] = {}
    while True:
        while idle and (claim := runner.claim()):
            worker = idle.pop()
            future = worker.run.remote(claim.task, claim.stylized, _files_of(claim, store.folder))
            busy[future] = worker, claim
        if not busy:
            return
        (ended, *_), _ = ray.wait(list(busy), num_returns=1)
        worker, claim = busy.pop(ended)
        idle.append(worker)
        run = _collect(ray, ended, claim, store.folder)
        runner.finish(run)
        if on_run is not None:
            on_run(run)


def _collect(ray: Any, future: Any, claim: Claim, folder: Path) -> Run:
    """Write the files of a run to the folder of the experiment; a run whose workers died too often has failed."""
    run: Run
    files: Files
    try:
        run, files = ray.get(future)
    except ray.exceptions.RayActorError:
        return Run(claim.task, "failed", error=DIED)
    try:
        for path, content in sorted(files.items()):  # the record NAME.json before the image NAME.png
            write_atomically(folder / path, content)
    except ValueError as error:
        return replace(run, status="failed", error=str(error), picture=None)
    return run


def _files_of(claim: Claim, folder: Path) -> Files:
    """Return the image that only needs a new evaluation."""
    picture = claim.stylized.picture if claim.stylized else None
    if picture is None or not (folder / picture).is_file():
        return {}
    return {picture: (folder / picture).read_bytes()}


def _start_workers(ray: Any, experiment: Experiment, workers: int, gpus: float | None) -> list[Any]:
    """Start the workers, each with one core of the cluster and its number of GPUs."""
    available: Mapping[str, float] = ray.cluster_resources()
    gpus_each = min(1.0, available.get("GPU", 0)) if gpus is None else gpus
    for kind, each in (("CPU", 1.0), ("GPU", gpus_each)):
        if workers * each > available.get(kind, 0):
            text = f"{workers} workers need {each:g} {kind} each, but the cluster has {available.get(kind, 0):g}"
            advice = "give a fraction with --gpus" if kind == "GPU" else "give fewer workers"
            raise ValueError(f"--workers: {text}: {advice}")
    options = {"num_cpus": 1, "num_gpus": gpus_each, "max_restarts": -1, "max_task_retries": ATTEMPTS - 1}
    worker = ray.remote(Worker).options(**options)
    return [worker.remote(experiment.evaluation_network, experiment.metrics) for _ in range(workers)]


@contextmanager
def _ray(workers: int, address: str | None) -> Iterator[Any]:
    """Connect Ray to a cluster; raise its errors as `ValueError` with one line."""
    with _environment(local=address is None):
        try:
            import ray
        except ImportError:
            raise ValueError("Ray is not installed: pip install impasto[scale]") from None
        try:
            _connect(ray, workers, address)
            yield ray
        except ray.exceptions.RayError as error:
            raise ValueError(f"Ray: {reason(error)}") from None
        finally:
            ray.shutdown()


def _connect(ray: Any, workers: int, address: str | None) -> None:
    size = {"num_cpus": workers, "include_dashboard": False} if address is None else {}
    for attempt in range(1, START_ATTEMPTS + 1):
        try:
            ray.init(address or "local", logging_level="ERROR", log_to_driver=False, **size)
            return
        except Exception as error:  # Ray raises a dozen types, among them bare `Exception`
            if address or attempt == START_ATTEMPTS or "timed out during startup" not in str(error):
                raise ValueError(f"Ray{f' at {address!r}' if address else ''}: {reason(error)}") from None
            ray.shutdown()


@contextmanager
def _environment(*, local: bool) -> Iterator[None]:
    """Set the environment variables of Ray, which by default requires no token and listens on every network."""
    values = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": os.environ.get("RAY_AUTH_MODE", "token")}
    if local:
        values |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        values["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # on every system this binds to 127.0.0.1
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
