from __future__ import annotations

from torch import Tensor

from impasto.features.moments import second_moment
from impasto.losses.base import LOSSES, FeatureLoss


@LOSSES.add("gram")
class GramLoss(FeatureLoss):
    """Channel correlations G = F Fᵀ/(H W), compared by |G - Ĝ|²/(4 C²) (Gatys, Ecker & Bethge, CVPR 2016).

    Departs from the paper: divides by H W inside the Gram matrix, so a weight survives a change of size.
    """

    is_spatial_mean = True

    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        return second_moment(features, guide)  # (B, C, C)

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        return (statistic - target).square().mean() / 4
