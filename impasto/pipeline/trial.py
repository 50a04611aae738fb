"""Carry out a small part of a run, to count its memory and to measure its time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from torch import Tensor

from impasto.cost import CostCounter, without_values
from impasto.methods import Method
from impasto.regions.subject import Subject
from impasto.types import Step

PEAK_STEPS = 3
"""Iterations that reach the peak of the memory: the third one has the best image of the two before beside its own."""


@dataclass(frozen=True)
class StageCost:
    """Cost of a stage of a trial, in seconds or in bytes of memory traffic."""

    before: float
    """Cost before and of the first step."""
    step: float
    """Mean cost of the other steps; 0 where there is only one."""


@dataclass(frozen=True)
class CountedTrial:
    """What was counted in a trial without values."""

    peak: int
    """Largest memory of the tensors at any moment, in bytes."""
    stages: list[StageCost]
    """Memory traffic of each stage."""


def count_trial(method: Method, subject: Subject, steps: int) -> CountedTrial | None:
    """Count the memory of a method without carrying out its computation.

    Args:
        method: the method with its settings.
        subject: images and masks at their own sizes, which are in memory already.
        steps: iterations of each stage.

    Returns:
        The counts; None where an operation of the method needs values.
    """
    counted = type(method)(method.config)  # its networks keep what depends on tensors without values
    subject = subject.mapped(without_values)
    counter = CostCounter(images_of(subject))
    try:
        with counter:
            stages = stage_costs(counted.trial(subject, steps), lambda: float(counter.traffic))
    except (NotImplementedError, RuntimeError, TypeError):
        return None
    return CountedTrial(counter.peak, stages)


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
    settled = differences[1:] or differences  # the second evaluation still prepares kernels
    return StageCost(marks[1] - marks[0], fmean(settled) if settled else 0.0)


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
