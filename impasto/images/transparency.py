"""Treat the colors of transparent pixels, which nobody sees and which are often black."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from impasto.types import Image

KEPT = 1 / 16
"""Opacity from which a pixel keeps its own color; below it, programs store arbitrary colors."""

COARSEST = 64
"""Longer side at which the rest is filled with the mean color. A larger area of the color of one edge would be unlike
anything visible, and methods that normalize features by their statistics would exaggerate it."""


def fill_hidden(image: Image, alpha: Tensor | None) -> Image:
    """Give transparent pixels the mean color of the visible pixels around them (pull-push; Gortler et al. 1996).

    Farther away than about a 64th of the longer side it is the mean of all visible colors. Resizing and features then
    mix no invisible color into the edges of a cut-out.

    Args:
        image: `(1, 3, H, W)`.
        alpha: opacity `(1, 1, H, W)` in [0, 1], or None if the image is opaque.

    Returns:
        `(1, 3, H, W)`; the image itself if it is opaque or completely transparent.
    """
    if alpha is None or alpha.max() < KEPT:
        return image
    weight = (alpha / KEPT).clamp(max=1)
    return _pull_push(image * weight, weight).clamp(0, 1)


def flatten(image: Image, alpha: Tensor | None) -> Image:
    """Return an image `(1, 3, H, W)` with opacity `(1, 1, H, W)` on white; None is opaque."""
    return image if alpha is None else image * alpha + (1 - alpha)


def visible_part(alpha: Tensor | None) -> Tensor | None:
    """Return the opacity as a mask of the visible part; None where everything or nothing is visible.

    A completely transparent image is an error of the program that saved it, and is treated as opaque.
    """
    return None if alpha is None or alpha.max() < 0.5 else alpha


def _pull_push(colors: Tensor, weight: Tensor) -> Tensor:
    """Add to colors, multiplied by weights in [0, 1], the part that is missing from a coarser image."""
    height, width = colors.shape[-2:]
    if max(height, width) <= COARSEST:
        mean = colors.sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True).clamp_min(1e-6)
        return colors + (1 - weight) * mean
    mean_weight = F.avg_pool2d(weight, 2, ceil_mode=True)
    coarse_weight = (4 * mean_weight).clamp(max=1)
    coarse = F.avg_pool2d(colors, 2, ceil_mode=True) / mean_weight.clamp_min(1e-6) * coarse_weight
    filled = _pull_push(coarse, coarse_weight)
    return colors + (1 - weight) * F.interpolate(filled, size=(height, width), mode="bilinear", align_corners=False)
