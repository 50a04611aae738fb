from __future__ import annotations

from torch import Tensor

from impasto.features.finite_differences import neighbor_differences
from impasto.losses.base import LOSSES, FeatureLoss


@LOSSES.add("total_variation_l1")
class TotalVariationL1Loss(FeatureLoss):
    """Mean absolute difference of neighbors, across and down (anisotropic total variation).

    Spares hard edges, which the squared one blurs, and prefers upright and level ones. Meant for the picture itself
    (`"image"`); its target is 0. A map of one pixel has none. A guide weights the differences, each by the lesser of
    its two pixels' guides.
    """

    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        across, down = neighbor_differences(features, guide, power=1)
        return (across.abs().sum((1, 2, 3)) + down.abs().sum((1, 2, 3))) / features[0].numel()  # (B,)

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        return (statistic - target).abs().mean()
