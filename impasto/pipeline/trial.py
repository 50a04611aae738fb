"""Carry out a small part of a run, to count its memory and to measure its time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean
from typing import Any

from torch import Tensor

from impasto.allocator import is_mapped, large_blocks
from impasto.cost import CostCounter, without_values
from impasto.devices import pick_device
from impasto.executors.base import Capacity
from impasto.methods import Method
from impasto.methods.feed_forward import FeedForward
from impasto.regions.subject import Subject
from impasto.types import Step

PEAK_STEPS = 4
"""Iterations that reach the peak of the memory: the third one has the best image of the two before beside its own, and
a gradient, unlike the last one."""

GAPS = {"cpu": 1.5, "cuda": 1.15, "mps": 1.15, "xpu": 1.15}
"""Memory that a device takes for tensors, relative to their own: there are gaps between them. Measured by
benchmarks/predicted_cost.py and benchmarks/any_size.py."""
WORKER_MEMORY = 200 * 2**20
"""Memory of a worker process besides its tensors, in bytes: PyTorch, and what it shares with no other process."""


@dataclass(frozen=True)
class StageCost:
    """Cost of a stage of a trial, in seconds or in bytes of memory traffic."""

    before: float
    """Cost before and of the first step."""
    step: float
    """Mean cost of the other steps but the last; 0 where there is only one."""
    last: float
    """Cost of the last step, which has no gradient; 0 where there is only one."""


@dataclass(frozen=True)
class CountedTrial:
    """What was counted in a trial without values."""

    peak: int
    """Largest memory of the tensors at any moment in bytes, with the gaps between them and that of local workers."""
    in_files: int
    """Largest size of the temporary files at any moment in bytes, without those of the images before."""
    stages: list[StageCost]
    """Memory traffic of each stage; that of tiles which are computed at a time counts once."""
    local_workers: int = 0
    """Number of workers on this machine that compute tiles: no more than there are tiles."""


def count_trial(method: Method, subject: Subject, steps: int) -> CountedTrial | None:
    """Count the memory of a method without carrying out its computation.

    Args:
        method: the method with its settings; networks that it has read are in memory already.
        subject: images and masks at their own sizes, which are in memory already.
        steps: iterations of each stage.

    Returns:
        The counts; None where an operation of the method needs values.
    """
    counted = type(method)(method.config)  # without workers; its networks keep what depends on tensors without values
    subject = subject.mapped(without_values)
    capacity = capacity_of(method)
    counter = CostCounter(
        images_of(subject),
        partial(_block_memory, pick_device(method.config.device).type),
        parallel=1 if capacity is None else capacity.parallel,
    )
    try:
        # To save the output of a single pass takes about as much as the gaps beside its large blocks would.
        with counter, large_blocks(kept=isinstance(method, FeedForward)):
            networks = _read_networks(counted, method.loaded, counter)
            stages = stage_costs(counted.trial(subject, steps), lambda: counter.elapsed_traffic)
    except (NotImplementedError, RuntimeError, TypeError):
        return None
    if method.workers is None or not counter.most_parts:
        return CountedTrial(counter.peak, counter.peak_in_files, stages)
    count, each = min(method.local_workers, counter.most_parts), WORKER_MEMORY + networks + counter.part_peak
    return CountedTrial(counter.peak_between_parts + count * each, counter.peak_in_files, stages, count)


def _read_networks(method: Method, names: Sequence[str], counter: CostCounter) -> int:
    """Read the networks that are in memory already, so that they are not counted; return their memory in bytes."""
    for name in names:
        getattr(method, name)
    return counter.restart()


def _block_memory(device: str, size: int) -> int:
    """Return the memory that a block takes, with the gaps beside it where it is not mapped on its own."""
    return size if device == "cpu" and is_mapped(size) else int(GAPS[device] * size)


def capacity_of(method: Method) -> Capacity | None:
    """Return what each of the workers has that compute the tiles of a method; None where there are none."""
    if method.workers is None:
        return None
    return method.workers.executor.capacity(method.workers.count, pick_device(method.config.device).type)


def stage_costs(steps: Iterator[Step], clock: Callable[[], float]) -> list[StageCost]:
    """Run a trial and return the cost of each of its stages.

    Args:
        steps: the steps of the trial.
        clock: returns what has been spent so far.
    """
    marks: list[list[float]] = []
    last = clock()
    for step in steps:
        now = clock()
        while len(marks) <= step.stage:
            marks.append([last])
        marks[step.stage].append(now)
        last = now
        del step  # with its image
    return [_stage_cost(each) for each in marks]


def _stage_cost(marks: Sequence[float]) -> StageCost:
    differences = [after - before for before, after in itertools.pairwise(marks)]
    first, *others = differences
    if not others:
        return StageCost(first, 0.0, 0.0)
    settled = others[1:-1] or others[:1]  # the second evaluation still prepares kernels
    return StageCost(first, fmean(settled), others[-1])


def with_size(config: Any, size: int) -> Any:
    """Return settings with another size of the output.

    Args:
        config: settings of a method.
        size: new longer side of the output in pixels.
    """
    changed: dict[str, Any] = {"size": size}
    if sizes := vars(config).get("sizes"):  # a stage costs what its own size costs
        changed["sizes"] = (*(each for each in sizes if each < size), size)
    return replace(config, **changed)


def images_of(subject: Subject) -> list[Tensor]:
    """Return every image and mask of a subject."""
    found: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    subject.mapped(keep)
    return found
