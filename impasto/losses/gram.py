"""Define the loss `gram`."""

from __future__ import annotations

from torch import Tensor

from impasto.features.moments import second_moment
from impasto.losses.base import LOSSES, FeatureLoss


@LOSSES.add("gram")
class GramLoss(FeatureLoss):
    """Gram matrix G = F Fᵀ/(H W), compared by |G - Ĝ|²/(4 C²) (Gatys, Ecker & Bethge, CVPR 2016).

    The statistic is the Gram matrix of the channels, `(B, C, C)`.

    Departs from the paper: divides by H W inside the Gram matrix, so that a weight means the same at every size.
    """

    is_spatial_mean = True

    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        """Return the Gram matrix divided by the number of positions, `(B, C, C)`."""
        return second_moment(features, guide)  # (B, C, C)

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        """Return a quarter of the mean squared difference."""
        return (statistic - target).square().mean() / 4
