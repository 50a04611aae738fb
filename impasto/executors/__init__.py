"""Carry out tasks in worker processes, on this machine or on a Ray cluster."""

from impasto.executors.base import RUNNERS, Executor, IsStopped, Outcome, Runners
from impasto.executors.choose import ONE_PROCESS, WorkerOptions, executor_of
from impasto.executors.processes import LocalProcesses
from impasto.executors.ray_cluster import RayCluster

__all__ = [
    "ONE_PROCESS",
    "RUNNERS",
    "Executor",
    "IsStopped",
    "LocalProcesses",
    "Outcome",
    "RayCluster",
    "Runners",
    "WorkerOptions",
    "executor_of",
]
