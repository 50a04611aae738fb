"""Guides: how much each place of a feature map counts for the region that it lies in."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from impasto.types import Features

Guides = dict[str, Tensor]
"""A guide `(1, 1, h, w)` for every layer, with mean 1; no entry where all places count alike."""


def layer_guides(mask: Tensor | None, features: Features) -> Guides:
    """A mask `(1, 1, H, W)` in [0, 1] at the size of every feature map; nothing for no mask."""
    if mask is None:
        return {}
    return {layer: eroded_guide(mask, (maps.shape[-2], maps.shape[-1])) for layer, maps in features.items()}


def eroded_guide(mask: Tensor, shape: tuple[int, int]) -> Tensor:
    """What counts of a feature map of height and width `shape`, `(1, 1, *shape)`, with mean 1.

    Places next to the border look across it and would carry the style over, so the mask is eroded by one place (Gatys
    et al., CVPR 2017, section 5); two leave the border unpainted (docs/masks.md). Departs from the paper: parts too
    thin to be eroded, which growing by one place does not bring back, count as they are.
    """
    coverage = F.adaptive_avg_pool2d(mask, shape)
    inside = -F.max_pool2d(-coverage, 3, stride=1, padding=1)
    thin = (coverage - F.max_pool2d(inside, 3, stride=1, padding=1)).clamp_min(0)
    counts = inside + thin
    return counts / counts.mean().clamp_min(1e-12)
