from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.losses import LOSSES, FeatureLoss


@LOSSES.add("content")
class ContentLoss(FeatureLoss):
    """Mean squared difference of features, place by place (Gatys, Ecker & Bethge, CVPR 2016).

    Departs from the paper: the mean instead of half the sum, so a weight survives a change of size.
    """

    def statistic(self, features: Tensor) -> Tensor:
        return features if features.dtype is torch.float64 else features.float()  # (B, C, H, W)

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(statistic, target)
