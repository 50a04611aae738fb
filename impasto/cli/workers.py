"""Flags of commands that can work in several processes, on this machine or on a Ray cluster."""

from __future__ import annotations

import argparse

from impasto.cli.flags import CommandParser, number_between
from impasto.executors import RUNNERS, Executor, RayCluster, Runners


def add_worker_flags(parser: CommandParser, work: str, *, advanced: bool = False) -> None:
    """Add the flags that determine how many workers there are, and where.

    Args:
        parser: parser of the command.
        work: what a worker does, for the help.
        advanced: show the flags in the help of all settings only.
    """
    add = parser.add_advanced if advanced else parser.add_argument
    add(
        "--workers",
        metavar="INT",
        type=number_between(int, 1, 1024),
        default=1,
        help=f"Number of processes that {work} at a time (default: 1).",
    )
    add(
        "--runner",
        choices=RUNNERS,
        default="processes",
        help="Run the workers on this machine or on a Ray cluster (default: processes).",
    )
    add(
        "--ray-address",
        metavar="ADDRESS",
        help="Address of a Ray cluster. Default: start a cluster on this machine that other machines cannot reach.",
    )
    add(
        "--gpus",
        metavar="FLOAT",
        type=number_between(float, 0, 16),
        help="GPUs per Ray worker; fractions are allowed. Default: 1 if the cluster has GPUs.",
    )


def chosen_runner(options: argparse.Namespace) -> Runners | Executor:
    """Return what the flags of `add_worker_flags` choose.

    Raises:
        ValueError: for flags of Ray without it.
    """
    for flag, value in (("--ray-address", options.ray_address), ("--gpus", options.gpus)):
        if value is not None and options.runner != "ray":
            raise ValueError(f"{flag} is for --runner ray; add it, or leave {flag} out")
    if options.runner == "ray":
        return RayCluster(options.ray_address, options.gpus)
    return "processes"
