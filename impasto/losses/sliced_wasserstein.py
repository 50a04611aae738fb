"""Define the loss `sliced_wasserstein`."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.features.positions import guided_columns
from impasto.features.sorting import sorted_distance, sorted_rows
from impasto.losses.base import LOSSES, FeatureLoss

SEED = 0
ENOUGH = 2**17
"""Number of sorted values of a small map: more directions are added up to this number."""
MOST_SETS = 16
"""Largest number of sets of directions; each set has as many of them as there are channels."""


@LOSSES.add("sliced_wasserstein")
class SlicedWassersteinLoss(FeatureLoss):
    """Sliced Wasserstein distance of the feature vectors (Heitz et al., CVPR 2021; arXiv 2006.07229).

    The statistic contains the sorted projections onto K random unit vectors, `(B, K, N)`: the distribution of the
    features, not only its moments. K is the number of channels, and a multiple of it for small maps. Where the maps
    differ in size, the target's sorted values are interpolated. From 65536 positions on a projection uses only every
    s-th position, see `impasto.features.sorting`. A guide selects the positions where it is at least half of its
    maximum.

    Departs from the paper: the directions are always the same, since L-BFGS needs a deterministic loss. As many fixed
    directions as channels see no correlations of the features: an image can match each of the projections on its own.
    Small maps, whose projections are sorted quickly, therefore have up to 16 times as many
    (docs/measurements/large-forms.md).
    """

    largest_coarse = 192  # the coarsest scale only: it sorts a multiple of the channels

    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        """Return the sorted projections of the feature vectors, `(B, K, N)`."""
        columns = guided_columns(guide, features)
        channels, positions = columns.shape[1:]
        sets = max(1, min(ENOUGH // (channels * max(positions, 1)), MOST_SETS))
        dtype = torch.float64 if columns.dtype is torch.float64 else torch.float32
        return sorted_rows(columns, _directions(channels, sets, columns.device, dtype))  # (B, K, N)

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        """Return the mean squared difference of the sorted values, along the directions of the larger map."""
        shared = min(statistic.shape[1], target.shape[1])
        return sorted_distance(statistic[:, :shared], target[:, :shared])


@lru_cache(maxsize=32)
@torch.inference_mode(False)  # a later call may need gradients
def _directions(channels: int, sets: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return random unit vectors, one per row of `(sets * channels, channels)`; more sets begin with the same rows."""
    generator = torch.Generator().manual_seed(SEED)
    vectors = [F.normalize(torch.randn(channels, channels, generator=generator), dim=1) for _ in range(sets)]
    return torch.cat(vectors).to(device, dtype)
