"""Define the loss `total_variation_l1`."""

from __future__ import annotations

from torch import Tensor

from impasto.features.finite_differences import neighbor_differences
from impasto.losses.base import LOSSES, FeatureLoss


@LOSSES.add("total_variation_l1")
class TotalVariationL1Loss(FeatureLoss):
    """Anisotropic total variation: mean absolute difference of neighboring pixels (after Rudin et al., 1992).

    Preserves hard edges, which the squared total variation blurs, and favors horizontal and vertical ones. For the
    image itself (layer `image`), with a target of 0. The statistic is the sum of the absolute differences to the right
    and lower neighbors divided by the number of values, `(B,)`; it is 0 for one pixel. A guide weights the
    differences, each by the smaller guide of its two pixels.
    """

    role = "smoothness"

    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        """Return the sum of the absolute differences divided by the number of values, `(B,)`."""
        horizontal, vertical = neighbor_differences(features, guide, power=1)
        return (horizontal.abs().sum((1, 2, 3)) + vertical.abs().sum((1, 2, 3))) / features[0].numel()  # (B,)

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        """Return the mean absolute difference."""
        return (statistic - target).abs().mean()
