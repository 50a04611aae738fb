"""Carry out tasks on a Ray cluster.

Each machine needs this package, and the files that tasks name, if they do, under the same paths.
"""

from __future__ import annotations

import os
import pickle
import secrets
import signal
import threading
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from impasto.executors.base import (
    Capacity,
    Executor,
    Message,
    Start,
    Work,
    WorkerPool,
    available_cores,
    error_message,
    messages_of,
)
from impasto.files import reason

if TYPE_CHECKING:
    from impasto.devices import MemoryShare

FOLDER_VARIABLES = {"IMPASTO_WEIGHTS", "IMPASTO_CACHE"}
"""Variables that name folders, several of them separated as in PATH; `~` is the home folder of the worker."""
CONNECT_ATTEMPTS = 4
"""Attempts to start a local cluster: Ray gives its processes 30 s, which is too short on a busy machine."""


class RayCluster(Executor):
    """Workers with one core each on a Ray cluster.

    Args:
        address: address of a cluster, as Ray defines it. Default: start a cluster on this machine that listens on
            127.0.0.1 only and requires a random token.
        gpus: number of GPUs of each worker, which may be a fraction. Default: 1 if the cluster has GPUs, else 0.
    """

    def __init__(self, address: str | None = None, gpus: float | None = None) -> None:
        self._address, self._gpus = address, gpus
        self.is_local = address is None

    @contextmanager
    def pool(self, start: Start, workers: int) -> Iterator[WorkerPool]:
        """Return a context manager of the workers; arguments as for `Executor.pool`."""
        with _environment(local=self.is_local):
            try:
                import ray
            except ImportError:
                raise ValueError("Ray is not installed: pip install impasto[scale]") from None
            try:
                with _without_logs(ray):
                    _read_variables(ray)
                    _connect(ray, workers, self._address)
                    options = _options(ray, workers, self._gpus)
                    share = _memory_share(workers, options["num_gpus"], local=self.is_local)
                    yield _RayPool(ray, partial(share.start, start), options)
            except ray.exceptions.RayError as error:
                raise ValueError(f"Ray: {reason(error)}") from None
            finally:
                ray.shutdown()

    def capacity(self, workers: int, device: str = "cpu") -> Capacity:
        """Return what each worker has, without connecting to the cluster; arguments as for `Executor.capacity`.

        The machines of a cluster with an address are assumed to be like this one, with enough cores and GPUs.
        """
        gpus = 1.0 if self._gpus is None else self._gpus
        parallel = min(workers, available_cores()) if self.is_local else workers
        if device != "cpu":
            parallel = max(1, min(workers, int(workers * gpus)))
        return Capacity(1, parallel, _memory_share(workers, gpus, local=self.is_local))


class ImpastoWorker:
    """A process of the cluster. Ray shows the name of this class.

    Args:
        start: pickled function that returns the function that carries out tasks.
        environment: variables of the process that distributes the tasks, for those that the machine has no value of.
    """

    def __init__(self, start: bytes, environment: Mapping[str, str]) -> None:
        self._start, self._environment = start, environment
        self._stopped = threading.Event()
        self._work: Work

    def begin(self) -> Iterator[Message]:
        """Read what all tasks need, and report `ready`."""
        for name, value in self._environment.items():
            os.environ.setdefault(name, value)
        try:
            self._work = pickle.loads(self._start)()
        except Exception as error:
            yield error_message(error)
        else:
            yield Message("ready")

    def work(self, task: Any) -> Iterator[Message]:
        """Carry out a task."""
        yield from messages_of(self._work, task, self._stopped.is_set)

    def stop(self) -> None:
        """End the task as soon as possible; called in the concurrency group "stop", a thread of its own."""
        self._stopped.set()


