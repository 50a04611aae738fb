from __future__ import annotations

import torch
from torch import Tensor

from impasto.features.positions import at_least_fp32, guided_columns, random_columns
from impasto.losses.base import LOSSES, FeatureLoss

MOST = 2048  # places of a map that are compared
TINY = 1e-8  # keeps the direction of a feature vector of zeros differentiable


@LOSSES.add("relaxed_earth_mover")
class RelaxedEarthMoverLoss(FeatureLoss):
    """Every feature vector to its nearest in cosine, both ways; the larger mean (STROTSS; Kolkin et al., CVPR 2019).

    Blind to how bright features are: `moments` beside it sees that. Compares at most 2048 places, a fixed random
    choice, and is made for layers of which each place sees much of the picture, from relu3_1 on. A guide selects the
    places where it is at least half of its largest.

    Departs from the paper: 2048 places for good instead of another 1024 at each step.
    """

    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        return at_least_fp32(random_columns(guided_columns(guide, features), MOST))  # (B, C, N)

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        pairs = zip(_directions(statistic), _directions(target), strict=True)
        return torch.stack([_moved(own, other) for own, other in pairs]).mean()


def _directions(columns: Tensor) -> Tensor:
    """Columns of length 1; those of zeros stay so."""
    return columns * (columns.square().sum(1, keepdim=True) + TINY).rsqrt()


def _moved(own: Tensor, other: Tensor) -> Tensor:
    """Relaxed earth mover's distance of unit vectors `(C, N)` and `(C, M)`.

    The cosine distance is half the squared one, which is exactly 0 for equal vectors. The nearest are found without a
    gradient, so the N x M matrix is not kept.
    """
    to_other, to_own = _nearest(own, other), _nearest(other, own)
    there = (own - other[:, to_other]).square().sum(0).mean() / 2
    back = (own[:, to_own] - other).square().sum(0).mean() / 2
    return torch.maximum(there, back)


@torch.no_grad()
def _nearest(own: Tensor, other: Tensor) -> Tensor:
    """Which of the vectors `(C, M)` lies nearest to each of `(C, N)`: indices `(N,)`."""
    return torch.addmm(-other.square().sum(0) / 2, own.T, other).max(1).indices
