"""Define the loss `self_similarity`."""

from __future__ import annotations

from torch import Tensor

from impasto.features.positions import at_least_fp32, guided_columns, random_columns
from impasto.losses.base import LOSSES, FeatureLoss

MAX_POSITIONS = 1024
"""Positions of a map that are compared at most."""
EPSILON = 1e-6


@LOSSES.add("self_similarity")
class SelfSimilarityLoss(FeatureLoss):
    """Self-similarity of the positions of one image (STROTSS content loss; Kolkin et al., CVPR 2019).

    The statistic is the matrix of cosine distances between all pairs of at most 1024 positions, a fixed random choice,
    each column divided by its mean, `(B, N, N)`; the loss is the mean absolute difference of two such matrices. It
    preserves which positions resemble each other and leaves colors and textures free. Both maps must have the same
    size. A guide, which must be the same for both images, selects the positions where it is at least half of its
    maximum.
    """

    role = "content"

    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        """Return the normalized cosine distances between positions, `(B, N, N)`."""
        columns = at_least_fp32(random_columns(guided_columns(guide, features), MAX_POSITIONS))  # (B, C, N)
        unit = columns * (columns.square().sum(1, keepdim=True) + EPSILON).rsqrt()
        distances = 1 - unit.mT @ unit  # (B, N, N)
        return distances / (distances.mean(1, keepdim=True) + EPSILON)

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        """Return the mean absolute difference."""
        return (statistic - target).abs().mean()