class _RayPool(WorkerPool):
    """Actors of Ray, whose messages are streams of objects."""

    def __init__(self, ray: Any, start: Start, options: Mapping[str, Any]) -> None:
        self._ray = ray
        # One thread has all tasks: two would exchange the titles by which `ps` shows what a worker does.
        self._actor = ray.remote(concurrency_groups={"stop": 1})(ImpastoWorker).options(**options)
        self._arguments = pickle.dumps(start), _variables()
        self._streams: dict[Any, Hashable] = {}

    def start_worker(self) -> Hashable:
        worker = self._actor.remote(*self._arguments)
        self._streams[worker.begin.options(num_returns="streaming").remote()] = worker
        return worker  # type: ignore[no-any-return]

    def send(self, worker: Any, task: Any) -> None:
        self._streams[worker.work.options(num_returns="streaming").remote(task)] = worker

    def receive(self, timeout: float) -> list[tuple[Hashable, Message]]:
        ready, _ = self._ray.wait(list(self._streams), num_returns=1, timeout=timeout)
        return [(self._streams[stream], self._message(stream)) for stream in ready]

    def request_stop(self) -> None:
        for worker in set(self._streams.values()):
            worker.stop.options(concurrency_group="stop").remote()  # type: ignore[attr-defined]

    def _message(self, stream: Any) -> Message:
        try:
            message: Message = self._ray.get(next(stream))
        except self._ray.exceptions.RayError:
            message = Message("died")
            self._ray.kill(self._streams[stream])  # Ray also reports workers that it cannot reach
        if message.kind not in ("value", "warning"):
            del self._streams[stream]
        return message


def _variables() -> dict[str, str]:
    """Return the environment variables of impasto, with absolute paths: a worker may have another current folder."""
    found = {name: value for name, value in os.environ.items() if name.startswith("IMPASTO_")}
    for name in FOLDER_VARIABLES & found.keys():
        folders = filter(None, map(str.strip, found[name].split(os.pathsep)))
        found[name] = os.pathsep.join(each if each.startswith("~") else os.path.abspath(each) for each in folders)
    return found


def _options(ray: Any, workers: int, gpus: float | None) -> dict[str, Any]:
    """Return the resources of a worker; raise `ValueError` if the cluster has too few of them."""
    available: Mapping[str, float] = ray.cluster_resources()
    gpus_each = min(1.0, available.get("GPU", 0)) if gpus is None else gpus
    for kind, each in (("CPU", 1.0), ("GPU", gpus_each)):
        if workers * each > available.get(kind, 0):
            text = f"{workers} workers need {each:g} {kind} each, but the cluster has {available.get(kind, 0):g}"
            advice = "give a fraction with --gpus" if kind == "GPU" else "give fewer workers"
            raise ValueError(f"--workers: {text}: {advice}")
    return {"num_cpus": 1, "num_gpus": gpus_each, "scheduling_strategy": "SPREAD"}


def _memory_share(workers: int, gpus: float, *, local: bool) -> MemoryShare:
    """Return the share of a worker; on a cluster of several machines, Ray decides how many workers each of them has."""
    from impasto.devices import MemoryShare

    main = MemoryShare.of(workers).main if local else None
    return MemoryShare(main, min(1.0, gpus) or 1.0)


def _connect(ray: Any, workers: int, address: str | None) -> None:
    size = {"num_cpus": workers, "include_dashboard": False} if address is None else {}
    for attempt in range(1, CONNECT_ATTEMPTS + 1):
        try:
            with _kept_signal_handlers():
                ray.init(address or "local", logging_level="ERROR", log_to_driver=False, **size)
            return
        except Exception as error:  # Ray raises a dozen types, among them bare `Exception`
            if address or attempt == CONNECT_ATTEMPTS or "timed out during startup" not in str(error):
                raise ValueError(f"Ray{f' at {address!r}' if address else ''}: {reason(error)}") from None
            ray.shutdown()


def _read_variables(ray: Any) -> None:
    """Let Ray read its variables again: it did so when the program imported it or started another cluster.

    It would use that token, and be refused. It has no public function for this.
    """
    ray._raylet.Config.initialize("")
    ray._raylet.AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _without_logs(ray: Any) -> Iterator[None]:
    """Keep Ray from printing the death of a worker to stdout, which may take JSON; it has no public setting for it."""
    module = ray._private.worker
    before = vars(module).get("_worker_logs_enabled", True)
    module._worker_logs_enabled = False
    try:
        yield
    finally:
        module._worker_logs_enabled = before


@contextmanager
def _kept_signal_handlers() -> Iterator[None]:
    """Restore the handler of SIGTERM, which Ray replaces by one that ends the process."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


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
