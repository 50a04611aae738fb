"""Define the loss `laplacian`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.features.positions import at_least_fp32
from impasto.losses.base import LOSSES, FeatureLoss

POOLS = (4, 16)  # pixels


@LOSSES.add("laplacian")
class LaplacianLoss(FeatureLoss):
    """Squared difference of the Laplacians of the image, pooled by 4 and by 16 (Li, Xu, Nie & Chua, ACM MM 2017).

    For the image itself (layer `image`): keeps edges, lines and faces, and ignores slowly changing colors. The border
    is replicated. The statistic is a vector `(B, L)`; the squared length of the part of each pooling is its mean
    square. A guide weights the squared differences, each by the minimum of the guide over the pixels of its 3x3
    pools; both images must have the same guide.

    Departs from the paper: the mean instead of the sum, and both poolings in one loss.
    """

    role = "content"

    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        """Return the pooled Laplacians as one vector, `(B, L)`."""
        parts = []
        for pool in POOLS:
            edges = _laplacian(F.avg_pool2d(at_least_fp32(features), pool, ceil_mode=True))  # (B, C, H/pool, W/pool)
            if guide is not None:
                edges = edges * _min_pool(_min_pool(guide, pool, pool), 3, 1, 1).sqrt()
            parts.append(edges.flatten(1) / edges[0].numel() ** 0.5)
        return torch.cat(parts, dim=1)

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        """Return the squared Euclidean distance, averaged over the batch."""
        return (statistic - target).square().sum(1).mean()


def _laplacian(maps: Tensor) -> Tensor:
    padded = F.pad(maps, (1, 1, 1, 1), mode="replicate")
    horizontal = padded[..., 1:-1, :-2] + padded[..., 1:-1, 2:]
    return horizontal + padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1] - 4 * maps


def _min_pool(guide: Tensor, size: int, stride: int, padding: int = 0) -> Tensor:
    return -F.max_pool2d(-guide, size, stride, padding, ceil_mode=True)
