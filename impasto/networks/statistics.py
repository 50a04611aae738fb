"""Compute the global statistics of a network's features, and normalize features with them.

Spatial means over the whole image are the only computations of these networks that are not local. An image that does
not fit into memory can therefore be processed in tiles without approximation once these means are known, and a mean
over the tiles is the mean over the image.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

EPSILON = 1e-5
STRIP_SIZE = 2**20
"""Values of a map that are squared at a time: as many as fit into a processor cache."""

SpatialMean = Callable[[Tensor, Tensor | None], Tensor]
"""Function of features `(B, C, h, w)` and position weights `(1, 1, h, w)` (None: all 1). It returns the mean over all
positions of a function of the features, times the weights: `(B, ...)`, float32."""
Measure = Callable[[Tensor, SpatialMean], Tensor]
"""Function that computes a spatial mean over the whole image from the features of the image or of one tile of it."""


def measure_untiled(features: Tensor, mean: SpatialMean) -> Tensor:
    """Return the spatial mean of features of the whole image; the `Measure` of an image that is not tiled."""
    return mean(features, None)


def moments(features: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean and the mean square of each channel.

    Args:
        features: `(B, C, h, w)`.
        weights: position weights `(1, 1, h, w)`; None: all 1.

    Returns:
        Float32 `(B, 2, C)`.
    """
    is_traced = torch.is_grad_enabled() or torch.compiler.is_exporting()
    if not is_traced and features[0].numel() > STRIP_SIZE:
        return _moments_by_strips(features, weights)
    features = features.float()
    both = (features, features.square()) if weights is None else (features * weights, features.square() * weights)
    return torch.stack([each.mean((2, 3)) for each in both], 1)


def _moments_by_strips(features: Tensor, weights: Tensor | None) -> Tensor:
    """Return `moments`, computed over some rows at a time: a large map in float32 would double the peak memory."""
    height = features.shape[2]
    rows = max(1, STRIP_SIZE * height // features[0].numel())
    total = torch.zeros(())
    for top in range(0, height, rows):
        strip = features[:, :, top : top + rows]
        part = moments(strip, None if weights is None else weights[:, :, top : top + rows])
        total = total.to(part.device) + part * (strip.shape[2] / height)
    return total


def mean_and_std(moments: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the standard deviation of each channel, `(B, C)` each, for `moments` `(B, 2, C)`."""
    mean, square = moments.unbind(1)
    return mean, (square - mean.square()).clamp_min(0).add(EPSILON).sqrt()


def set_moments(features: Tensor, moments: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Give features another mean and standard deviation per channel (AdaIN; Huang & Belongie, ICCV 2017).

    A standard deviation below the rounding error of the features' mean is itself a rounding error and is not enlarged.

    Args:
        features: `(B, C, h, w)`.
        moments: their moments over the whole image, `(B, 2, C)`.
        mean: the new means, `(B, C)`.
        std: the new standard deviations, `(B, C)`.

    Returns:
        Features `(B, C, h, w)`.
    """
    old_mean, old_std = mean_and_std(moments)
    rounding = torch.finfo(features.dtype).eps * old_mean
    factor = std / (old_std.square() + rounding.square()).sqrt()
    shift = mean - old_mean * factor
    return torch.addcmul(
        shift.to(features.dtype)[..., None, None], features, factor.to(features.dtype)[..., None, None]
    )
