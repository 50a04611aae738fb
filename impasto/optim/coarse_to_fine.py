"""Optimize an image stage by stage, from coarse to fine: the loop of every method that optimizes the pixels."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from impasto.devices import pick_device
from impasto.images import resize
from impasto.optim.anchors import AnchoredObjective
from impasto.optim.descent import DivergedError, LossFunction, descend
from impasto.optim.schedule import PixelConfig, Schedule, Stage
from impasto.regions.subject import Subject
from impasto.types import Image, Step

MakeObjective = Callable[[Subject, Stage, Image], LossFunction]
"""Returns the objective of a stage from the subject at its own size, the stage and the first image on the device."""


def coarse_to_fine(
    config: PixelConfig, schedule: Schedule, subject: Subject, make_objective: MakeObjective
) -> Iterator[Step]:
    """Yield the steps of all stages; each stage starts from the best image of the one before.

    Args:
        config: optimizer, start, seed and device.
        schedule: the stages.
        subject: images and masks at their own sizes, on the CPU.
        make_objective: called once per stage.

    Raises:
        DivergedError: if the last stage diverges. An earlier stage that diverges ends with its best image.
    """
    began = time.perf_counter()
    device = pick_device(config.device)
    best: Step | None = None
    last: Step | None = None
    for i, stage in enumerate(schedule.stages):
        start = _start_of_stage(first_image(config, subject, stage.shape), best, schedule.keep_details).to(device)
        best, before = None, last
        objective = make_objective(subject, stage, start)
        if subject.anchors:
            objective = AnchoredObjective(objective, subject.anchors, stage.shape, device)
        steps = _descend(config, stage, objective, start)
        del start  # a large image, which the steps need no longer
        try:
            for step in steps:
                last = _continue(step, before, stage=i, schedule=schedule, seconds=time.perf_counter() - began)
                if best is None or last.loss < best.loss:
                    best = last
                yield last
        except DivergedError:
            if stage is schedule.stages[-1]:
                raise


def first_image(config: PixelConfig, subject: Subject, shape: tuple[int, int]) -> Image:
    """Return the image `(1, 3, *shape)` that the optimization starts from, on the CPU.

    Noise is drawn on the CPU because it is then the same on every device.
    """
    if subject.start is not None:
        return resize(subject.start, shape)
    if config.start == "style":
        return resize(subject.regions[0].styles[0].image, shape)
    if config.start == "noise":
        return torch.rand(1, 3, *shape, generator=torch.Generator().manual_seed(config.seed))
    assert config.start == "content", "the pipeline opens files and runs methods"
    return resize(subject.content, shape)


def _start_of_stage(first: Image, best: Step | None, keep_details: bool) -> Image:
    """Return the start of a stage: the first image, or the best one of the stage before, enlarged.

    Args:
        first: first image of the run, at the size of the stage.
        best: the best step of the stage before.
        keep_details: add what the first image loses when it is reduced to the size of the stage before; the enlarged
            image is blurred without it.
    """
    if best is None:
        return first.clamp(0, 1)
    shape = (first.shape[-2], first.shape[-1])
    enlarged = resize(best.image(), shape)
    if keep_details:
        enlarged = enlarged + first - resize(resize(first, best.size), shape)
    return enlarged.clamp(0, 1)


def _descend(config: PixelConfig, stage: Stage, objective: LossFunction, start: Image) -> Iterator[Step]:
    return descend(
        objective,
        start,
        optimizer=config.optimizer,
        lr=stage.lr,
        steps=stage.steps,
        tolerance=stage.tolerance,
        history=stage.history,
        pyramid=config.pyramid,
        preconditioned=stage.preconditioned,
    )


def _continue(step: Step, before: Step | None, *, stage: int, schedule: Schedule, seconds: float) -> Step:
    """Return a step of a stage with its counters continued from the last step of the stage before."""
    index, evaluations = (before.index, before.evaluations) if before else (0, 0)
    return replace(
        step,
        index=index + step.index,
        evaluations=evaluations + step.evaluations,
        seconds=seconds,
        final_size=schedule.stages[-1].shape,
        total=schedule.steps,
        stage=stage,
    )
