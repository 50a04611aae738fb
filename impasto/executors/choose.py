"""Choose the executor that the arguments of a function or the flags of a command name."""

from __future__ import annotations

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
