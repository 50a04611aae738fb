"""Choose the executor that the arguments of a function or the flags of a command name."""

from __future__ import annotations

from dataclasses import dataclass

from impasto.executors.base import RUNNERS, Executor, Runners
from impasto.executors.processes import LocalProcesses
from impasto.executors.ray_cluster import RayCluster


def executor_of(runner: Runners | Executor, workers: int) -> Executor | None:
    """Return the executor of a name; None where one process is enough: this one.

    Args:
        runner: `processes`, `ray` (a cluster that is started on this machine), or an executor.
        workers: number of worker processes.

    Raises:
        ValueError: for another name, or less than one worker.
    """
    if workers < 1:
        raise ValueError(f"workers: {workers} is too small; give at least 1")
    if isinstance(runner, Executor):
        return runner
    if runner not in RUNNERS:
        raise ValueError(f"runner: unknown runner {runner!r}; choose {' or '.join(RUNNERS)}, or give an executor")
    if runner == "ray":
        return RayCluster()
    return LocalProcesses() if workers > 1 else None


@dataclass(frozen=True)
class WorkerOptions:
    """Processes that carry out a computation together.

    A script that is run as a program gives more than one below `if __name__ == "__main__":`, because a worker imports
    the script.
    """

    workers: int = 1
    """Number of processes."""
    runner: Runners | Executor = "processes"
    """Where they run: `processes`, `ray`, or an executor such as `RayCluster(address)`."""

    @property
    def executor(self) -> Executor | None:
        """Where the workers run; None where one process is enough: this one.

        Raises:
            ValueError: as `executor_of`.
        """
        return executor_of(self.runner, self.workers)


ONE_PROCESS = WorkerOptions()
