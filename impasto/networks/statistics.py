"""What a network asks of the whole picture: means over all places, and what follows from them.

Everything else that the networks here compute is local. So a picture that does not fit into memory can be painted in
tiles, exactly, once its means are known; and a mean over tiles is one over the picture.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

EPSILON = 1e-5
STRIP = 2**20
"""Numbers of a map that are squared at a time: as many as a cache holds."""

Mean = Callable[[Tensor, Tensor | None], Tensor]
"""From features `(B, C, h, w)`, and how much each place counts `(1, 1, h, w)` (None: 1), to the mean over all places of
something that is made of the features, times what the place counts: `(B, ...)`, float32."""
Measure = Callable[[Tensor, Mean], Tensor]
"""How a network comes to a mean over the whole picture, for features of the picture or of a tile of it."""


def whole(features: Tensor, mean: Mean) -> Tensor:
    """The `Measure` of a network that sees the whole picture at once."""
    return mean(features, None)


def moments(features: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean and mean square of every channel `(B, 2, C)`."""
    is_traced = torch.is_grad_enabled() or torch.compiler.is_exporting()
    if not is_traced and features[0].numel() > STRIP:
        return _by_strips(features, weights)
    features = features.float()
    both = (features, features.square()) if weights is None else (features * weights, features.square() * weights)
    return torch.stack([each.mean((2, 3)) for each in both], 1)


def _by_strips(features: Tensor, weights: Tensor | None) -> Tensor:
    """The same, some rows at a time: in float32 a large map would fill twice the memory of all else."""
    height = features.shape[2]
    rows = max(1, STRIP * height // features[0].numel())
    total = torch.zeros(())
    for top in range(0, height, rows):
        strip = features[:, :, top : top + rows]
        part = moments(strip, None if weights is None else weights[:, :, top : top + rows])
        total = total.to(part.device) + part * (strip.shape[2] / height)
    return total


def mean_and_deviation(moments: Tensor) -> tuple[Tensor, Tensor]:
    """`(B, C)` each, of `moments` `(B, 2, C)`."""
    mean, square = moments.unbind(1)
    return mean, (square - mean.square()).clamp_min(0).add(EPSILON).sqrt()


def scaled(features: Tensor, moments: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Features of these moments, given another mean and deviation, `(B, C)` each (Huang & Belongie, ICCV 2017).

    A deviation below what the features' precision can tell from their mean is a rounding error, and not enlarged.
    """
    old_mean, old_deviation = mean_and_deviation(moments)
    rounding = torch.finfo(features.dtype).eps * old_mean
    factor = deviation / (old_deviation.square() + rounding.square()).sqrt()
    shift = mean - old_mean * factor
    return torch.addcmul(
        shift.to(features.dtype)[..., None, None], features, factor.to(features.dtype)[..., None, None]
    )
