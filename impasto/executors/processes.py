"""Carry out tasks in processes on this machine."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import sys
import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, cast

from impasto.executors.base import (
    Capacity,
    Executor,
    Message,
    Start,
    WorkerPool,
    available_cores,
    error_message,
    messages_of,
)

IGNORED_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""A terminal and schedulers send them to all processes of a command: the first process decides when workers end."""


class LocalProcesses(Executor):
    """Worker processes on this machine, which share its threads and its memory.

    A script that is run as a program calls functions with workers below `if __name__ == "__main__":`, because a worker
    imports the script.
    """

    is_local = starts_in_folder = True

    @contextmanager
    def pool(self, start: Start, workers: int) -> Iterator[WorkerPool]:
        """Return a context manager of the workers; arguments as for `Executor.pool`."""
        capacity = self.capacity(workers)
        pool = _ProcessPool(partial(capacity.memory.start, start), capacity.threads)
        try:
            yield pool
        finally:
            pool.close()

    def capacity(self, workers: int, device: str = "cpu") -> Capacity:
        """Return what each worker has; arguments as for `Executor.capacity`. All of them share one GPU."""
        import torch

        from impasto.devices import MemoryShare

        parallel = min(workers, available_cores()) if device == "cpu" else 1
        return Capacity(max(1, torch.get_num_threads() // workers), parallel, MemoryShare.of(workers))


@dataclass(eq=False)
class _Worker:
    process: BaseProcess
    connection: Connection


class _ProcessPool(WorkerPool):
    """Processes that are connected by pipes."""

    def __init__(self, start: Start, threads: int) -> None:
        # Not by the pickler of multiprocessing, for which PyTorch moves tensors into shared memory.
        self._start, self._threads = pickle.dumps(start), threads
        self._context = _context()
        self._workers: dict[Connection, _Worker] = {}

    def start_worker(self) -> Hashable:
        ours, theirs = self._context.Pipe()
        arguments = (theirs, self._start, self._threads, dict(os.environ))
        process = self._context.Process(target=_serve, args=arguments, daemon=True)  # type: ignore[attr-defined]
        process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._workers[ours] = worker
        return worker

    def send(self, worker: Hashable, task: Any) -> None:
        assert isinstance(worker, _Worker)
        with suppress(OSError):  # it died, which `receive` reports
            worker.connection.send_bytes(pickle.dumps(task))

    def receive(self, timeout: float) -> list[tuple[Hashable, Message]]:
        ready = multiprocessing.connection.wait(list(self._workers), timeout)
        return [(self._workers[each], self._message(each)) for each in cast("list[Connection]", ready)]

    def request_stop(self) -> None:
        for connection in self._workers:
            with suppress(OSError):
                connection.send_bytes(b"")

    def close(self) -> None:
        """End all processes at once; what a worker writes is complete or absent."""
        for worker in self._workers.values():
            worker.process.kill()
        for worker in self._workers.values():
            worker.process.join()
            worker.connection.close()

    def _message(self, connection: Connection) -> Message:
        try:
            message: Message = pickle.loads(connection.recv_bytes())
        except (EOFError, OSError):
            worker = self._workers.pop(connection)
            worker.process.kill()
            worker.process.join()
            connection.close()
            return Message("died")
        return message


def _context() -> BaseContext:
    """Return how processes are started.

    On Linux they are forks of a process that has imported PyTorch, which takes two seconds in each process otherwise;
    PyTorch has no threads there yet. Other systems do not support that, or not safely.
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch"])  # no effect if the program has started such a process before
    return context


def _serve(connection: Connection, start: bytes, threads: int, environment: dict[str, str]) -> None:
    """Carry out tasks in a worker process until the connection is closed."""
    for name in IGNORED_SIGNALS:
        if hasattr(signal, name):  # no SIGHUP on Windows
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    os.environ.clear()
    os.environ.update(environment)  # that of the process that imported PyTorch may be older
    import torch

    torch.set_num_threads(threads)
    with suppress(EOFError, OSError):
        try:
            work = pickle.loads(start)()
        except Exception as error:
            _send(connection, error_message(error))
            return
        _send(connection, Message("ready"))
        while True:
            task = connection.recv_bytes()
            if task:  # an empty message asks to stop
                for message in messages_of(work, pickle.loads(task), connection.poll):
                    _send(connection, message)


def _send(connection: Connection, message: Message) -> None:
    connection.send_bytes(pickle.dumps(message))


def _exit_with_parent() -> None:
    """End this process when the one that started it has ended, however that happened."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
