"""Define the loss `relaxed_earth_mover`."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.features.positions import at_least_fp32, guided_columns, random_columns
from impasto.losses.base import LOSSES, FeatureLoss

MAX_POSITIONS = 2048
"""Positions of a map that are compared at most."""
EPSILON = 1e-8  # keeps the direction of a feature vector of zeros differentiable


@LOSSES.add("relaxed_earth_mover")
class RelaxedEarthMoverLoss(FeatureLoss):
    """Relaxed earth mover's distance with the cosine distance (STROTSS; Kolkin, Salavon & Shakhnarovich, CVPR 2019).

    Each feature vector is matched to the nearest of the other image, in both directions; the larger of the two mean
    cosine distances is the loss. The statistic contains the feature vectors of at most 2048 positions, a fixed random
    choice, `(B, C, N)`. The loss is invariant to the length of feature vectors, to which `moments` is sensitive. It is
    meant for layers with a large receptive field, from relu3_1 on. A guide selects the positions where it is at least
    half of its maximum.

    Departs from the paper: a fixed choice of 2048 positions instead of 1024 new ones at each step.
    """

    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        """Return the feature vectors of at most 2048 positions, `(B, C, N)`."""
        return at_least_fp32(random_columns(guided_columns(guide, features), MAX_POSITIONS))  # (B, C, N)

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        """Return the relaxed earth mover's distance, averaged over the batch."""
        pairs = zip(_unit_columns(statistic), _unit_columns(target), strict=True)
        return torch.stack([_relaxed_distance(own, other) for own, other in pairs]).mean()


def _unit_columns(columns: Tensor) -> Tensor:
    """Return the columns with length 1; columns of zeros stay zero."""
    return columns * (columns.square().sum(1, keepdim=True) + EPSILON).rsqrt()


def _relaxed_distance(own: Tensor, other: Tensor) -> Tensor:
    """Return the relaxed earth mover's distance of unit vectors `(C, N)` and `(C, M)`.

    The cosine distance is half the squared distance, which is exactly 0 for equal vectors. The nearest vectors are
    found without gradient, so that the N x M matrix is not stored.
    """
    to_other, to_own = _nearest(own, other), _nearest(other, own)
    forward = (own - other[:, to_other]).square().sum(0).mean() / 2
    backward = (own[:, to_own] - other).square().sum(0).mean() / 2
    return torch.maximum(forward, backward)


@torch.no_grad()
def _nearest(own: Tensor, other: Tensor) -> Tensor:
    """Return the indices `(N,)` of the vectors `(C, M)` that are nearest to the vectors `(C, N)`."""
    return torch.addmm(-other.square().sum(0) / 2, own.T, other).max(1).indices
