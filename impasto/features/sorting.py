"""Sort feature values quickly and compare sorted distributions.

Large maps are subsampled with a stride s. Measured on relu1_1 of VGG-19 at 384x288, where s is 3: distances within 1 %
of those with all positions, gradients averaged over 9x9 positions at a cosine of at least 0.97 to the full ones, in a
third of the time.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.features.positions import at_least_fp32

ENOUGH = 32768  # positions that describe a distribution to about 1 %
MIN_ROWS = 8  # smallest number of rows in which each position is sorted


def sorted_rows(columns: Tensor, axes: Tensor | None = None) -> Tensor:
    """Return projections of feature vectors onto axes, each row sorted.

    Sorting takes most of the time. From 65536 positions on, each row therefore contains only every s-th position, with
    a different offset than its neighbors. s leaves at least 32768 positions in a row and every position in at least 8
    rows, so that every position receives a gradient.

    Args:
        columns: `(B, C, N)`.
        axes: `(K, C)`. None: the channels themselves, K = C.

    Returns:
        `(B, K, N // s)`, fp32 (float64 for float64).
    """
    rows, count = columns.shape[1] if axes is None else len(axes), columns.shape[-1]
    stride = max(1, min(count // ENOUGH, rows // MIN_ROWS))
    length = count // stride
    groups = []
    for first in range(stride):
        if axes is None:
            groups.append(at_least_fp32(columns[:, first::stride, first::stride][..., :length]))
        else:
            groups.append(axes[first::stride] @ at_least_fp32(columns[..., first::stride][..., :length]))
    values = torch.cat(groups, 1)
    values = values.gather(-1, sorting_indices(values))
    return values if stride == 1 else values[:, _order_of_groups(rows, stride)]


def _order_of_groups(rows: int, stride: int) -> Tensor:
    """Return for each row its index among the groups: the rows of a map of any stride are in the order of the axes.

    >>> _order_of_groups(5, 2)
    tensor([0, 3, 1, 4, 2])
    """
    return torch.cat([torch.arange(first, rows, stride) for first in range(stride)]).argsort()


def sorting_indices(values: Tensor) -> Tensor:
    """Return the indices that sort the values along the last dimension, in ascending order.

    On a CPU this uses NumPy, whose vectorized sort takes at most a quarter of torch's time.
    """
    if values.device.type != "cpu":
        return values.argsort(-1)
    return torch.from_numpy(np.argsort(values.detach().numpy(), axis=-1))


def sorted_values(values: Tensor) -> Tensor:
    """Return the values sorted along the last dimension, without gradient; faster than `sorting_indices`."""
    if values.device.type != "cpu":
        return values.detach().sort(-1).values
    return torch.from_numpy(np.sort(values.detach().numpy(), axis=-1))


def sorted_distance(values: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared difference of sorted rows.

    Args:
        values: sorted rows `(B, K, N)`.
        target: sorted rows `(B, K, M)`; interpolated linearly to length N.

    Returns:
        A scalar.
    """
    if values.shape[-1] != target.shape[-1]:
        target = F.interpolate(target, size=values.shape[-1], mode="linear", align_corners=False)
    return F.mse_loss(values, target)
