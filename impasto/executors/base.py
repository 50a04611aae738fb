"""Define executors, and distribute tasks among their workers.

A task is a small value that can be pickled, such as a path: a worker opens the files itself. Each worker has one task
at a time, and no more than one task per worker is taken from the tasks in advance, so that their number does not matter
for the memory.
"""

from __future__ import annotations

import os
import socket
import traceback
import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from impasto.files import reason

if TYPE_CHECKING:
    from impasto.devices import MemoryShare

Runners = Literal["processes", "ray"]
RUNNERS: tuple[Runners, ...] = ("processes", "ray")
"""Names of the executors."""
IsStopped = Callable[[], bool]
"""Returns whether the work is to end as soon as possible."""
Work = Callable[[Any, IsStopped], Iterator[Any]]
"""Carries out a task and yields values for the process that distributes the tasks."""
Start = Callable[[], Work]
"""Called once in each worker, after it was pickled; reads what all tasks need, such as networks."""
ATTEMPTS = 2
"""Workers that may die with a task until it has failed."""
START_ATTEMPTS = 3
"""Workers that may die one after the other before they are ready."""
POLL_INTERVAL = 0.1
"""Seconds between two checks whether the work is to end."""


@dataclass(frozen=True)
class Outcome:
    """A value that a task yielded, or its failure."""

    task: Any
    value: Any = None
    died: bool = False
    """Whether the task failed, because every worker that carried it out died."""


@dataclass(frozen=True)
class Message:
    """What a worker reports."""

    kind: Literal["ready", "value", "warning", "end", "error", "died"]
    content: Any = None


@dataclass(frozen=True)
class Capacity:
    """What the workers of an executor have, for a prediction."""

    threads: int
    """Threads of each worker."""
    parallel: int
    """Number of workers that compute at a time without slowing each other down."""
    memory: MemoryShare
    """What each worker may use."""

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give this process the threads and the memory of a worker within the block."""
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            with self.memory.applied():
                yield
        finally:
            torch.set_num_threads(before)


def available_cores() -> int:
    """Return the number of cores of this machine that the process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class WorkerPool(ABC):
    """Workers that were started; a worker is identified by a hashable value."""

    @abstractmethod
    def start_worker(self) -> Hashable:
        """Start a worker, and return it; it reports `ready`."""

    @abstractmethod
    def send(self, worker: Hashable, task: Any) -> None:
        """Give a task to a worker that has none; it reports values and then `end` with the last one, or `error`."""

    @abstractmethod
    def receive(self, timeout: float) -> list[tuple[Hashable, Message]]:
        """Return the messages that have come, after at most `timeout` seconds; a worker that ended reports `died`."""

    @abstractmethod
    def request_stop(self) -> None:
        """Request that all workers end their tasks as soon as possible."""


class Executor(ABC):
    """A kind of worker processes, and where they run."""

    is_local: bool = False
    """Whether the workers run on this machine and share its memory."""
    starts_in_folder: bool = False
    """Whether the workers start in the current folder of this process."""

    @abstractmethod
    def pool(self, start: Start, workers: int) -> AbstractContextManager[WorkerPool]:
        """Return a context manager of the workers, which ends all of them at the end of its block.

        Args:
            start: called once in each worker; returns the function that carries out tasks.
            workers: largest number of workers at a time.

        Raises:
            ValueError: in one line, if they cannot be started.
        """

    def capacity(self, workers: int, device: str = "cpu") -> Capacity:
        """Return what each of several workers has; here a core and a machine, or a GPU, of its own.

        Args:
            workers: number of workers.
            device: type of the device that they compute with: `cpu`, `cuda`, `mps` or `xpu`.
        """
        from impasto.devices import MemoryShare

        return Capacity(1, workers, MemoryShare())

    def run(
        self,
        start: Start,
        tasks: Iterable[Any],
        *,
        workers: int,
        attempts: int = ATTEMPTS,
        is_stopped: IsStopped = lambda: False,
    ) -> Iterator[Outcome]:
        """Carry out tasks, and yield what they yield, in the order in which that happens.

        A worker that dies is replaced, and its task is carried out again. Warnings of the workers are issued in this
        process. Closing the iterator ends the workers at once. Tasks may name files relative to the current folder,
        which each machine needs under the same path.

        Args:
            start: called once in each worker; returns the function that carries out tasks.
            tasks: values that can be pickled.
            workers: largest number of workers.
            attempts: number of workers that may die with a task until it has failed.
            is_stopped: when it returns True, no further task is begun, and those in progress end.

        Raises:
            ValueError: if the workers cannot be started, or if one raises it.
            RuntimeError: if a worker raises another exception.
        """
        if not self.starts_in_folder:
            start = partial(_start_in, os.getcwd(), start)
        with self.workers(start, workers, attempts=attempts) as started:
            yield from started.run(tasks, is_stopped)

    @contextmanager
    def workers(self, start: Start, count: int, *, attempts: int = ATTEMPTS) -> Iterator[Workers]:
        """Return a context manager of workers that carry out tasks again and again, until the end of its block.

        Neither the start nor the tasks may name files: another machine may lack the current folder.

        Args:
            start: called once in each worker; returns the function that carries out tasks.
            count: largest number of workers.
            attempts: as for `run`.

        Raises:
            ValueError: if the workers cannot be started.
        """
        with self.pool(start, count) as pool:
            yield Workers(pool, count, attempts)


