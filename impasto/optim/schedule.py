"""Compute the stages of an optimization: the size, the steps, the step length and the tolerance of each."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass as plain_dataclass
from dataclasses import replace
from itertools import count, islice
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le
from pydantic import BeforeValidator
from pydantic.dataclasses import dataclass

from impasto.config import MAIN, SETTINGS, MethodConfig
from impasto.images import fit
from impasto.optim.descent import DEFAULT_LR, TOLERANCE, Optimizer, OptimizerSettings
from impasto.types import Image

Quality = Literal["draft", "normal", "best"]
ONE_SIZE: dict[Quality, int] = {"draft": 20, "normal": 200, "best": 500}
"""Iterations of a run at one size."""
COARSEST_SIZE: dict[Quality, int] = {"draft": 20, "normal": 60, "best": 200}
"""Iterations at the coarsest of several sizes, which starts from the first image and is fast."""
FINER_SIZE: dict[Quality, int] = {"draft": 3, "normal": 32, "best": 300}
"""Iterations at each of the finer sizes, which continue the image of the size before."""
FULL_STEPS_SIZE = 1024
"""Longer side in pixels up to which a finer size has all of its iterations; twice the size has half of them, because
strokes and colors hardly change there any more (docs/measurements/large-pictures.md)."""
FEWEST = 8
"""Iterations that each of the finer sizes has at least, unless the quality has fewer."""
GRAINY = 2
"""Enlargement of all images from which on an output of more than 1024 pixels would have grain; a smaller one has none,
and would only be less sharp."""
FACTOR: dict[Quality, float] = {"draft": 0.1, "normal": 1, "best": 2.5}
"""Factor on the iterations of methods that have their own number of them."""

StartKind = Literal["content", "style", "noise", "method", "file"]
STARTS: tuple[StartKind, ...] = ("content", "style", "noise")
"""Starts that need no other input."""
NAMED_STARTS: tuple[StartKind, ...] = ("method", "file")
"""Starts with a name or a path."""


def _file_start(start: Any) -> Any:
    """Return the setting `start` of an object that represents a path, which is never the name of a method."""
    return f"file:{os.fsdecode(start)}" if isinstance(start, os.PathLike) else start


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class ScheduleSettings:
    """Start, steps and sizes."""

    start: Annotated[str, BeforeValidator(_file_start), MAIN] = "content"
    """First image: content, style, noise, the result of a feed-forward method (micro), or an image file."""
    quality: Annotated[Quality, MAIN] = "normal"
    """Draft takes 1/7 of the time, best up to 8 times."""
    steps: Annotated[Annotated[int, Ge(1), Le(1_000_000)] | None, MAIN] = None
    """Number of steps over all sizes, in equal parts. Default: by quality."""
    sizes: tuple[Annotated[int, Ge(1), Le(65536)], ...] = ()
    """Longer sides in pixels that are optimized in turn, coarse to fine; the last one replaces size."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class PixelConfig(OptimizerSettings, ScheduleSettings, MethodConfig):
    """Settings of a method that optimizes the pixels."""


@plain_dataclass(frozen=True)
class Start:
    """What the setting `start` means."""

    kind: StartKind
    name: str = ""
    """Name of the method, or path of the file."""

    @classmethod
    def parse(cls, text: str, methods: Container[str]) -> Start:
        """Decode the setting.

        Args:
            text: `content`, `style`, `noise`, `method:NAME` or `file:PATH`; a NAME or a PATH alone works too.
            methods: names of all methods.

        >>> Start.parse("noise", ["micro"]), Start.parse("micro", ["micro"]), Start.parse("file:micro", ["micro"])
        (Start(kind='noise', name=''), Start(kind='method', name='micro'), Start(kind='file', name='micro'))
        """
        for kind in STARTS:
            if text == kind:
                return cls(kind)
        for kind in NAMED_STARTS:
            if text.startswith(f"{kind}:"):
                return cls(kind, text.partition(":")[2])
        return cls("method" if text in methods else "file", text)


@plain_dataclass(frozen=True)
class Stage:
    """One stage of an optimization."""

    shape: tuple[int, int]
    """Height and width of the image, in pixels."""
    steps: int | None
    """Number of iterations; None stops when converged."""
    lr: float
    """Step length."""
    tolerance: float
    """The stage has converged when 25 iterations lower its loss by less than this fraction."""
    is_final: bool = False
    """Whether this is the additional stage at the last size, with another objective (`polish`, `rematch_steps`)."""
    history: int = 10
    """Number of past steps that L-BFGS keeps."""
    preconditioned: bool = False
    """Whether L-BFGS on the pixels changes large areas first, see `impasto.optim.preconditioner`."""
    grid: tuple[int, int] | None = None
    """Height and width of the image that each step of L-BFGS on the pixels is an enlargement of; None: each pixel."""


