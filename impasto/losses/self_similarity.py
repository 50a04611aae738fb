from __future__ import annotations

from torch import Tensor

from impasto.features.positions import at_least_fp32, guided_columns, random_columns
from impasto.losses.base import LOSSES, FeatureLoss

MOST = 1024  # places of a map that are compared
TINY = 1e-6


@LOSSES.add("self_similarity")
class SelfSimilarityLoss(FeatureLoss):
    """How alike the places of one picture are among themselves (STROTSS's content; Kolkin et al., CVPR 2019).

    Cosine distances between all pairs of at most 1024 places, a fixed random choice; each column is divided by its
    mean, and the matrices are compared by their mean absolute difference. So what belongs together stays so, while
    colors and textures are free. The maps must be of one size. A guide, which the pictures compared share, selects the
    places where it is at least half of its largest.
    """

    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        columns = at_least_fp32(random_columns(guided_columns(guide, features), MOST))  # (B, C, N)
        directions = columns * (columns.square().sum(1, keepdim=True) + TINY).rsqrt()
        apart = 1 - directions.mT @ directions  # (B, N, N)
        return apart / (apart.mean(1, keepdim=True) + TINY)

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        return (statistic - target).abs().mean()
