"""The places of a feature map: those that a loss looks at, and a few of many."""

from __future__ import annotations

import torch
from torch import Tensor

SEED = 0


def at_least_fp32(features: Tensor) -> Tensor:
    """The same values in at least single precision: float64 stays, everything else becomes float32."""
    return features if features.dtype is torch.float64 else features.float()


def inside_guide(guide: Tensor) -> Tensor:
    """Whether a place counts where places cannot be weighted: its guide is at least half of the largest.

    Args:
        guide: `(1, 1, H, W)`, >= 0.

    Returns:
        bool `(1, 1, H, W)`.
    """
    return (guide > 0) & (guide >= guide.amax() / 2)


def guided_columns(guide: Tensor | None, features: Tensor) -> Tensor:
    """The feature vectors of the places that count, `(B, C, N)`, for features `(B, C, H, W)`; without a guide, all."""
    columns = features.flatten(2)
    return columns if guide is None else columns[..., inside_guide(guide).flatten()]


def random_columns(columns: Tensor, most: int) -> Tensor:
    """At most `most` of the columns `(B, C, N)`: a random choice, the same one for every map of N places."""
    places = columns.shape[-1]
    if places <= most:
        return columns
    chosen = torch.randperm(places, generator=torch.Generator().manual_seed(SEED))[:most].sort().values
    return columns[..., chosen.to(columns.device)]
