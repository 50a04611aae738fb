"""Stylize by matching the distribution of patches of pixels (GPDM)."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le
from pydantic.dataclasses import dataclass

from impasto.config import SETTINGS
from impasto.devices import pick_device, pick_dtype
from impasto.methods.base import METHODS
from impasto.methods.optimizing import PixelMethod
from impasto.objectives.patch_distribution import PatchObjective, PatchProjections
from impasto.optim.coarse_to_fine import MakeObjective
from impasto.optim.descent import Optimizer
from impasto.optim.schedule import (
    PixelConfig,
    Schedule,
    ScheduleSettings,
    Stage,
    coarse_sizes,
    fitted_shape,
    make_schedule,
    scaled_steps,
    shrunk,
)
from impasto.regions.subject import Subject
from impasto.types import Image

ADAM_LR = 0.01
"""Step length of Adam as a fraction of the pixel range; twice that of the paper, for a twelfth of its steps."""
HALVING = 37.5
"""Points of strength that halve the coarsest size."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class ShrinkingSettings(ScheduleSettings):
    """Start, steps and sizes."""

    steps_per_size: Annotated[int, Ge(1), Le(100_000)] = 25
    """Number of steps at each size with normal quality. Ignored with `--steps`."""
    coarsest: Annotated[int, Ge(16), Le(65536)] | None = None
    """Longer side of the first size in pixels; smaller stylizes more. Default: 0.4 of size, or by strength."""
    ratio: Annotated[float, Gt(0), Le(0.95)] = 0.8
    """Ratio of each size to the next. Ignored with `--sizes`."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class GPDMConfig(ShrinkingSettings, PixelConfig):
    """Settings of `gpdm`."""

    optimizer: Optimizer = "adam"
    """Optimizer of the pixels: L-BFGS without line search, Adam or RMSprop."""
    lr: Annotated[float, Gt(0), Le(100)] | None = None
    """Step length. Default: 1 for lbfgs; 0.01 of the pixel range for adam and rmsprop."""
    patch_size: Annotated[int, Ge(2), Le(64)] = 7
    """Side of the patches, in pixels."""
    projections: Annotated[int, Ge(1), Le(4096)] = 64
    """Number of random directions along which a step compares the patches."""
    stride: Annotated[int, Ge(1), Le(64)] = 2
    """Distance between two patches of the style in pixels; all patches of the image are compared."""


@METHODS.add("gpdm")
class GPDM(PixelMethod):
    """Generative patch distribution matching without a network (Elnekave & Weiss, CVPR 2022; arXiv 2203.11862).

    Makes the patches of the image have the distribution of those of the style: each step minimizes the sliced
    Wasserstein distance along new random directions.

    Departs from the paper: fewer and longer steps, every second patch of the style in each direction, and images that
    are mirrored beyond their borders by half a patch.
    """

    summary = "Match the distribution of small patches by optimizing the pixels; no network (Elnekave & Weiss 2022)"
    Config = GPDMConfig
    config: GPDMConfig
    paper: ClassVar[dict[str, Any]] = {"ratio": 0.85, "stride": 1, "steps_per_size": 300, "lr": 0.005}

    def __init__(self, config: GPDMConfig) -> None:
        """Check the settings."""
        super().__init__(config)
        if config.coarsest is not None and config.strength is not None:
            raise ValueError("strength: it sets the coarsest size, and coarsest is given too; give one of them")

    def schedule(self, subject: Subject) -> Schedule:
        """Return the stages: sizes of a constant ratio, from coarse to fine; the coarsest has two patches per side."""
        config, content = self.config, subject.content
        size = config.size or max(content.shape[-2:])
        strength = 50 if config.strength is None else config.strength
        coarsest = config.coarsest or size / 2 ** (strength / HALVING)  # 0.4 of the size at a strength of 50
        sizes = coarse_sizes(
            shrunk(size, config.ratio),
            lambda each: each >= coarsest and min(fitted_shape(content, each)) >= 2 * config.patch_size,
            config.steps,
        )
        steps = [scaled_steps(config.steps_per_size, config.quality)] * len(config.sizes or sizes)
        return make_schedule(config, content, sizes, steps=steps, default_lr={"adam": ADAM_LR})

    def objectives(self, subject: Subject, schedule: Schedule) -> MakeObjective:
        """Return a function that makes the objective of each stage."""
        config = self.config
        dtype = pick_dtype(config.precision, pick_device(config.device))
        projections = PatchProjections(config.patch_size, config.projections, config.stride, dtype)
        return partial(self._objective, projections)

    def _objective(self, projections: PatchProjections, subject: Subject, stage: Stage, start: Image) -> PatchObjective:
        """Return the objective of a stage."""
        config = self.config
        subject = subject.resized(stage.shape, style_scale=config.style_scale, device=pick_device(config.device))
        return PatchObjective(projections, subject, config.seed)
