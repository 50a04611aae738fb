"""One objective at several sizes of a picture: what is large in the style stays large in a large picture.

A network sees a fixed number of pixels, so that at 1024 pixels it misses what it sees at 256. Judged at both, the large
picture becomes what its preview promised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from impasto.images import fit, resize
from impasto.objectives.objective import Objective
from impasto.types import Image

NEAR = (5 / 4, 4 / 5)
"""Further near_scales at a picture at nearly its own size, as factors of it."""
ALONE, PREVIEW = 512, 256
"""Longer sides in pixels: up to the first a picture is judged at its own size alone, above it down to the second."""
SMALLEST = 32
"""Shorter side of pictures and styles that are looked at at a smaller size, in pixels, at least."""


@dataclass(frozen=True)
class MultiscaleObjective:
    """One objective judged at several sizes of the picture, each with an equal part (after Snelgrove, 2017)."""

    objectives: Sequence[Objective]
    shapes: Sequence[tuple[int, int]]

    def __call__(self, image: Image) -> dict[str, Tensor]:
        """Terms of the full size under their own names, those of another one as `style/relu1_1@256`."""
        losses = {}
        for i, (objective, shape) in enumerate(zip(self.objectives, self.shapes, strict=True)):
            suffix = f"@{max(shape)}" if i else ""
            for name, loss in objective(resize(image, shape)).items():
                losses[name + suffix] = loss / len(self.shapes)
        return losses


def loss_scale_shapes(shape: tuple[int, int], count: int | None, shortest: float = 1.0) -> list[tuple[int, int]]:
    """The sizes at which a picture of height and width `shape` is judged, the full one first.

    Args:
        count: how many, at most; None means as many as the size asks for.
        shortest: the shortest side of what is looked at, styles too, as a share of the longer side: sizes at which it
            would be too short to see are left out.

    >>> loss_scale_shapes((768, 1024), None), loss_scale_shapes((384, 512), None)
    ([(768, 1024), (384, 512), (192, 256)], [(384, 512)])
    """
    longer = max(shape)
    if count is None:
        count = 1 if longer <= ALONE else 1 + max(0, math.ceil(math.log2(longer / PREVIEW)))
    sizes = [round(longer / 2**i) for i in range(count)]
    return [fit(shape, size) for size in sizes if size == longer or min(*fit(shape, size), size * shortest) >= SMALLEST]


def near_scale_shapes(shape: tuple[int, int], near_scales: int) -> list[tuple[int, int]]:
    """The sizes, but for its own, at which a picture of `shape` is looked at in so many near_scales.

    What fools a network at one size does not at the next: a small network's own style loss can be all but gone where
    VGG-19 still sees a good part of it.

    >>> near_scale_shapes((192, 256), 1), near_scale_shapes((192, 256), 3)
    ([], [(240, 320), (154, 205)])
    """
    return [fit(shape, round(max(shape) * factor)) for factor in NEAR[: near_scales - 1]]
