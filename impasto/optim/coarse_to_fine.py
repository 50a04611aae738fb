"""Optimize an image stage by stage, from coarse to fine: the loop of every method that optimizes the pixels."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch

from impasto.devices import pick_device
from impasto.images import resize
from impasto.optim.anchors import AnchoredObjective
from impasto.optim.descent import DivergedError, LossFunction, descend
from impasto.optim.lbfgs import FIRST_STEP, NEAR_FIRST_STEP
from impasto.optim.schedule import PixelConfig, Schedule, Stage
from impasto.regions.subject import Subject
from impasto.types import Image, State, Step

MakeObjective = Callable[[Subject, Stage, Image], LossFunction]
"""Returns the objective of a stage from the subject at its own size, the stage and the first image on the device."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Progress:
    """What is done before a stage begins, or before it continues."""

    stage: int = 0
    """Index of the stage."""
    index: int = 0
    """Iterations in the stages before."""
    evaluations: int = 0
    """Evaluations in the stages before."""
    seconds: float = 0.0
    """Wall time of the run so far."""
    image: Image | None = None
    """Best image of the stage before, on the CPU."""
    descent: State | None = None
    """State of the stage; None where it begins."""


def coarse_to_fine(
    config: PixelConfig, schedule: Schedule, subject: Subject, make_objective: MakeObjective, state: State | None = None
) -> Iterator[Step]:
    """Yield the steps of all stages; each stage starts from the best image of the one before.

    Args:
        config: optimizer, start, seed and device.
        schedule: the stages.
        subject: images and masks at their own sizes, on the CPU.
        make_objective: called once per stage.
        state: that of a step of an interrupted run with the same arguments, from which the run continues.

    Raises:
        DivergedError: if the last stage diverges. An earlier stage that diverges ends with its best image.
    """
    done = _Progress() if state is None else _Progress(**state)
    began, device = time.perf_counter() - done.seconds, pick_device(config.device)
    for i, stage in enumerate(schedule.stages[done.stage :], done.stage):
        first = first_image(config, subject, stage.shape, is_finer=done.image is not None)
        start = _start_of_stage(first, done.image, schedule.keep_details).to(device)
        objective = make_objective(subject, stage, start)
        anchored = _anchored(objective, subject, start)
        steps = _descend(config, stage, anchored, start, _first_step(subject), done.descent)
        del first, start, objective, anchored  # the steps keep what they need
        done, best, last = replace(done, descent=None), None, None
        try:
            for step in steps:
                last = _continue(step, done, schedule, time.perf_counter() - began)
                if best is None or last.loss < best.loss:
                    best = replace(last, state=None)
                yield last
                last, step = last.without_image(), step.without_image()  # before the next image is computed
        except DivergedError:
            if stage is schedule.stages[-1]:
                raise
        if stage is not schedule.stages[-1]:
            done = _after_stage(i, best, last)
        del steps, best, last  # with the optimizer and the targets of the stage


def first_image(config: PixelConfig, subject: Subject, shape: tuple[int, int], *, is_finer: bool = False) -> Image:
    """Return the image `(1, 3, *shape)` that the optimization starts from, on the CPU.

    Noise is drawn on the CPU because it is then the same on every device.

    Args:
        config: the setting `start`.
        subject: images and masks at their own sizes.
        shape: height and width in pixels.
        is_finer: whether the stage continues the image of a coarser one, and needs this one only for its details.
    """
    if is_finer and subject.details is not None:
        return resize(subject.details, shape)
    if subject.start is not None:
        return resize(subject.start, shape)
    if config.start == "style":
        return resize(subject.regions[0].styles[0].image, shape)
    if config.start == "noise":
        return torch.rand(1, 3, *shape, generator=torch.Generator().manual_seed(config.seed))
    assert config.start == "content", "the pipeline opens files and runs methods"
    return resize(subject.content, shape)


def _start_of_stage(first: Image, best: Image | None, keep_details: bool) -> Image:
    """Return the start of a stage: the first image, or the best one of the stage before, enlarged.

    Args:
        first: first image of the run, or that of the details, at the size of the stage.
        best: the best image of the stage before.
        keep_details: add what the first image loses when it is reduced to the size of the stage before; the enlarged
            image is blurred without it.
    """
    if best is None:
        return first.clamp(0, 1)
    shape = (first.shape[-2], first.shape[-1])
    enlarged = resize(best, shape)
    if keep_details:
        enlarged = enlarged + first - resize(resize(first, (best.shape[-2], best.shape[-1])), shape)
    return enlarged.clamp(0, 1)


def _anchored(objective: LossFunction, subject: Subject, start: Image) -> LossFunction:
    """Return the objective with the terms that keep the image close to the anchors of the subject, if there are any."""
    if not subject.anchors:
        return objective
    return AnchoredObjective(objective, subject.anchors, (start.shape[-2], start.shape[-1]), start.device)


def _first_step(subject: Subject) -> float:
    """Return the root mean square of the first step: the more of the regions the anchors cover, the smaller."""
    if not subject.anchors:
        return FIRST_STEP
    shape = subject.content.shape[-2], subject.content.shape[-1]
    covered, area = torch.zeros(1, 1, *shape), torch.zeros(1, 1, *shape)
    for anchor in subject.anchors:
        covered += resize(anchor.mask, shape)
    for region in subject.regions:
        area += 1.0 if region.support is None else resize(region.support, shape)
    fraction = (covered.clamp(0, 1) * area).sum() / area.sum().clamp_min(1)
    return FIRST_STEP + (NEAR_FIRST_STEP - FIRST_STEP) * fraction.item()


def _after_stage(stage: int, best: Step | None, last: Step | None) -> _Progress:
    """Return what is done after a stage, from its index, its best step and its last step."""
    assert best is not None
    assert last is not None
    return _Progress(stage=stage + 1, index=last.index, evaluations=last.evaluations, image=best.image())


def _descend(
    config: PixelConfig, stage: Stage, objective: LossFunction, start: Image, first_step: float, state: State | None
) -> Iterator[Step]:
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
        grid=stage.grid,
        first_step=first_step,
        state=state,
    )


def _continue(step: Step, done: _Progress, schedule: Schedule, seconds: float) -> Step:
    """Return a step of a stage with its counters continued from the stages before."""
    return replace(
        step,
        index=done.index + step.index,
        evaluations=done.evaluations + step.evaluations,
        seconds=seconds,
        final_size=schedule.stages[-1].shape,
        total=schedule.steps,
        stage=done.stage,
        state=None if step.state is None else partial(_state, done, step.state, seconds),
    )


def _state(done: _Progress, state_of_stage: Callable[[], State], seconds: float) -> State:
    """Return what `coarse_to_fine` needs to continue from a step."""
    return {**vars(done), "seconds": seconds, "descent": state_of_stage()}
