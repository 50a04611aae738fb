"""Filter a gradient by spatial frequency, as a first estimate of the inverse Hessian for L-BFGS."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from impasto.images import bicubic, bicubic_gradient
from impasto.types import Image

CUTOFF = 1 / 128
"""Frequency in cycles per pixel from which the gain decreases, in inverse proportion to the frequency."""
GRAY = 3.0
"""Factor on the mean of the three colors."""


class Preconditioner:
    """A symmetric, positive definite linear map of images of one shape that amplifies what is slow to optimize.

    The loss is far more curved along fine structures than along large ones, so that plain L-BFGS needs many steps to
    change the colors of large areas. The gradient is filtered in the basis of the discrete cosine transform, whose
    implicit boundary is a mirror, with a gain of 1 up to `CUTOFF` and of `CUTOFF` / f at the frequency f.

    It pays off where the optimization starts from a photograph, not where it continues a coarser size, whose large
    areas have converged (docs/measurements/large-forms.md).

    Args:
        image: any image of that shape, `(1, 3, H, W)`.
    """

    def __init__(self, image: Image) -> None:
        height, width = image.shape[-2:]
        self._rows, self._columns = (_cosines(size).to(image) for size in (height, width))
        frequencies = torch.hypot(torch.arange(height)[:, None] / (2 * height), torch.arange(width) / (2 * width))
        self._gain = (CUTOFF / frequencies.clamp_min(CUTOFF)).to(image)

    def __call__(self, gradient: Tensor) -> Tensor:
        """Return the map of a gradient with the values of an image, in any shape."""
        image = gradient.view(1, 3, *self._gain.shape)
        image = image + (GRAY - 1) * image.mean(1, keepdim=True)
        spectrum = (self._rows @ image @ self._columns.mT) * self._gain
        return (self._rows.mT @ spectrum @ self._columns).view(gradient.shape)


class LowPass:
    """A symmetric linear map of images of one shape whose results are enlarged images of a smaller grid.

    An enlarged style image has no structures finer than its own pixels, and with the map the steps have none either: no
    grain that a loss network does not see. The map is U Uᵀ, where U is the bicubic enlargement.

    Args:
        image: any image of that shape, `(1, 3, H, W)`.
        grid: height and width of the grid.
    """

    def __init__(self, image: Image, grid: tuple[int, int]) -> None:
        self._shape, self._grid = image.shape, grid

    def __call__(self, gradient: Tensor) -> Tensor:
        """Map a gradient with the values of an image, in any shape, in place, and return it."""
        colors = gradient.view(self._shape)
        for i in range(colors.shape[1]):  # one after the other: each of a large image takes hundreds of MB
            color = colors[:, i : i + 1]
            small = bicubic_gradient(color.float(), (1, 1, *self._grid))
            color.copy_(bicubic(small, (color.shape[-2], color.shape[-1])))
        return gradient


def _cosines(size: int) -> Tensor:
    """Return the orthonormal basis of the discrete cosine transform (type 2), `(size, size)`, frequencies by row."""
    positions = torch.arange(size, dtype=torch.float64)
    basis = torch.cos(math.pi / size * positions[:, None] * (positions + 0.5)) * math.sqrt(2 / size)
    basis[0] /= math.sqrt(2)
    return basis
