"""Distributions as sorted values: how they are sorted at a bearable price, and how far two of them are apart."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.places import wide

ENOUGH = 16384  # places that describe a distribution well
WITNESSES = 8  # rows, at least, that see each place


def sorted_rows(columns: Tensor, axes: Tensor | None = None) -> Tensor:
    """Projections of feature vectors onto axes, each row sorted.

    Args:
        columns: `(B, C, N)`.
        axes: `(K, C)`; none given means the channels themselves.

    Returns:
        `(B, K, N)`, fp32 (float64 for float64). Where N is over 16384, each row holds only every s-th place, from another
        one on than its neighbour: sorting is what costs. s leaves a row 16384 places or more, and each place at least 8
        rows, so that no place goes without a gradient.
    """
    rows, places = columns.shape[1] if axes is None else len(axes), columns.shape[-1]
    stride = max(1, min(places // ENOUGH, rows // WITNESSES))
    length = places // stride
    groups = []
    for first in range(stride):
        if axes is None:
            groups.append(wide(columns[:, first::stride, first::stride][..., :length]))
        else:
            groups.append(axes[first::stride] @ wide(columns[..., first::stride][..., :length]))
    return torch.cat(groups, 1).sort(-1).values


def rank_distance(values: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of sorted rows `(B, K, N)` and `(B, K, M)`; those of the target are interpolated to N."""
    if values.shape[-1] != target.shape[-1]:
        target = F.interpolate(target, size=values.shape[-1], mode="linear", align_corners=False)
    return F.mse_loss(values, target)
