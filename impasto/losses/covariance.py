"""Define the loss `covariance`."""

from __future__ import annotations

from torch import Tensor

from impasto.features.moments import both_moments, covariance
from impasto.losses.base import LOSSES, FeatureLoss


@LOSSES.add("covariance")
class CovarianceLoss(FeatureLoss):
    """Channel means and covariance, compared by |μ - μ̂|²/C + |Σ - Σ̂|²/(4 C²) (after CORAL, Sun & Saenko, 2016).

    The statistic contains the raw first and second moments, `(B, C + 1, C)`, which combine over tiles and images; the
    covariance is computed in the distance. Unlike the Gram matrix, it separates the mean of a channel from its
    variation.

    Departs from the paper: the means are compared too.
    """

    is_spatial_mean = True

    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        """Return the raw first and second moments, `(B, C + 1, C)`."""
        return both_moments(features, guide)  # (B, C + 1, C)

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        """Return the mean squared difference of the means, plus a quarter of that of the covariances."""
        means = (statistic[:, 0] - target[:, 0]).square().mean()
        return means + (covariance(statistic) - covariance(target)).square().mean() / 4
