"""Define the loss `moments`."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.features.moments import first_moment
from impasto.features.positions import at_least_fp32
from impasto.losses.base import LOSSES, FeatureLoss

EPSILON = 1e-8  # keeps the square root's gradient finite where a channel is constant


@LOSSES.add("moments")
class MomentsLoss(FeatureLoss):
    """Mean and standard deviation of each channel (Li, Wang, Liu & Hou, IJCAI 2017; arXiv 1701.01036).

    The statistic contains the raw first and second moments of each channel, `(B, 2, C)`, which combine over tiles and
    images; the standard deviation is computed in the distance and is 0 for a map of one position.
    """

    is_spatial_mean = True

    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        """Return the mean and the mean square of each channel, `(B, 2, C)`."""
        squares = at_least_fp32(features).square()
        return torch.stack([first_moment(features, guide), first_moment(squares, guide)], dim=1)

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        """Return the mean squared difference of the means, plus that of the standard deviations."""
        means = (statistic[:, 0] - target[:, 0]).square().mean()
        return means + (_standard_deviation(statistic) - _standard_deviation(target)).square().mean()


def _standard_deviation(moments: Tensor) -> Tensor:
    variance = moments[:, 1] - moments[:, 0].square()
    return (variance.clamp_min(0) + EPSILON).sqrt()  # (B, C)
