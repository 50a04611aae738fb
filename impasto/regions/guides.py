"""Compute guides: the weight of each position of a feature map within a region (Gatys et al., CVPR 2017)."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor

Guides = dict[str, Tensor]
"""A guide `(1, 1, h, w)` with mean 1 for each layer; empty if all positions have the same weight."""


def layer_guides(mask: Tensor, shapes: Mapping[str, tuple[int, int]]) -> Guides:
    """Return the guide of each layer.

    Args:
        mask: mask of the region, `(1, 1, H, W)` in [0, 1].
        shapes: height and width of the feature map of each layer.
    """
    return {layer: eroded_guide(mask, shape) for layer, shape in shapes.items()}


def eroded_guide(mask: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return the guide of a mask at the size of a feature map.

    The receptive fields of positions next to the border extend across it and would transfer the style of the other
    region, so the mask is eroded by one position (Gatys et al., CVPR 2017, section 5). Eroding by two would leave the
    border without style (docs/measurements/masks.md). Departs from the paper: parts too thin to be eroded, which
    dilation by one position does not restore, keep their weight.

    Args:
        mask: `(1, 1, H, W)` in [0, 1].
        shape: height and width of the feature map.

    Returns:
        `(1, 1, *shape)`, >= 0, with mean 1 (0 for an empty mask).
    """
    coverage = F.adaptive_avg_pool2d(mask, shape)
    inside = -F.max_pool2d(-coverage, 3, stride=1, padding=1)
    thin = (coverage - F.max_pool2d(inside, 3, stride=1, padding=1)).clamp_min(0)
    weight = inside + thin
    return weight / weight.mean().clamp_min(1e-12)
