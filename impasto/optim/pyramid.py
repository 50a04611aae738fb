"""Represent an image as a Laplacian pyramid: a change of variables for the optimizer.

With the levels as variables, one step changes coarse and fine structures equally fast. STROTSS (Kolkin, Salavon &
Shakhnarovich, CVPR 2019) and NNST (Kolkin et al. 2022) use it so that the colors of large areas converge as fast as the
texture.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.types import Image


def decompose(image: Image, count: int) -> list[Tensor]:
    """Return the levels of `image` `(1, 3, H, W)`, fine to coarse; the last one is a small image.

    Each level has half the height and width of the one before (Burt & Adelson, IEEE Trans. Communications 31, 1983;
    with means of four pixels and bilinear enlargement instead of their kernel). The decomposition is linear.

    Args:
        image: any size.
        count: number of levels; fewer are returned where a side has only one pixel left.
    """
    levels = []
    for _ in range(count - 1):
        if min(image.shape[-2:]) < 2:
            break
        coarse = F.avg_pool2d(image, 2, ceil_mode=True)  # (1, 3, ceil(H/2), ceil(W/2))
        levels.append(image - _enlarge(coarse, image))
        image = coarse
    return [*levels, image]


def collapse(levels: Sequence[Tensor]) -> Image:
    """Return the image of these levels: the inverse of `decompose`, linear, for any size."""
    image = levels[-1]
    for level in reversed(levels[:-1]):
        image = level + _enlarge(image, level)
    return image


def _enlarge(image: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(image, size=like.shape[-2:], mode="bilinear", align_corners=False)


class Pyramid:
    """The change of variables for images of one shape: all levels in one vector of length n.

    Args:
        image: any image of that shape, `(1, 3, H, W)`.
        count: maximum number of levels.
    """

    def __init__(self, image: Image, count: int) -> None:
        self._count = count
        levels = decompose(image, count)
        self._shapes = [level.shape for level in levels]
        self._zeros = image.new_zeros(sum(level.numel() for level in levels))

    def zeros(self) -> Tensor:
        """Return the levels of a black image, `(n,)`."""
        return self._zeros.clone()

    def levels(self, image: Image) -> Tensor:
        """Return the levels of an image, `(n,)`."""
        return torch.cat([level.flatten() for level in decompose(image, self._count)])

    def image(self, levels: Tensor) -> Image:
        """Return the image of levels `(n,)`."""
        parts = torch.split(levels, [shape.numel() for shape in self._shapes])
        return collapse([part.view(shape) for part, shape in zip(parts, self._shapes, strict=True)])

    def gradient(self, gradient: Tensor) -> Tensor:
        """Return the gradient of the levels, `(n,)`, from that of the pixels: the adjoint of `image`."""
        levels = self.zeros().requires_grad_()
        with torch.enable_grad():
            image = self.image(levels)
        (adjoint,) = torch.autograd.grad(image, levels, gradient)
        return adjoint
