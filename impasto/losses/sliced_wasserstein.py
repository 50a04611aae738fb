"""Define the loss `sliced_wasserstein`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.features.positions import guided_columns
from impasto.features.sorting import sorted_distance, sorted_rows
from impasto.losses.base import LOSSES, FeatureLoss

SEED = 0


@LOSSES.add("sliced_wasserstein")
class SlicedWassersteinLoss(FeatureLoss):
    """Sliced Wasserstein distance of the feature vectors (Heitz et al., CVPR 2021; arXiv 2006.07229).

    The statistic contains the sorted projections onto random unit vectors, as many as channels, `(B, C, N)`: the
    complete distribution of the features, not only its moments. Where the maps differ in size, the target's sorted
    values are interpolated. From 65536 positions on a projection uses only every s-th position, see
    `impasto.features.sorting`. A guide selects the positions where it is at least half of its maximum.

    Departs from the paper: the directions are always the same, since L-BFGS needs a deterministic loss.
    """

    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        """Return the sorted projections of the feature vectors, `(B, C, N)`."""
        columns = guided_columns(guide, features)
        return sorted_rows(columns, _directions(columns))  # (B, C, N)

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        """Return the mean squared difference of the sorted values."""
        return sorted_distance(statistic, target)


def _directions(columns: Tensor) -> Tensor:
    """Return random unit vectors, one per row of `(C, C)`, for columns `(B, C, N)`."""
    channels = columns.shape[1]
    dtype = torch.float64 if columns.dtype is torch.float64 else torch.float32
    axes = torch.randn(channels, channels, generator=torch.Generator().manual_seed(SEED))
    return F.normalize(axes, dim=1).to(columns.device, dtype)
