"""Paints what an experiment asks for on a Ray cluster; the store stays here, and pictures travel as bytes.

The machines of the cluster need no folder in common, only this package: whatever is drawn or read by name must lie at
the same place on each of them.
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
from impasto.experiments.locking import ATTEMPTS, Claim, Runner
from impasto.experiments.run import Run, Task
from impasto.experiments.runner import OnRun, carried_out
from impasto.experiments.scoring import Judge
from impasto.experiments.store import Store
from impasto.files import reason, write_atomically

STARTS = 4
"""Times that a cluster is started here: Ray allows its processes 30 s, too few on a busy machine."""

Files = dict[str, bytes]
"""Contents of files, by their paths relative to the experiment's folder."""


class Stylizer:
    """Paints and judges in a process of the cluster, in folders that are thrown away."""

    def __init__(self, judge: str, metrics: tuple[str, ...]) -> None:
        self._judge = Judge(judge, metrics)

    def paint(self, task: Task, painted: Run | None, files: Files) -> tuple[Run, Files]:
        """How a run went, and what it made; one that is painted already, in `files`, is only judged."""
        with TemporaryDirectory() as name:
            folder = Path(name)
            for path, content in files.items():
                write_atomically(folder / path, content)
            run = carried_out(Claim(task, painted), folder, self._judge)
            there = (path for path in folder.rglob("*") if path.is_file())
            made = {str(path.relative_to(folder)): path.read_bytes() for path in there}
        return run, {path: content for path, content in made.items() if path not in files}


def work_on_ray(
    folder: str | Path,
    experiment: Experiment,
    *,
    workers: int,
    address: str | None = None,
    gpus: float | None = None,
    on_run: OnRun | None = None,
) -> None:
    """As `work`, by `workers` processes of a cluster at a time, each on one thread.

    A process that dies is replaced, and what it painted is begun anew, three times at most.

    Args:
        folder: the experiment's; only this process writes there.
        experiment: what is enrolled there.
        workers: how many paintings are made at a time.
        address: of a cluster, as Ray has it; unless given, one is started on this machine for as long as it is needed,
            which listens to nobody outside and to nobody without its token.
        gpus: share of a GPU that each worker takes; 1 where the cluster has any, unless given.
        on_run: called with every run that ends.

    Raises:
        ValueError: in one line, without Ray, without a cluster at the address, and where it is too small.
    """
    store = Store(folder)
    try:
        with _ray(workers, address) as ray, Runner(store) as runner:
            hired = _hired(ray, experiment, workers, gpus)
            _share_out(ray, hired, runner, store, on_run)
    finally:
        store.close()


def _share_out(ray: Any, free: list[Any], runner: Runner, store: Store, on_run: OnRun | None) -> None:
    """Gives each painter a run, and the next when it is done, until none is left."""
    busy: dict[Any, tuple[Any, Claim]] = {}
    while True:
        while free and (claim := runner.claim()):
            stylizer = free.pop()
            asked = stylizer.paint.remote(claim.task, claim.painted, _files_of(claim, store.folder))
            busy[asked] = stylizer, claim
        if not busy:
            return
        (ended, *_), _ = ray.wait(list(busy), num_returns=1)
        stylizer, claim = busy.pop(ended)
        free.append(stylizer)
        run = _brought_home(ray, ended, claim, store.folder)
        runner.finish(run)
        if on_run is not None:
            on_run(run)


def _brought_home(ray: Any, ended: Any, claim: Claim, folder: Path) -> Run:
    """Writes what a painter made into the experiment's folder; one that died too often has failed."""
    run: Run
    files: Files
    try:
        run, files = ray.get(ended)
    except ray.exceptions.RayActorError:
        text = f"the process died while painting it, {ATTEMPTS} times; perhaps there was not enough memory"
        return Run(claim.task, "failed", error=text)
    try:
        for path, content in sorted(files.items()):  # the record, NAME.json, before the picture
            write_atomically(folder / path, content)
    except ValueError as error:
        return replace(run, status="failed", error=str(error), picture=None)
    return run


def _files_of(claim: Claim, folder: Path) -> Files:
    """The painting that is only to be judged."""
    picture = claim.painted.picture if claim.painted else None
    if picture is None or not (folder / picture).is_file():
        return {}
    return {picture: (folder / picture).read_bytes()}


def _hired(ray: Any, experiment: Experiment, workers: int, gpus: float | None) -> list[Any]:
    """The painters, each with a core of the cluster and its share of a GPU."""
    has: Mapping[str, float] = ray.cluster_resources()
    share = min(1.0, has.get("GPU", 0)) if gpus is None else gpus
    for kind, each in (("CPU", 1.0), ("GPU", share)):
        if workers * each > has.get(kind, 0):
            text = f"{workers} workers of {each:g} {kind} each, but the cluster has {has.get(kind, 0):g}"
            raise ValueError(f"--workers: {text}{': give --gpus, a share of one' if kind == 'GPU' else ''}")
    options = {"num_cpus": 1, "num_gpus": share, "max_restarts": -1, "max_task_retries": ATTEMPTS - 1}
    stylizer = ray.remote(Stylizer).options(**options)
    return [stylizer.remote(experiment.judge, experiment.metrics) for _ in range(workers)]


@contextmanager
def _ray(workers: int, address: str | None) -> Iterator[Any]:
    """Ray, connected to a cluster; what goes wrong there is a `ValueError` in one line."""
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
    for attempt in range(1, STARTS + 1):
        try:
            ray.init(address or "local", logging_level="ERROR", log_to_driver=False, **size)
            return
        except Exception as error:  # of a dozen kinds, some of them bare
            if address or attempt == STARTS or "timed out during startup" not in str(error):
                raise ValueError(f"Ray{f' at {address!r}' if address else ''}: {reason(error)}") from None
            ray.shutdown()


@contextmanager
def _environment(*, local: bool) -> Iterator[None]:
    """What Ray reads from the environment; by itself it asks for no token and listens on every network."""
    asked = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": os.environ.get("RAY_AUTH_MODE", "token")}
    if local:
        asked |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        asked["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # which on every system means: 127.0.0.1
    before = {name: os.environ.get(name) for name in asked}
    os.environ.update(asked)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
