"""Average one objective over several sizes of the image, so that large strokes stay large in a large output.

The receptive field of a network is a fixed number of pixels: at 1024 pixels it misses structures that it covers at 256.
With both sizes in the loss, the large output keeps the structures of its preview.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass as plain_dataclass
from itertools import islice
from typing import Annotated

from annotated_types import Ge, Le
from pydantic.dataclasses import dataclass
from torch import Tensor

from impasto.config import SETTINGS
from impasto.images import fit, resize
from impasto.optim.descent import LossFunction
from impasto.optim.schedule import coarse_sizes, halved
from impasto.types import Image

NEAR = (5 / 4, 4 / 5)
"""Near scales in addition to the size of the output, as factors of it."""
SINGLE, PREVIEW = 512, 256
"""Longer sides in pixels: up to the first one scale is enough, above it scales go down to the second."""
SMALLEST = 32
"""Minimum shorter side of the image and of the styles at a loss scale, in pixels."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class ScaleSettings:
    """Loss scales."""

    loss_scales: Annotated[int, Ge(1), Le(8)] | None = None
    """Number of loss scales, each half the one before. Default: down to 256 pixels above size 512."""
    near_scales: Annotated[int, Ge(1), Le(3)] = 1
    """Scales near the output size: 1, 2 (adds 1.25x) or 3 (adds 0.8x); better, but 2-3x slower."""


@plain_dataclass(frozen=True)
class MultiscaleObjective:
    """The mean of objectives at several sizes of the image (after Snelgrove, SIGGRAPH Asia 2017)."""

    objectives: Sequence[LossFunction]
    """One objective per size; each expects the image at its size."""
    shapes: Sequence[tuple[int, int]]
    """Height and width of each size, in pixels; the first is that of the image itself."""

    def __call__(self, image: Image) -> dict[str, Tensor]:
        """Return the terms of the full size under their own names, those of the others as `style/relu1_1@256`."""
        losses = {}
        for i, (objective, shape) in enumerate(zip(self.objectives, self.shapes, strict=True)):
            suffix = f"@{max(shape)}" if i else ""
            for name, loss in objective(resize(image, shape)).items():
                losses[name + suffix] = loss / len(self.shapes)
        return losses


def loss_scale_shapes(shape: tuple[int, int], count: int | None, shortest_side: float = 1.0) -> list[tuple[int, int]]:
    """Return the shapes at which the loss of an image is computed, the full one first.

    Args:
        shape: height and width of the image, in pixels.
        count: maximum number of scales; None chooses it by the size.
        shortest_side: shortest side of the image and of the styles as a fraction of the longer side of the image.
            Scales at which it would have fewer than 32 pixels are left out.

    >>> loss_scale_shapes((768, 1024), None), loss_scale_shapes((384, 512), None)
    ([(768, 1024), (384, 512), (192, 256)], [(384, 512)])
    """
    longer = max(shape)
    if count is None:
        count = 1 if longer <= SINGLE else 1 + max(0, math.ceil(math.log2(longer / PREVIEW)))
    sizes = coarse_sizes(
        islice(halved(longer), count), lambda size: min(*fit(shape, size), size * shortest_side) >= SMALLEST
    )
    return [fit(shape, size) for size in reversed(sizes)]


def near_scale_shapes(shape: tuple[int, int], near_scales: int) -> list[tuple[int, int]]:
    """Return the shapes of the near scales of an image, without its own.

    The optimizer exploits errors of a small network: its style loss can be almost zero where VGG-19 still measures a
    considerable part of it. A structure that exploits an error at one size does not at a similar size.

    >>> near_scale_shapes((192, 256), 1), near_scale_shapes((192, 256), 3)
    ([], [(240, 320), (154, 205)])
    """
    return [fit(shape, round(max(shape) * factor)) for factor in NEAR[: near_scales - 1]]
