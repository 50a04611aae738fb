from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from impasto.features.finite_differences import neighbor_differences
from impasto.losses.base import LOSSES, FeatureLoss

SMOOTH = 1e-3  # steps below a quarter of a gray level of 8 bits count by their square: the slope is finite at 0


@LOSSES.add("total_variation_isotropic")
class TotalVariationIsotropicLoss(FeatureLoss):
    """Mean length of the gradient, alike in all directions (Rudin, Osher & Fatemi, Physica D 1992).

    Spares hard edges, which the squared one blurs, however they run. Meant for the picture itself (`"image"`); its
    target is 0. A map of one pixel has none. A guide weights the steps to the right and down, each by the lesser of its
    two pixels' guides.
    """

    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        across, down = neighbor_differences(features, guide, power=1)
        squares = F.pad(across.square(), (0, 1)) + F.pad(down.square(), (0, 0, 0, 1))  # (B, C, H, W)
        return ((squares + SMOOTH**2).sqrt() - SMOOTH).mean((1, 2, 3))  # (B,)

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        return (statistic - target).abs().mean()
