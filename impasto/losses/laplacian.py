from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.features.positions import at_least_fp32
from impasto.losses.base import LOSSES, FeatureLoss

POOLS = (4, 16)  # pixels


@LOSSES.add("laplacian")
class LaplacianLoss(FeatureLoss):
    """Squared difference of the Laplacians of the picture, pooled by 4 and by 16 (Li, Xu, Nie & Chua, ACM MM 2017).

    Meant for the picture itself (`"image"`): keeps edges, lines and faces and leaves colors free, as long as they
    change slowly. The border is repeated outwards. A guide weights the squared differences, each by its least value
    among all pixels that the difference looks at, 3x3 pools; the pictures compared share it.

    Departs from the paper: the mean instead of the sum, and both poolings at once.
    """

    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        """`(B, L)`; the part of each pooling has the square root of its mean square as its length."""
        parts = []
        for pool in POOLS:
            edges = _laplacian(F.avg_pool2d(at_least_fp32(features), pool, ceil_mode=True))  # (B, C, H/pool, W/pool)
            if guide is not None:
                edges = edges * _least(_least(guide, pool, pool), 3, 1, 1).sqrt()
            parts.append(edges.flatten(1) / edges[0].numel() ** 0.5)
        return torch.cat(parts, dim=1)

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        return (statistic - target).square().sum(1).mean()


def _laplacian(maps: Tensor) -> Tensor:
    around = F.pad(maps, (1, 1, 1, 1), mode="replicate")
    across = around[..., 1:-1, :-2] + around[..., 1:-1, 2:]
    return across + around[..., :-2, 1:-1] + around[..., 2:, 1:-1] - 4 * maps


def _least(guide: Tensor, side: int, stride: int, padding: int = 0) -> Tensor:
    return -F.max_pool2d(-guide, side, stride, padding, ceil_mode=True)
