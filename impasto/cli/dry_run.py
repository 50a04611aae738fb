"""Print the expected time and memory of a run instead of carrying it out: `impasto stylize --dry-run`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from impasto.cli.progress import plural
from impasto.executors import Executor
from impasto.images import Source
from impasto.pipeline.checkpoint import INTERVAL
from impasto.pipeline.folder import FolderPlan, plan_tasks
from impasto.pipeline.folder_plan import FolderTask
from impasto.pipeline.memory import gib
from impasto.pipeline.plan import Plan
from impasto.pipeline.stylizer import Stylizer, plan


def print_plan(content: Source, styles: Sequence[Source], method: str, *, as_json: bool, **options: Any) -> None:
    """Print the prediction for one image; `options` are further arguments of `impasto.plan`.

    Raises:
        ValueError: as `impasto.plan`, and after the prediction for a run that does not fit into the memory.
    """
    found = plan(content, styles, method, **options)
    print(json.dumps(found.to_json()) if as_json else "\n".join(_lines(found)))
    _check(found)


def print_folder_plan(
    tasks: Sequence[FolderTask], stylizer: Stylizer, executor: Executor | None, workers: int, *, as_json: bool
) -> int:
    """Print the prediction for the images of a folder; arguments as for `plan_tasks`.

    Returns:
        The exit status, which is that of the run if one of the images was found to fail.

    Raises:
        ValueError: after the prediction, if the largest image does not fit into the memory.
    """
    found = plan_tasks(tasks, stylizer, executor, workers)
    print(json.dumps(found.to_json()) if as_json else "\n".join(_folder_lines(found)))
    if found.largest is not None:
        if found.largest.problem is not None and _gain_memory(executor, workers, found.largest.device):
            raise ValueError(f"{found.largest.problem}, or give fewer --workers, which share the memory")
        _check(found.largest)
    return 2 if found.errors else 0


def _gain_memory(executor: Executor | None, workers: int, device: str) -> bool:
    """Return whether each worker would have more memory if there were fewer of them."""
    if executor is None:
        return False
    kind = device.partition(":")[0]
    many, one = (executor.capacity(number, kind).memory for number in (workers, 1))
    if kind != "cpu":
        return many.gpu < one.gpu
    return many.main is not None and one.main is not None and many.main < one.main


def _check(found: Plan) -> None:
    if found.problem is not None:
        raise ValueError(found.problem)


def _lines(found: Plan) -> list[str]:
    """Return the prediction as lines for people."""
    network = f" with {found.settings['backbone']}" if "backbone" in found.settings else ""
    rows = [(f"{each.size[1]}x{each.size[0]}", each.steps, each.seconds) for each in found.stages]
    if len(rows) > 1:
        rows.append(("total", found.steps, found.seconds))
    lines = [f"{found.method}{network}, {found.precision} on {found.device}"]
    lines += [f"{name:>13}  {_steps(steps):>16}  {_duration(seconds):>10}" for name, steps, seconds in rows]
    if found.seconds is None:
        lines.append(f"      seconds  {found.stages[-1].seconds_per_step:.2g} per step at the last size")
    memory = "unknown" if found.memory_mib is None else gib(found.memory_mib)
    available = "" if found.available_mib is None else f", {gib(found.available_mib)} available"
    lines.append(f"{'memory':>13}  {memory} (images {gib(found.picture_mib)}){available}")
    if found.disk_mib:
        lines.append(f"{'disk':>13}  {gib(found.disk_mib)} of temporary files during the run")
    if (found.seconds or 0) > INTERVAL:
        lines.append(f"{'checkpoint':>13}  every {_duration(INTERVAL)} beside the output, until it is saved")
    return lines


def _folder_lines(found: FolderPlan) -> list[str]:
    left = found.pictures - found.skipped - len(found.errors)
    lines = [f"{plural(found.pictures, 'picture')}, {found.skipped} of them already stylized"]
    if found.errors:
        lines += [f"{len(found.errors)} cannot be stylized:", *(f"  {error}" for error in found.errors)]
    if found.largest is not None:
        lines += [f"{left} to stylize{_by_workers(found)}; the largest one:", *_lines(found.largest)]
    return lines


def _by_workers(found: FolderPlan) -> str:
    """Return the time of a folder, and the memory where several processes share it."""
    needs = [_duration(found.seconds)] if found.seconds is not None else []
    if found.workers > 1 and found.memory_mib is not None:
        needs.append(f"{gib(found.memory_mib)} of memory")
    by = f" by {found.workers} workers" if found.workers > 1 else ""
    return f"{by}: {', '.join(needs)}" if needs else by


def _steps(steps: int | None) -> str:
    return "until converged" if steps is None else plural(steps, "step")


def _duration(seconds: float | None) -> str:
    """Return a time as text for people.

    >>> _duration(0.04), _duration(41.6), _duration(200), _duration(7300)
    ('0.04 s', '42 s', '3:20 min', '2:02 h')
    """
    if seconds is None:
        return ""
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    if round(seconds) < 100:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours}:{minutes:02d} h"
