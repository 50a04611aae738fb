from __future__ import annotations

from torch import Tensor

from impasto.features.moments import both_moments, covariance
from impasto.losses.base import LOSSES, FeatureLoss


@LOSSES.add("covariance")
class CovarianceLoss(FeatureLoss):
    """Mean and covariance of the channels, compared by |μ - μ̂|²/C + |Σ - Σ̂|²/(4 C²) (after CORAL, Sun & Saenko, 2016).

    Unlike the Gram matrix it keeps apart how bright a channel is and how it varies. The statistic holds the raw first
    and second moments, which combine over tiles and pictures; the covariance is taken in the distance.

    Departs from the paper: the means count too.
    """

    is_spatial_mean = True

    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        return both_moments(features, guide)  # (B, C + 1, C)

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        means = (statistic[:, 0] - target[:, 0]).square().mean()
        return means + (covariance(statistic) - covariance(target)).square().mean() / 4
