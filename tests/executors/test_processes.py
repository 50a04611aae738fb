"""Workers on this machine: every task once, dead workers are replaced, and none outlives the first process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support import TIMEOUT, ForkedProcess, start_forks

from impasto.devices import CPU, free_memory
from impasto.executors import IsStopped, LocalProcesses, Outcome, executor_of
from impasto.executors.base import START_ATTEMPTS, Start

ORPHANS = """
import os, sys
from functools import partial
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import test_processes
from impasto.executors import LocalProcesses
folder = Path(sys.argv[1])
results = LocalProcesses().run(partial(test_processes.Endless, folder), range(2), workers=2)
while len(list(folder.glob("pid-*"))) < 2:
    next(results)
os.kill(os.getpid(), 9)
"""


@pytest.fixture(autouse=True, scope="module")
def forks() -> None:
    start_forks()


class Squares:
    """Yields the square of a number; a negative one is a mistake, and 0 an error."""

    def __call__(self, task: int, is_stopped: IsStopped) -> Iterator[Any]:
        if task < 0:
            raise ValueError(f"{task} is negative")
        if task == 100:
            warnings.warn("a large number", stacklevel=1)
        yield task // (task != 0) * task, os.getpid()


class Free:
    """Yields the free memory of a worker in bytes."""

    def __call__(self, task: int, is_stopped: IsStopped) -> Iterator[int | None]:
        yield free_memory(CPU)


class Deadly:
    """Kills its process in the given number of attempts for each odd task."""

    def __init__(self, folder: Path, deaths: int) -> None:
        self._folder, self._deaths = folder, deaths

    def __call__(self, task: int, is_stopped: IsStopped) -> Iterator[int]:
        attempts = len(list(self._folder.glob(f"{task}-*")))
        (self._folder / f"{task}-{attempts}").touch()
        if task % 2 and attempts < self._deaths:
            os.kill(os.getpid(), signal.SIGKILL)
        yield task


class Endless:
    """Works until it is asked to stop."""

    def __init__(self, folder: Path) -> None:
        (folder / f"pid-{os.getpid()}").touch()

    def __call__(self, task: int, is_stopped: IsStopped) -> Iterator[str]:
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)  # as a terminal does
        yield "begun"
        yield "working"
        while not is_stopped():
            time.sleep(0.01)
        yield "stopped"


def die() -> Squares:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def fail() -> Squares:
    raise ValueError("no such network")


def read_missing() -> Squares:
    Path("missing.txt").read_text(encoding="utf-8")
    return Squares()


def run(start: Start, tasks: Any, **options: Any) -> list[Outcome]:
    return list(LocalProcesses().run(start, tasks, workers=2, **options))


def is_alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text(encoding="utf-8")


def test_every_task_is_carried_out_once_by_other_processes() -> None:
    found = run(Squares, range(1, 40))
    assert sorted((each.task, each.value[0]) for each in found) == [(i, i * i) for i in range(1, 40)]
    pids = {each.value[1] for each in found}
    assert len(pids) <= 2
    assert os.getpid() not in pids


def test_few_tasks_start_few_workers_and_none_starts_no_worker() -> None:
    assert run(die, []) == []
    (only,) = run(Squares, [3])
    assert only.value[0] == 9


def test_tasks_are_taken_when_there_is_a_worker_for_them() -> None:
    taken: list[int] = []
    tasks = (taken.append(i) or i for i in range(1, 60))  # type: ignore[func-returns-value]
    for done, _ in enumerate(LocalProcesses().run(Squares, tasks, workers=2), 1):
        assert len(taken) <= done + 4
    assert len(taken) == 59


def test_the_task_of_a_dead_worker_is_carried_out_once_more(tmp_path: Path) -> None:
    found = run(partial(Deadly, tmp_path, 1), range(5))
    assert sorted(each.value for each in found) == [0, 1, 2, 3, 4]
    assert {file.name for file in tmp_path.iterdir()} == {"0-0", "1-0", "1-1", "2-0", "3-0", "3-1", "4-0"}


def test_a_task_that_ends_two_workers_has_failed_and_the_others_are_carried_out(tmp_path: Path) -> None:
    found = run(partial(Deadly, tmp_path, 9), range(4))
    assert sorted((each.task, each.value, each.died) for each in found if each.died) == [
        (1, None, True),
        (3, None, True),
    ]
    assert sorted(each.value for each in found if not each.died) == [0, 2]
    assert len(list(tmp_path.glob("1-*"))) == 2


def test_workers_that_end_while_they_start_are_a_one_line_error() -> None:
    with pytest.raises(ValueError, match="the worker processes end while they start") as caught:
        run(die, [1])
    assert "\n" not in str(caught.value)
    assert START_ATTEMPTS == 3


def test_a_mistake_is_one_line_and_another_error_has_its_traceback() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)in a worker process:.*FileNotFoundError"):
        run(read_missing, [1])  # a worker of this machine has the same folders
    with pytest.raises(ValueError, match=r"^no such network$"):
        run(fail, [1])
    with pytest.raises(ValueError, match=r"^-1 is negative$"):
        run(Squares, [-1])
    with pytest.raises(RuntimeError, match=r"(?s)in a worker process:.*ZeroDivisionError"):
        run(Squares, [0])


def test_warnings_of_workers_are_issued_in_this_process() -> None:
    with pytest.warns(UserWarning, match="a large number"):
        run(Squares, [100])


def test_workers_ignore_the_signals_of_a_terminal_and_stop_on_request(tmp_path: Path) -> None:
    values: list[str] = []
    for outcome in LocalProcesses().run(
        partial(Endless, tmp_path), range(9), workers=2, is_stopped=lambda: values.count("begun") == 2
    ):
        values.append(outcome.value)
    assert sorted(values) == sorted(2 * ["begun", "working", "stopped"])
    assert multiprocessing.active_children() == []


def test_closing_ends_the_workers_at_once(tmp_path: Path) -> None:
    with closing(LocalProcesses().run(partial(Endless, tmp_path), range(9), workers=2)) as results:
        assert next(results).value == "begun"
    assert multiprocessing.active_children() == []


def test_workers_end_when_the_first_process_is_killed(tmp_path: Path) -> None:
    process = ForkedProcess(tmp_path, ORPHANS, tmp_path, Path(__file__).parent)
    process.communicate(timeout=TIMEOUT)
    assert process.returncode == -signal.SIGKILL
    pids = [int(file.name.removeprefix("pid-")) for file in tmp_path.glob("pid-*")]
    assert len(pids) == 2
    deadline = time.monotonic() + TIMEOUT
    while any(map(is_alive, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_one_worker_of_this_machine_needs_no_other_process() -> None:
    assert executor_of("processes", 1) is None
    assert isinstance(executor_of("processes", 2), LocalProcesses)
    assert isinstance(executor_of(LocalProcesses(), 1), LocalProcesses)
    for wrong, text in ((("processes", 0), "workers: 0 is too small"), (("raj", 2), "runner: unknown runner 'raj'")):
        with pytest.raises(ValueError, match=text):
            executor_of(*wrong)  # type: ignore[arg-type]


def test_the_workers_share_the_free_memory() -> None:
    free = free_memory(CPU)
    if free is None:
        pytest.skip("the free memory is not known on this system")
    found = [outcome.value for outcome in LocalProcesses().run(Free, range(2), workers=8)]
    assert all(0 < each <= 1.2 * free / 8 for each in found)  # other processes have freed some since
    assert free_memory(CPU) > free / 2
