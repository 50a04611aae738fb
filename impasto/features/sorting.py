"""Distributions as sorted values: how they are sorted at a bearable price, and how far two of them are apart.

Measured on relu1_1 of VGG-19 at 384x288, where s is 3: distances within 1 % of those with all places, gradients
averaged over 9x9 places at a cosine of 0.97 or more to those with all; a third of the time.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.features.positions import at_least_fp32

ENOUGH = 32768  # places that describe a distribution to about a hundredth
WITNESSES = 8  # rows, at least, that see each place


def sorted_rows(columns: Tensor, axes: Tensor | None = None) -> Tensor:
    """Projections of feature vectors onto axes, each row sorted.

    Args:
        columns: `(B, C, N)`.
        axes: `(K, C)`; none given means the channels themselves.

    Returns:
        `(B, K, N)`, fp32 (float64 for float64). Sorting is what costs: from 65536 places on, each row holds only every
        s-th place, from another one on than its neighbor. s leaves a row at least 32768 places and each place at
        least 8 rows, so that no place goes without a gradient.
    """
    rows, places = columns.shape[1] if axes is None else len(axes), columns.shape[-1]
    stride = max(1, min(places // ENOUGH, rows // WITNESSES))
    length = places // stride
    groups = []
    for first in range(stride):
        if axes is None:
            groups.append(at_least_fp32(columns[:, first::stride, first::stride][..., :length]))
        else:
            groups.append(axes[first::stride] @ at_least_fp32(columns[..., first::stride][..., :length]))
    values = torch.cat(groups, 1)
    return values.gather(-1, sorting_indices(values))


def sorting_indices(values: Tensor) -> Tensor:
    """The places of the values from the lowest to the highest, along the last dimension.

    On a CPU by NumPy, whose vectorized sorts take a quarter of the time of torch's, or less.
    """
    if values.device.type != "cpu":
        return values.argsort(-1)
    return torch.from_numpy(np.argsort(values.detach().numpy(), axis=-1))


def sorted_values(values: Tensor) -> Tensor:
    """The values themselves, sorted along the last dimension, without gradient: faster still than their order."""
    if values.device.type != "cpu":
        return values.detach().sort(-1).values
    return torch.from_numpy(np.sort(values.detach().numpy(), axis=-1))


def sorted_distance(values: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of sorted rows `(B, K, N)` and `(B, K, M)`; those of the target are interpolated to N."""
    if values.shape[-1] != target.shape[-1]:
        target = F.interpolate(target, size=values.shape[-1], mode="linear", align_corners=False)
    return F.mse_loss(values, target)
