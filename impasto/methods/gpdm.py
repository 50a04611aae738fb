from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le
from pydantic.dataclasses import dataclass

from impasto.config import SETTINGS
from impasto.devices import pick_device, pick_dtype
from impasto.images import fit
from impasto.methods.base import METHODS, Method
from impasto.objectives.patch_distribution import Patches, PatchObjective
from impasto.optim.coarse_to_fine import PixelConfig, coarse_to_fine
from impasto.optim.descent import Optimizer
from impasto.regions.subject import Subject
from impasto.types import Image, Step

LR = 0.01
"""Adam's step, twice the paper's, for a twelfth of its steps."""
DOUBLING = 37.5
"""So many points of strength halve the coarsest size."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class GPDMConfig(PixelConfig):
    """Settings of `gpdm`."""

    optimizer: Optimizer = "adam"
    """What moves the pixels: L-BFGS without line search, Adam, or RMSprop."""
    lr: Annotated[float, Gt(0), Le(100)] | None = None
    """Length of a step; 1 for lbfgs, of the pixel range 0.01 for adam and rmsprop unless given."""
    steps_per_size: Annotated[int, Ge(1), Le(100_000)] = 25
    """Steps at each size, where the number of all steps is not given."""
    coarsest: Annotated[int, Ge(16), Le(65536)] | None = None
    """Longer side of the first size: smaller goes further; 0.4 of size unless given, or by strength."""
    ratio: Annotated[float, Gt(0), Le(0.95)] = 0.8
    """Each size relative to the next, where sizes are not given."""
    patch: Annotated[int, Ge(2), Le(64)] = 7
    """Side of the patches, in pixels."""
    filters: Annotated[int, Ge(1), Le(4096)] = 64
    """Random directions in which the patches are compared, drawn anew at every step."""
    stride: Annotated[int, Ge(1), Le(64)] = 2
    """Every how many pixels of the style a patch is taken, from elsewhere at every step; of the picture all are."""


@METHODS.add("gpdm")
class GPDM(Method):
    """Direct patch distribution matching (Elnekave & Weiss, CVPR 2022; arXiv 2203.11862). No network at all.

    The patches of the picture are to be distributed as those of the style: along random directions, drawn anew at every
    step, the sorted responses of the two are brought together (sliced Wasserstein distance).

    Departs from the paper: fewer and longer steps, and the patches of the style are taken at every second place.
    """

    summary = "Match the distribution of small patches by optimizing the pixels; no network (Elnekave & Weiss 2022)"
    Config = GPDMConfig
    config: GPDMConfig
    paper: ClassVar[dict[str, Any]] = {"ratio": 0.85, "stride": 1, "steps_per_size": 300, "lr": 0.005}

    def __init__(self, config: GPDMConfig) -> None:
        super().__init__(config)
        if config.coarsest is not None and config.strength is not None:
            raise ValueError("strength: it sets the coarsest size, and coarsest is given too; give one of them")
        if config.polish:
            raise ValueError(f"polish: gpdm asks no network; leave it 0, not {config.polish}")

    def run(self, subject: Subject) -> Iterator[Step]:
        config = self.config
        sizes = config.sizes or self._sizes(subject.content)
        steps = config.steps or config.steps_per_size * len(sizes)
        lr = config.lr or (LR if config.optimizer == "adam" else None)
        config = replace(config, sizes=sizes, steps=steps, lr=lr)
        device = pick_device(config.device)
        dtype = pick_dtype(config.precision, device)
        patches = Patches(config.patch, config.filters, config.stride, dtype)
        return coarse_to_fine(config, subject, lambda scaled: PatchObjective(patches, scaled, config.seed))

    def _sizes(self, content: Image) -> tuple[int, ...]:
        """Longer sides from coarse to fine; a patch fits into the coarsest at least twice."""
        config = self.config
        height, width = content.shape[-2:]
        sizes = [config.size or max(height, width)]
        strength = 50 if config.strength is None else config.strength
        coarsest = config.coarsest or sizes[0] / 2 ** (strength / DOUBLING)  # 50: 0.4 of it
        while True:
            size = round(sizes[0] * config.ratio)
            if size < coarsest or min(fit((height, width), size)) < 2 * config.patch:
                break
            sizes.insert(0, size)
        return tuple(sizes[-config.steps :] if config.steps else sizes)
