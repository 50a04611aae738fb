from __future__ import annotations

import torch
from torch import Tensor

from impasto.features.moments import first_moment
from impasto.features.positions import at_least_fp32
from impasto.losses.base import LOSSES, FeatureLoss

TINY = 1e-8  # keeps the square root's gradient finite where a channel is constant


@LOSSES.add("moments")
class MomentsLoss(FeatureLoss):
    """Mean and standard deviation of each channel (Li, Wang, Liu & Hou, IJCAI 2017; arXiv 1701.01036).

    The statistic holds the raw first and second moments, which combine over tiles and pictures; the standard deviation
    is taken in the distance. A map of one place has a standard deviation of 0.
    """

    is_spatial_mean = True

    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        return torch.stack(
            [first_moment(features, guide), first_moment(at_least_fp32(features).square(), guide)], dim=1
        )

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        """For statistics `(B, 2, C)`."""
        means = (statistic[:, 0] - target[:, 0]).square().mean()
        return means + (_deviation(statistic) - _deviation(target)).square().mean()


def _deviation(moments: Tensor) -> Tensor:
    variance = moments[:, 1] - moments[:, 0].square()
    return (variance.clamp_min(0) + TINY).sqrt()  # (B, C)