@plain_dataclass(frozen=True)
class Schedule:
    """The stages of an optimization, in order."""

    stages: tuple[Stage, ...]
    keep_details: bool = False
    """Whether the details of the first image are added at the start of each stage but the first, which is the enlarged
    image of the stage before and is blurred without them."""

    def from_picture(self) -> Schedule:
        """Return the schedule for a start that is a picture, not noise.

        Details are kept, and the first of several stages is preconditioned; later ones do not gain from it
        (docs/measurements/large-forms.md).
        """
        if len(self.stages) == 1:
            return self
        first = replace(self.stages[0], preconditioned=True)
        return Schedule((first, *self.stages[1:]), keep_details=True)

    def without_grain(self, detailed_size: float) -> Schedule:
        """Return the schedule with steps that are no finer than the pixels of all images, where they are enlarged.

        The first stage is left as it is, because its start may be noise, and so is an output of up to 1024 pixels.

        Args:
            detailed_size: longer side of an output in pixels above which all images are enlarged.
        """
        if max(self.stages[-1].shape) <= FULL_STEPS_SIZE:
            return self
        stages = list(self.stages[:1])
        for stage in self.stages[1:]:
            is_enlarged = max(stage.shape) >= GRAINY * detailed_size
            stages.append(replace(stage, grid=fit(stage.shape, round(detailed_size))) if is_enlarged else stage)
        return replace(self, stages=tuple(stages))

    def limited(self, steps: int) -> Schedule:
        """Return the schedule with at most `steps` iterations of each stage, for a trial."""
        return replace(self, stages=tuple(replace(each, steps=min(each.steps or steps, steps)) for each in self.stages))

    @property
    def steps(self) -> int | None:
        """Maximum number of iterations; None where a stage stops when converged."""
        steps = [stage.steps for stage in self.stages if stage.steps is not None]
        return sum(steps) if len(steps) == len(self.stages) else None


def make_schedule(
    config: PixelConfig,
    content: Image,
    sizes: Sequence[int] = (),
    *,
    steps: Sequence[int | None] = (),
    final_steps: int = 0,
    default_lr: Mapping[Optimizer, float] = DEFAULT_LR,
    tolerance: float = TOLERANCE,
) -> Schedule:
    """Return the schedule of a run.

    Args:
        config: its `sizes`, `steps` and `lr` take precedence over the other arguments.
        content: content image `(1, 3, H, W)` at its own size.
        sizes: longer sides in pixels, coarse to fine. Default: the setting `size` alone.
        steps: iterations of each size, where the setting `steps` is not given; None stops when converged. Default:
            by the setting `quality`.
        final_steps: iterations of an additional stage at the last size.
        default_lr: step lengths that differ from `DEFAULT_LR`.
        tolerance: see `Stage`.

    Raises:
        ValueError: if there are fewer steps than sizes.
    """
    sizes = config.sizes or sizes or (config.size,)
    shapes = [fitted_shape(content, size) for size in sizes]
    if config.steps is not None:
        steps = divided(config.steps, len(sizes))
    elif not steps:
        steps = steps_of_sizes(config.quality, [max(shape) for shape in shapes])
    lr = config.lr if config.lr is not None else {**DEFAULT_LR, **default_lr}[config.optimizer]
    stages = [Stage(shape, each, lr, tolerance) for shape, each in zip(shapes, steps, strict=True)]
    if final_steps:
        stages.append(Stage(shapes[-1], final_steps, lr, tolerance, is_final=True))
    return Schedule(tuple(replace(each, history=_history(config.history, each.steps)) for each in stages))


def _history(history: int, steps: int | None) -> int:
    """Return the number of pairs that L-BFGS stores: the steps between the iterations of a stage are one less."""
    return history if steps is None else max(1, min(history, steps - 1))


def steps_of_sizes(quality: Quality, sizes: Sequence[int]) -> list[int]:
    """Return the iterations at each of some sizes, given as longer sides in pixels from coarse to fine.

    >>> steps_of_sizes("normal", [512]), steps_of_sizes("normal", [128, 512, 2048, 8192])
    ([200], [60, 32, 16, 8])
    """
    if len(sizes) == 1:
        return [ONE_SIZE[quality]]
    most = FINER_SIZE[quality]
    fewer = (max(min(FEWEST, most), round(most * FULL_STEPS_SIZE / max(size, FULL_STEPS_SIZE))) for size in sizes[1:])
    return [COARSEST_SIZE[quality], *fewer]


def scaled_steps(steps: int, quality: Quality) -> int:
    """Return the iterations of a method that takes `steps` of them with normal quality."""
    return max(1, round(steps * FACTOR[quality]))


def fitted_shape(content: Image, size: int) -> tuple[int, int]:
    """Return the height and width of the content image at a longer side of `size` pixels; 0 keeps its own size."""
    height, width = content.shape[-2:]
    return fit((height, width), size or max(height, width))


def coarse_sizes(
    candidates: Iterable[int], is_large_enough: Callable[[int], bool], limit: int | None = None
) -> tuple[int, ...]:
    """Return longer sides from coarse to fine.

    Args:
        candidates: longer sides from fine to coarse. The first, the size of the output, is always taken, the others as
            long as they are large enough.
        is_large_enough: whether a longer side leaves enough pixels.
        limit: maximum number of sizes, such as the number of steps.

    >>> coarse_sizes(halved(500), lambda size: size >= 64)
    (125, 250, 500)
    """
    sizes: list[int] = []
    for size in islice(candidates, limit):
        if sizes and not is_large_enough(size):
            break
        sizes.insert(0, size)
    return tuple(sizes)


def halved(size: int) -> Iterator[int]:
    """Yield a longer side, its half, its quarter and so on, rounded to whole pixels."""
    return (round(size / 2**i) for i in count())


def shrunk(size: int, ratio: float) -> Iterator[int]:
    """Yield a longer side, then `ratio` times the one before, rounded to whole pixels."""
    while True:
        yield size
        size = round(size * ratio)


def divided(steps: int, sizes: int) -> list[int]:
    """Return the iterations of each size: equal parts, the remainder at the last one.

    Raises:
        ValueError: if there are fewer steps than sizes.
    """
    if steps < sizes:
        raise ValueError(f"steps: {steps} is less than the number of sizes, {sizes}; give at least {sizes} steps")
    return [steps // sizes] * (sizes - 1) + [steps - steps // sizes * (sizes - 1)]
