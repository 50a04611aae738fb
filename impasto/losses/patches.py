from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.features.positions import at_least_fp32, inside_guide
from impasto.losses.base import LOSSES, FeatureLoss

SIDE = 3
TINY = 1e-12
TOGETHER = 2**23  # pairs of places that are compared at once: 32 MiB in fp32, and as much again for each of three sums


@LOSSES.add("patches")
class PatchesLoss(FeatureLoss):
    """3x3 patches against the target's most alike ones (CNNMRF; Li & Wand, CVPR 2016; arXiv 1601.04589).

    Alike means the largest normalized cross-correlation, found without gradient; then the squared difference, averaged.
    So local structure is kept whole, wherever it lies, and one patch may serve many times. A patch of zeros, and one
    of two patches that are in proportion, has no match of its own.

    A guide selects the patches that lie under it whole (or as far as any does), a place being under it where it is at
    least half of its largest; the other features are taken as 0. Maps narrower than a patch are extended by their
    border.
    """

    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        maps = at_least_fp32(features)
        mask = torch.ones_like(maps[:, :1]) if guide is None else inside_guide(guide).to(maps).expand_as(maps[:, :1])
        maps = torch.cat([maps * mask, mask], dim=1)  # (B, C + 1, H, W)
        right, below = (max(0, SIDE - maps.shape[axis]) for axis in (3, 2))
        return F.pad(maps, (0, right, 0, below), mode="replicate") if right or below else maps

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        pairs = zip(torch.split(statistic, 1), torch.split(target, 1), strict=True)
        return torch.stack([_difference(maps, wanted) for maps, wanted in pairs]).mean()


def _difference(statistic: Tensor, target: Tensor) -> Tensor:
    maps, wanted = statistic[:, :-1], target[:, :-1]
    chosen = _chosen(statistic).flatten().nonzero()[:, 0]
    matches = _most_alike(maps.detach(), wanted, _chosen(target))[chosen]
    own, other = (each[0].flatten(1).T.contiguous() for each in (maps, wanted))  # (H*W, C)
    corner, corner_of_match = _corner(chosen, maps), _corner(matches, wanted)
    total = maps.new_zeros(())
    for down in range(SIDE):
        for right in range(SIDE):
            place, match = corner + down * maps.shape[3] + right, corner_of_match + down * wanted.shape[3] + right
            total = total + F.mse_loss(own.index_select(0, place), other.index_select(0, match))
    return total / SIDE**2


def _corner(patches: Tensor, maps: Tensor) -> Tensor:
    """Index of the first place of each patch, from the index of the patch."""
    width = maps.shape[3] - SIDE + 1
    return patches // width * maps.shape[3] + patches % width


def _chosen(statistic: Tensor) -> Tensor:
    """Which patches lie under the guide as far as any does: bool `(H - 2, W - 2)`."""
    cover = F.avg_pool2d(statistic[:, -1:], SIDE, 1)[0, 0]
    return cover >= cover.max()


def _most_alike(maps: Tensor, wanted: Tensor, chosen: Tensor) -> Tensor:
    """Index of the chosen patch of `wanted` that goes best with each patch of `maps`, both `(1, C, H, W)`.

    The products of patches are sums of nine products of places, so each pair of places is multiplied once.
    """
    norms = (F.avg_pool2d(wanted.square().sum(1, keepdim=True), SIDE, 1)[0, 0] + TINY).sqrt()
    rows = max(1, TOGETHER // (maps.shape[3] * wanted[0, 0].numel()) - SIDE + 1)
    matches = []
    for top in range(0, maps.shape[2] - SIDE + 1, rows):
        band = maps[0, :, top : top + rows + SIDE - 1]  # (C, h, W)
        places = (band.flatten(1).T @ wanted[0].flatten(1)).view(*band.shape[1:], *wanted.shape[2:])
        strips = (places[:, :-2, :, :-2] + places[:, 1:-1, :, 1:-1]).add_(places[:, 2:, :, 2:])
        patches = (strips[:-2, :, :-2] + strips[1:-1, :, 1:-1]).add_(strips[2:, :, 2:])  # (h-2, W-2, H'-2, W'-2)
        alike = patches.div_(norms).masked_fill_(~chosen, -torch.inf)
        matches.append(alike.flatten(2).max(2).indices.flatten())
    return torch.cat(matches)
