"""Define the loss `total_variation`."""

from __future__ import annotations

from torch import Tensor

from impasto.features.finite_differences import neighbor_differences
from impasto.losses.base import LOSSES, FeatureLoss


@LOSSES.add("total_variation")
class TotalVariationLoss(FeatureLoss):
    """Squared total variation: mean squared difference of neighboring pixels (Mahendran & Vedaldi, CVPR 2015).

    For the image itself (layer `image`), with a target of 0. The statistic is the sum of the squared differences to
    the right and lower neighbors divided by the number of values, `(B,)`; it is 0 for one pixel. A guide weights the
    squares, each by the smaller guide of its two pixels.
    """

    role = "smoothness"

    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        """Return the sum of the squared differences divided by the number of values, `(B,)`."""
        horizontal, vertical = neighbor_differences(features, guide, power=2)
        return (horizontal.square().sum((1, 2, 3)) + vertical.square().sum((1, 2, 3))) / features[0].numel()  # (B,)

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        """Return the mean absolute difference."""
        return (statistic - target).abs().mean()
