from __future__ import annotations

import torch
from torch import Tensor

from impasto.losses import LOSSES, FeatureLoss


@LOSSES.add("total_variation")
class TotalVariationLoss(FeatureLoss):
    """Mean squared difference of neighbours, across and down (squared total variation, Mahendran & Vedaldi, CVPR 2015).

    Meant for the picture itself (`"image"`); its target is 0. A map of one pixel has none.
    """

    def statistic(self, features: Tensor) -> Tensor:
        wide = features if features.dtype is torch.float64 else features.float()
        across = (wide[..., :, 1:] - wide[..., :, :-1]).square().sum((1, 2, 3))
        down = (wide[..., 1:, :] - wide[..., :-1, :]).square().sum((1, 2, 3))
        return (across + down) / wide[0].numel()  # (B,)

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        return (statistic - target).abs().mean()
