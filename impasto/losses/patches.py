"""Define the loss `patches`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.features.positions import at_least_fp32, inside_guide
from impasto.losses.base import LOSSES, FeatureLoss

PATCH_SIZE = 3
EPSILON = 1e-12
PAIRS_PER_BLOCK = 2**23
"""Pairs of positions that are compared at a time: 32 MiB in float32, and as much for each of three sums."""


@LOSSES.add("patches")
class PatchesLoss(FeatureLoss):
    """Squared difference of 3x3 patches and their nearest patches of the target (CNNMRF; Li & Wand, CVPR 2016).

    This is the style loss of arXiv 1601.04589. The nearest patch has the largest normalized cross-correlation and is
    found without gradient; the squared differences are averaged. Local structure is preserved at any position, and one
    patch of the target may be matched many times. A patch of zeros matches an arbitrary patch, and proportional
    patches are not distinguished.

    The statistic contains the features and the guide as one more channel, `(B, C + 1, H, W)`, extended by their border
    to at least one patch. A guide selects the patches with the largest part inside it, where inside means a guide of at
    least half of its maximum; features outside are replaced by 0.
    """

    def statistic(self, features: Tensor, guide: Tensor | None = None) -> Tensor:
        """Return the features inside the guide and the guide as a mask, `(B, C + 1, H, W)`."""
        maps = at_least_fp32(features)
        mask = torch.ones_like(maps[:, :1]) if guide is None else inside_guide(guide).to(maps).expand_as(maps[:, :1])
        maps = torch.cat([maps * mask, mask], dim=1)  # (B, C + 1, H, W)
        right, bottom = (max(0, PATCH_SIZE - maps.shape[axis]) for axis in (3, 2))
        return F.pad(maps, (0, right, 0, bottom), mode="replicate") if right or bottom else maps

    def distance(self, statistic: Tensor, target: Tensor) -> Tensor:
        """Return the mean squared difference of the patches and their matches, averaged over the batch."""
        pairs = zip(torch.split(statistic, 1), torch.split(target, 1), strict=True)
        return torch.stack([_matched_distance(maps, target_maps) for maps, target_maps in pairs]).mean()


def _matched_distance(statistic: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared difference of one image's selected patches and their matches."""
    maps, target_maps = statistic[:, :-1], target[:, :-1]
    selected = _selected_patches(statistic).flatten().nonzero()[:, 0]
    matches = _best_matches(maps.detach(), target_maps, _selected_patches(target))[selected]
    own, other = (each[0].flatten(1).T.contiguous() for each in (maps, target_maps))  # (H*W, C)
    corner, matched_corner = _first_position(selected, maps), _first_position(matches, target_maps)
    total = maps.new_zeros(())
    for row in range(PATCH_SIZE):
        for column in range(PATCH_SIZE):
            position = corner + row * maps.shape[3] + column
            matched = matched_corner + row * target_maps.shape[3] + column
            total = total + F.mse_loss(own.index_select(0, position), other.index_select(0, matched))
    return total / PATCH_SIZE**2


def _first_position(patches: Tensor, maps: Tensor) -> Tensor:
    """Return the index of the first position of each patch, for indices of patches."""
    width = maps.shape[3] - PATCH_SIZE + 1
    return patches // width * maps.shape[3] + patches % width


def _selected_patches(statistic: Tensor) -> Tensor:
    """Return the mask of the patches with the largest part inside the guide: bool `(H - 2, W - 2)`."""
    cover = F.avg_pool2d(statistic[:, -1:], PATCH_SIZE, 1)[0, 0]
    return cover >= cover.max()


def _best_matches(maps: Tensor, target: Tensor, selected: Tensor) -> Tensor:
    """Return the index of the selected patch of `target` that best matches each patch of `maps`, both `(1, C, H, W)`.

    The product of two patches is the sum of nine products of positions, so each pair of positions is multiplied once.
    """
    norms = (F.avg_pool2d(target.square().sum(1, keepdim=True), PATCH_SIZE, 1)[0, 0] + EPSILON).sqrt()
    rows = max(1, PAIRS_PER_BLOCK // (maps.shape[3] * target[0, 0].numel()) - PATCH_SIZE + 1)
    matches = []
    for top in range(0, maps.shape[2] - PATCH_SIZE + 1, rows):
        band = maps[0, :, top : top + rows + PATCH_SIZE - 1]  # (C, h, W)
        products = (band.flatten(1).T @ target[0].flatten(1)).view(*band.shape[1:], *target.shape[2:])
        strips = (products[:, :-2, :, :-2] + products[:, 1:-1, :, 1:-1]).add_(products[:, 2:, :, 2:])
        patches = (strips[:-2, :, :-2] + strips[1:-1, :, 1:-1]).add_(strips[2:, :, 2:])  # (h-2, W-2, H'-2, W'-2)
        correlations = patches.div_(norms).masked_fill_(~selected, -torch.inf)
        matches.append(correlations.flatten(2).max(2).indices.flatten())
    return torch.cat(matches)
