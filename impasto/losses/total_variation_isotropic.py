"""Define the loss `total_variation_isotropic`."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from impasto.features.finite_differences import neighbor_differences
from impasto.losses.base import LOSSES, FeatureLoss

SMOOTH = 1e-3  # differences below a quarter of an 8-bit level are squared, so that the gradient is finite at 0


@LOSSES.add("total_variation_isotropic")
class TotalVariationIsotropicLoss(FeatureLoss):
    """Isotropic total variation: mean length of the gradient (Rudin, Osher & Fatemi, Physica D 1992).

    Preserves hard edges of any direction, which the squared total variation blurs. For the image itself (layer
    `image`), with a target of 0. The statistic is the mean length of the differences to the right and lower neighbors,
    `(B,)`; it is 0 for one pixel. A guide weights the differences, each by the smaller guide of its two pixels.
    """

    role = "smoothness"

    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        """Return the mean length of the gradient, `(B,)`."""
        horizontal, vertical = neighbor_differences(features, guide, power=1)
        squares = F.pad(horizontal.square(), (0, 1)) + F.pad(vertical.square(), (0, 0, 0, 1))  # (B, C, H, W)
        return ((squares + SMOOTH**2).sqrt() - SMOOTH).mean((1, 2, 3))  # (B,)

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        """Return the mean absolute difference."""
        return (statistic - target).abs().mean()
