"""Sum one objective over several sizes of the image, so that the output has the large forms of the style.

The receptive field of a network is a fixed number of pixels: at 512 pixels it misses forms that it covers at 128. With
all sizes in the loss, the output has both, and a large output keeps the forms of its preview.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass as plain_dataclass
from itertools import chain, islice
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Le
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.autograd.function import once_differentiable

from impasto.allocator import large_blocks
from impasto.config import SETTINGS
from impasto.images import bicubic, bicubic_gradient, fit, resize
from impasto.optim.descent import LossFunction
from impasto.optim.lbfgs import LARGE
from impasto.optim.schedule import coarse_sizes, halved
from impasto.types import Image

NEAR = (5 / 4, 4 / 5)
"""Near scales in addition to the size of the output, as factors of it."""
COARSEST = 128
"""Longer side of the coarsest loss scale in pixels, unless the number of scales is given."""
SMALLEST = 32
"""Minimum shorter side of the image and of the styles at a loss scale, in pixels."""


@dataclass(frozen=True, kw_only=True, config=SETTINGS)
class ScaleSettings:
    """Loss scales."""

    loss_scales: Annotated[int, Ge(1), Le(8)] | None = None
    """Number of sizes at which the loss is computed, each half the one before. Default: down to 128 pixels."""
    coarse_style: Annotated[float, Gt(0), Le(100)] = 1.0
    """Factor on the style weight at the coarser loss scales: a higher one gives larger forms of the style."""
    near_scales: Annotated[int, Ge(1), Le(3)] = 1
    """Scales near the output size: 1, 2 (adds 1.25x) or 3 (adds 0.8x); better, but 2-3x slower."""


@plain_dataclass(frozen=True)
class ScaleObjective:
    """An objective at one size of the image."""

    shape: tuple[int, int]
    """Height and width of the size, in pixels."""
    objective: LossFunction
    """Expects the image at this size."""
    weight: float = 1.0
    """Factor on all of its terms."""


@plain_dataclass(frozen=True)
class MultiscaleObjective:
    """The weighted sum of objectives at several sizes of the image (after Snelgrove, SIGGRAPH Asia 2017)."""

    scales: Sequence[ScaleObjective]
    """The first has the size of the image itself."""

    def __call__(self, image: Image) -> dict[str, Tensor]:
        """Return the terms of the full size under their own names, those of the others as `style/relu1_1@256`."""
        losses = {}
        shapes = [scale.shape for scale in self.scales[1:]]
        if image.numel() > LARGE and shapes:
            images = _Resized.apply(image, shapes)  # type: ignore[no-untyped-call]
        else:
            images = chain([image], (resize(image, shape) for shape in shapes))  # each when it is needed
        for i, (scale, resized) in enumerate(zip(self.scales, images, strict=True)):
            suffix = f"@{max(scale.shape)}" if i else ""
            for name, loss in scale.objective(resized).items():
                losses[name + suffix] = scale.weight * loss
        return losses


class _Resized(torch.autograd.Function):
    """A large image, and the image at other sizes.

    The gradients of the sizes are added to that of the image itself, one color after the other. Autograd would have two
    of the full size for each of them in memory.
    """

    @staticmethod
    @large_blocks(kept=False)
    def forward(ctx: Any, image: Image, shapes: Sequence[tuple[int, int]]) -> tuple[Image, ...]:
        """Return the images, as `resize` does."""
        resized = [bicubic(image, shape) for shape in shapes]
        ctx.save_for_backward(*((each >= 0) & (each <= 1) for each in resized))
        return image.view_as(image), *(each.clamp_(0, 1) for each in resized)

    @staticmethod
    @once_differentiable
    @large_blocks(kept=False)
    def backward(ctx: Any, total: Tensor, *gradients: Tensor) -> tuple[Tensor, None]:
        """Return the sum of the gradients, in the memory of the first one where it has its own."""
        result = total.contiguous()
        for i in range(result.shape[1]):
            color = result[:, i : i + 1]
            for mask, gradient in zip(ctx.saved_tensors, gradients, strict=True):
                inside = gradient[:, i : i + 1].where(mask[:, i : i + 1], 0)
                color += bicubic_gradient(inside, color.shape)
        return result, None


def loss_scale_sizes(shape: tuple[int, int], count: int | None, shortest_side: float = 1.0) -> list[int]:
    """Return the longer sides at which the loss of an image is computed, in pixels, the full one first.

    Args:
        shape: height and width of the image, in pixels.
        count: maximum number of scales; None adds scales down to a longer side of about 128 pixels.
        shortest_side: shortest side of the image and of the styles as a fraction of the longer side of the image.
            Scales at which it would have fewer than 32 pixels are left out.

    >>> loss_scale_sizes((768, 1024), None), loss_scale_sizes((384, 512), 2)
    ([1024, 512, 256, 128], [512, 256])
    """
    longer = max(shape)
    if count is None:
        count = 1 + max(0, round(math.log2(longer / COARSEST)))
    sizes = coarse_sizes(
        islice(halved(longer), count), lambda size: min(*fit(shape, size), size * shortest_side) >= SMALLEST
    )
    return list(reversed(sizes))


def near_scale_shapes(shape: tuple[int, int], near_scales: int) -> list[tuple[int, int]]:
    """Return the shapes of the near scales of an image, without its own.

    The optimizer exploits errors of a small network: its style loss can be almost zero where VGG-19 still measures a
    considerable part of it. A structure that exploits an error at one size does not at a similar size.

    >>> near_scale_shapes((192, 256), 1), near_scale_shapes((192, 256), 3)
    ([], [(240, 320), (154, 205)])
    """
    return [fit(shape, round(max(shape) * factor)) for factor in NEAR[: near_scales - 1]]
