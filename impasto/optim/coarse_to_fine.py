"""From coarse to fine: the loop over sizes that every method shares whose parameters are the pixels."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from pydantic.dataclasses import dataclass

from impasto.config import SETTINGS, MethodConfig
from impasto.devices import pick_device
from impasto.images import fit, load_image, resize
from impasto.optim.descent import TOLERANCE, DivergedError, Loss, Optimizer, descend
from impasto.regions.subject import Subject
from impasto.samples import resolve
from impasto.types import Image, Step

STARTS = ("content", "style", "noise")


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class PixelConfig(MethodConfig):
    """What every method lets one choose that optimizes the pixels themselves."""

    start: str = "content"
    """First picture: content, style, noise, what another method paints (micro), or a picture file."""
    steps: Annotated[int, Ge(1), Le(1_000_000)] | None = None
    """Optimizer iterations over all sizes; none given means until converged."""
    sizes: tuple[Annotated[int, Ge(1), Le(65536)], ...] = ()
    """Longer sides to paint at one after the other, coarse to fine; the last one takes the place of size."""
    optimizer: Optimizer = "lbfgs"
    """What moves the pixels: L-BFGS without line search, Adam, or RMSprop."""
    lr: Annotated[float, Gt(0), Le(100)] | None = None
    """Length of a step; 1 for lbfgs, of the pixel range 0.02 for adam and 0.01 for rmsprop unless given."""
    history: Annotated[int, Ge(1), Le(1000)] = 10
    """Past steps that L-BFGS learns the curvature from."""
    pyramid: Annotated[int, Ge(0), Le(16)] = 0
    """Levels of a Laplacian pyramid moved in place of the pixels, so that coarse colors change sooner; 0 is off."""
    polish: Annotated[int, Ge(0), Le(1_000_000)] = 0
    """Steps after all others in which VGG-19 (vgg19-caffe) judges the picture, if another network did so before."""


MakeObjective = Callable[[Subject], Loss]
"""From the subject at one size, on the device, to what the picture should minimize."""


def coarse_to_fine(
    config: PixelConfig,
    subject: Subject,
    make_objective: MakeObjective,
    polish: MakeObjective | None = None,
    *,
    tolerance: float = TOLERANCE,
) -> Iterator[Step]:
    """Paints at each size in turn, each from the result of the one before, and polishes at the last.

    Args:
        subject: every picture at its own size, on the CPU. Each is resized once for each size.
        make_objective: what the picture should minimize.
        polish: what it should minimize in `config.polish` more steps.
        tolerance: a size is finished when 25 steps lower the loss by less than this share, unless steps are given.
    """
    began, evaluations, done = time.perf_counter(), 0, 0
    device = pick_device(config.device)
    best: Step | None = None
    stages = _stages(config, make_objective, polish)
    total = config.steps and config.steps + (config.polish if polish else 0)
    for stage, (size, steps, make) in enumerate(stages):
        shape = _shape(subject.content, size)
        objective = make(subject.resized(shape, style_scale=config.style_scale, device=device))
        start = _start(config, subject, shape) if best is None else resize(best.image(), shape)
        steps_of_stage = descend(
            objective,
            start.to(device),
            optimizer=config.optimizer,
            lr=config.lr,
            steps=steps,
            tolerance=tolerance,
            history=config.history,
            pyramid=config.pyramid,
        )
        best = last = None
        try:
            for step in steps_of_stage:
                last = replace(
                    step,
                    index=done + step.index,
                    evaluations=evaluations + step.evaluations,
                    seconds=time.perf_counter() - began,
                    total=total,
                    stage=stage,
                )
                if best is None or last.loss < best.loss:
                    best = last
                yield last
        except DivergedError:
            if stage == len(stages) - 1:
                raise
        assert last is not None
        done, evaluations = last.index, last.evaluations


def final_shape(config: MethodConfig, content: Image) -> tuple[int, int]:
    """Height and width of the finished picture, in pixels."""
    sizes = getattr(config, "sizes", ()) or (config.size,)
    return _shape(content, sizes[-1])


def _shape(content: Image, size: int) -> tuple[int, int]:
    height, width = content.shape[-2:]
    return fit((height, width), size or max(height, width))


def _stages(
    config: PixelConfig, make_objective: MakeObjective, polish: MakeObjective | None
) -> list[tuple[int, int | None, MakeObjective]]:
    """Longer side, steps (None: until converged) and objective of every stage."""
    sizes = config.sizes or (config.size,)
    shares = _shares(config.steps, len(sizes))
    stages = [(size, steps, make_objective) for size, steps in zip(sizes, shares, strict=True)]
    return [*stages, (sizes[-1], config.polish, polish)] if polish and config.polish else stages


def _shares(steps: int | None, count: int) -> Sequence[int | None]:
    """The iterations of each size: equal shares, what is left over to the last."""
    if steps is None:
        return [None] * count
    if steps < count:
        raise ValueError(f"steps: {steps} cannot be shared by {count} sizes; give at least {count}")
    return [steps // count] * (count - 1) + [steps - steps // count * (count - 1)]


def _start(config: PixelConfig, subject: Subject, shape: tuple[int, int]) -> Image:
    """The first picture, `(1, 3, *shape)`, on the CPU so that noise is the same on every device."""
    if subject.start is not None:
        return resize(subject.start, shape)
    if config.start == "content":
        return resize(subject.content, shape)
    if config.start == "style":
        return resize(subject.regions[0].styles[0].image, shape)
    if config.start == "noise":
        return torch.rand(1, 3, *shape, generator=torch.Generator().manual_seed(config.seed))
    try:
        return resize(load_image(resolve(config.start)), shape)
    except ValueError as error:
        raise ValueError(f"start: choose content, style, noise, a method of one pass or a picture: {error}") from None
