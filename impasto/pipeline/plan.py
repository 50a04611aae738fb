"""Predict the stages, the time and the memory of a run before it begins."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from impasto.allocator import return_freed_memory
from impasto.config import settings_of
from impasto.devices import PRECISION_NAMES, pick_device, pick_dtype
from impasto.images import is_large
from impasto.methods import Method
from impasto.optim.schedule import Stage
from impasto.pipeline.memory import MIB, Memory, memory_problem
from impasto.pipeline.trial import (
    PEAK_STEPS,
    CountedTrial,
    StageCost,
    capacity_of,
    count_trial,
    images_of,
    stage_costs,
    with_size,
)
from impasto.regions.subject import Subject

TRIAL_STEPS = 7
"""Iterations of each stage that a trial measures; `strotss` samples its positions again once before the last one."""
SMALLEST_TRIAL = 256
"""Longer side of the first trial in pixels; each next one is twice as large."""
LONGEST_TRIAL = 4.0
"""Expected seconds from which on a larger trial is not measured; the time of the last one is then scaled."""


@dataclass(frozen=True)
class StagePlan:
    """Prediction for one stage of a run."""

    size: tuple[int, int]
    """Height and width in pixels."""
    steps: int | None
    """Iterations; None where the stage ends when it has converged."""
    seconds_per_step: float
    seconds_before: float
    """Seconds before the first step, for the targets of the objective."""
    seconds_saved: float = 0.0
    """Seconds that the last step takes less than the others, because it has no gradient."""

    @property
    def seconds(self) -> float | None:
        """Expected seconds; None where the number of steps is not known."""
        if self.steps is None:
            return None
        return self.seconds_before + self.steps * self.seconds_per_step - self.seconds_saved


@dataclass(frozen=True)
class Plan:
    """Prediction for one run on this machine."""

    method: str
    settings: dict[str, Any]
    """Every setting of the method, as JSON values."""
    device: str
    precision: str
    """Of the convolutions: fp32 or bf16."""
    stages: tuple[StagePlan, ...]
    memory_mib: float | None
    """Expected peak memory of the process, or of the GPU; None where an operation of the method cannot be counted."""
    picture_mib: float
    """Memory of the images alone: content, styles, masks and output, without those in temporary files."""
    available_mib: float | None
    """Memory that the process can reach, or the GPU has; None where it is not known."""
    problem: str | None
    """Why the run does not fit into the memory or on the disk, and what would; None if it fits."""
    disk_mib: float = 0.0
    """Space of the temporary files of very large images; 0 where there are none."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the output in pixels."""
        return self.stages[-1].size

    @property
    def steps(self) -> int | None:
        """Number of iterations; None where a stage ends when it has converged."""
        steps = [each.steps for each in self.stages if each.steps is not None]
        return sum(steps) if len(steps) == len(self.stages) else None

    @property
    def seconds(self) -> float | None:
        """Expected seconds; None where the number of steps is not known."""
        seconds = [each.seconds for each in self.stages if each.seconds is not None]
        return sum(seconds) if len(seconds) == len(self.stages) else None

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values; a key means what it means in `Result.summary`."""
        stages = [
            {"size": list(each.size), "steps": each.steps, "seconds": _rounded(each.seconds)} for each in self.stages
        ]
        return {
            "method": self.method,
            "backbone": self.settings.get("backbone"),
            "size": list(self.size),
            "stages": stages,
            "steps": self.steps,
            "seconds": _rounded(self.seconds),
            "seconds_per_step": _rounded(self.stages[-1].seconds_per_step),
            "peak_memory_mib": _rounded(self.memory_mib),
            "picture_mib": _rounded(self.picture_mib),
            "disk_mib": _rounded(self.disk_mib),
            "available_mib": _rounded(self.available_mib),
            "problem": self.problem,
            "device": self.device,
            "precision": self.precision,
        }


def plan_run(name: str, method: Method, subject: Subject, reduced: Subject) -> Plan:
    """Return the prediction for a run.

    The memory is counted at the size of the run. The time is measured in a trial of a few steps for each stage, of a
    smaller output where that is large, and scaled by the memory traffic of both.

    Args:
        name: name of the method.
        method: the method with its settings.
        subject: images and masks at their own sizes; a large content image may have no values.
        reduced: the same, with a smaller content image in place of one without values.
    """
    device = pick_device(method.config.device)
    return_freed_memory()  # that of files of weights, for example, which the run would use again
    memory = Memory.of(device)
    counted = count_trial(method, subject, PEAK_STEPS)
    problem = None if counted is None else memory_problem(name, method, subject, memory, counted)
    height, width = method.final_shape(method.config, subject.content)
    images = [*images_of(subject), torch.empty(1, 3, height, width, device="meta")]
    sizes = [(is_large(each.shape), each.numel() * each.element_size()) for each in images]
    in_files = sum(size for large, size in sizes[:-1] if large) + (0 if counted is None else counted.in_files)
    return Plan(
        method=name,
        settings=settings_of(method.config),
        device=str(device),
        precision=PRECISION_NAMES[pick_dtype(method.config.precision, device)],
        stages=tuple(_stage_plans(method, subject, reduced, counted)),
        memory_mib=None if counted is None else memory.peak(counted.peak),
        picture_mib=sum(size for large, size in sizes if not large) / MIB,
        disk_mib=in_files / MIB,
        available_mib=memory.available,
        problem=problem,
    )


def _stage_plans(
    method: Method, subject: Subject, reduced: Subject, counted: CountedTrial | None
) -> Iterator[StagePlan]:
    """Yield the prediction for each stage."""
    capacity = capacity_of(method)
    single = type(method)(method.config) if capacity else method  # workers would not pay off for a few steps
    with nullcontext() if capacity is None else capacity.applied():
        trial, seconds = _measured(single, subject, reduced)
    stages = trial.schedule(reduced).stages
    traffic = counted if trial is method or counted is None else count_trial(trial, reduced, PEAK_STEPS)
    for i, stage in enumerate(method.schedule(subject).stages):
        nearest = _nearest(stage, stages)
        before = step = last = _pixels(stage) / _pixels(stages[nearest])
        if counted is not None and traffic is not None:
            before = counted.stages[i].before / max(traffic.stages[nearest].before, 1)
            step = counted.stages[i].step / max(traffic.stages[nearest].step, 1)
            last = counted.stages[i].last / max(traffic.stages[nearest].last, 1)
        measured = seconds[nearest]
        first, each, end = measured.before * before, measured.step * step, measured.last * last
        if stage.steps == 1:
            each = end = first
        yield StagePlan(stage.shape, stage.steps, each, max(0.0, first - each), max(0.0, each - end))


def _measured(method: Method, subject: Subject, reduced: Subject) -> tuple[Method, list[StageCost]]:
    """Return the method at the largest size that can be measured quickly, and the seconds of its stages there."""
    final, largest = (max(method.final_shape(method.config, each.content)) for each in (subject, reduced))
    size = min(SMALLEST_TRIAL, largest)
    while True:
        trial = method if size == final else method.with_config(with_size(method.config, size))
        began = time.perf_counter()
        costs = stage_costs(trial.trial(reduced, TRIAL_STEPS), time.perf_counter)
        larger = min(2 * size, largest)
        if larger == size or (time.perf_counter() - began) * (larger / size) ** 2 > LONGEST_TRIAL:
            return trial, costs
        size = larger


def _nearest(stage: Stage, stages: Sequence[Stage]) -> int:
    """Return the index of the measured stage of the same kind whose size is the nearest."""
    kind = [i for i, each in enumerate(stages) if each.is_final == stage.is_final]
    return min(kind, key=lambda i: abs(math.log(_pixels(stages[i]) / _pixels(stage))))


def _pixels(stage: Stage) -> int:
    return stage.shape[0] * stage.shape[1]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
