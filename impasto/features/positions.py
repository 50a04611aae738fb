"""Select positions of feature maps: those of a region, and random samples."""

from __future__ import annotations

import torch
from torch import Tensor

SEED = 0


def at_least_fp32(features: Tensor) -> Tensor:
    """Return the features in float32, or unchanged if they are float64."""
    return features if features.dtype is torch.float64 else features.float()


def inside_guide(guide: Tensor) -> Tensor:
    """Return which positions belong to a region, for statistics that cannot weight positions.

    Args:
        guide: weights `(1, 1, H, W)`, >= 0.

    Returns:
        bool `(1, 1, H, W)`, true where the weight is at least half of the maximum.
    """
    return (guide > 0) & (guide >= guide.amax() / 2)


def guided_columns(guide: Tensor | None, features: Tensor) -> Tensor:
    """Return the feature vectors inside a guide.

    Args:
        guide: weights `(1, 1, H, W)`, >= 0, see `inside_guide`. None: all positions.
        features: `(B, C, H, W)`.

    Returns:
        `(B, C, N)`.
    """
    columns = features.flatten(2)
    return columns if guide is None else columns[..., inside_guide(guide).flatten()]


def random_columns(columns: Tensor, most: int) -> Tensor:
    """Return a random subset of feature vectors; the subset is the same for all maps with N positions.

    Args:
        columns: `(B, C, N)`.
        most: largest number of vectors that is returned.

    Returns:
        `(B, C, min(N, most))`, in the original order.
    """
    count = columns.shape[-1]
    if count <= most:
        return columns
    chosen = torch.randperm(count, generator=torch.Generator().manual_seed(SEED))[:most].sort().values
    return columns[..., chosen.to(columns.device)]
