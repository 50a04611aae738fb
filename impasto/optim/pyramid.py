"""A picture as a Laplacian pyramid: other variables, in which a step moves what is coarse as easily as what is fine.

Descent on the levels instead of the pixels is how STROTSS (Kolkin, Salavon & Shakhnarovich, CVPR 2019) and NNST (Kolkin
et al. 2022) keep the colors of large areas from lagging behind the texture.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.types import Image


def decompose(image: Image, count: int) -> list[Tensor]:
    """The levels of `image` `(1, 3, H, W)`, fine to coarse; what is left at the end is a small picture.

    Each level is half as high and wide as the one before (Burt & Adelson, IEEE Trans. Communications 31, 1983; means
    of four pixels and bilinear enlargement instead of their kernel). Linear. Fewer than `count` levels where a side
    comes down to one pixel.
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
    """The picture of these levels: the inverse of `decompose`, for any size. Linear."""
    image = levels[-1]
    for level in reversed(levels[:-1]):
        image = level + _enlarge(image, level)
    return image


def _enlarge(image: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(image, size=like.shape[-2:], mode="bilinear", align_corners=False)


class Pyramid:
    """The change of variables for pictures of one shape: all levels in one vector.

    Args:
        image: any picture of that shape, `(1, 3, H, W)`.
        count: number of levels, at most.
    """

    def __init__(self, image: Image, count: int) -> None:
        self._count = count
        levels = decompose(image, count)
        self._shapes = [level.shape for level in levels]
        self._blank = image.new_zeros(sum(level.numel() for level in levels))

    def zeros(self) -> Tensor:
        """The levels of a black picture, flat, `(n,)`."""
        return self._blank.clone()

    def levels(self, image: Image) -> Tensor:
        """The levels of a picture, flat, `(n,)`."""
        return torch.cat([level.flatten() for level in decompose(image, self._count)])

    def image(self, levels: Tensor) -> Image:
        """The picture of flat levels `(n,)`."""
        parts = torch.split(levels, [shape.numel() for shape in self._shapes])
        return collapse([part.view(shape) for part, shape in zip(parts, self._shapes, strict=True)])

    def gradient(self, gradient: Tensor) -> Tensor:
        """From the gradient of the pixels to that of the levels, `(n,)`: the adjoint of `image`."""
        levels = self.zeros().requires_grad_()
        with torch.enable_grad():
            image = self.image(levels)
        (adjoint,) = torch.autograd.grad(image, levels, gradient)
        return adjoint