def _start_in(folder: str, start: Start) -> Work:
    """Change the current folder of a worker, and return the function that carries out tasks.

    Raises:
        ValueError: if the machine lacks the folder, or a file that is read at the start.
    """
    try:
        os.chdir(folder)
        return start()
    except OSError as error:
        text = f"the machine {socket.gethostname()!r} cannot use {error.filename or folder!r}: {reason(error)}"
        raise ValueError(f"{text}; all machines need the same folders") from None


def messages_of(work: Work, task: Any, is_stopped: IsStopped) -> Iterator[Message]:
    """Carry out a task in a worker, and yield what it reports.

    The last value is reported with the end: otherwise a worker that dies between the two would report it, and the next
    one again.
    """
    with warnings.catch_warnings(record=True) as caught:
        last: list[Any] = []
        try:
            for value in work(task, is_stopped):
                yield from _take_warnings(caught)
                yield from (Message("value", each) for each in last)
                last = [value]
        except Exception as error:
            yield error_message(error)
        else:
            yield from _take_warnings(caught)
            yield Message("end", last)


def error_message(error: Exception) -> Message:
    """Return the report of an exception: that of a user's mistake with one line, another with its traceback."""
    if isinstance(error, ValueError):
        return Message("error", (True, str(error)))
    return Message("error", (False, "".join(traceback.format_exception(error))))


def _take_warnings(caught: list[warnings.WarningMessage]) -> Iterator[Message]:
    while caught:
        each = caught.pop(0)
        yield Message("warning", (str(each.message), each.category))


@dataclass(eq=False)
class _Assignment:
    """A task, and how many workers died with it."""

    task: Any
    deaths: int = 0


class Workers:
    """Distribute tasks among the workers of a pool; a worker is started when a task has none.

    Args:
        pool: the workers.
        count: largest number of workers.
        attempts: number of workers that may die with a task until it has failed.
    """

    def __init__(self, pool: WorkerPool, count: int, attempts: int) -> None:
        self._pool, self._count, self._attempts = pool, count, attempts
        self._stopping = False
        self._pending: deque[_Assignment] = deque()
        self._starting: set[Hashable] = set()
        self._idle: list[Hashable] = []
        self._busy: dict[Hashable, _Assignment] = {}
        self._deaths_at_start = 0

    def run(self, tasks: Iterable[Any], is_stopped: IsStopped = lambda: False) -> Iterator[Outcome]:
        """Carry out tasks, and yield what they yield, in the order in which that happens.

        The iterator must be used up before tasks are carried out again.

        Args:
            tasks: values that can be pickled.
            is_stopped: when it returns True, no further task is begun, and those in progress end.

        Raises:
            ValueError, RuntimeError: as `Executor.run`.
        """
        left = iter(tasks)
        found: list[Outcome] = []
        while True:
            self._check_stopped(is_stopped)
            self._dispatch(left)  # before the outcomes are handled, so that no worker waits for that
            yield from found
            if not self._busy and not self._pending:
                return
            received = self._pool.receive(POLL_INTERVAL)
            found = [outcome for worker, message in received for outcome in self._handle(worker, message)]

    def _check_stopped(self, is_stopped: IsStopped) -> None:
        if not self._stopping and is_stopped():
            self._stopping = True
            self._pending.clear()
            self._pool.request_stop()

    def _dispatch(self, tasks: Iterator[Any]) -> None:
        """Give tasks to workers without one, and start workers for tasks without one."""
        while not self._stopping and len(self._pending) + len(self._busy) < self._count:
            try:
                self._pending.append(_Assignment(next(tasks)))
            except StopIteration:
                break
        while len(self._starting) + len(self._idle) < len(self._pending):
            self._starting.add(self._pool.start_worker())
        while self._idle and self._pending:
            worker, job = self._idle.pop(), self._pending.popleft()
            self._busy[worker] = job
            self._pool.send(worker, job.task)

    def _handle(self, worker: Hashable, message: Message) -> Iterator[Outcome]:
        if message.kind == "value":
            yield Outcome(self._busy[worker].task, message.content)
        elif message.kind == "warning":
            text, category = message.content
            warnings.warn(text, category, stacklevel=2)
        elif message.kind == "error":
            is_mistake, text = message.content
            raise ValueError(text) if is_mistake else RuntimeError(f"in a worker process:\n{text}")
        elif message.kind == "died":
            yield from self._replace(worker)
        else:  # ready or end
            job = self._busy.pop(worker, None)
            self._starting.discard(worker)
            self._idle.append(worker)
            self._deaths_at_start = 0
            if job is not None:
                yield from (Outcome(job.task, value) for value in message.content)

    def _replace(self, worker: Hashable) -> Iterator[Outcome]:
        """Carry out the task of a dead worker again; another worker is started when it is needed."""
        if worker in self._idle:
            self._idle.remove(worker)
        if worker in self._starting:
            self._starting.remove(worker)
            self._deaths_at_start += 1
            if self._deaths_at_start == START_ATTEMPTS:
                hint = "there may be too little memory, or a script lacks `if __name__ == '__main__':`"
                raise ValueError(f"the worker processes end while they start; {hint}")
        job = self._busy.pop(worker, None)
        if job is None or self._stopping:
            return
        job.deaths += 1
        if job.deaths < self._attempts:
            self._pending.appendleft(job)
        else:
            yield Outcome(job.task, died=True)
