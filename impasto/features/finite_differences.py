"""Compute differences between neighboring pixels, from which the total variation losses are computed."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.features.positions import at_least_fp32


def neighbor_differences(maps: Tensor, guide: Tensor | None, *, power: int) -> tuple[Tensor, Tensor]:
    """Return the differences between each pixel and its right and lower neighbors.

    Args:
        maps: `(B, C, H, W)`.
        guide: weight of each pixel, `(1, 1, H, W)`; a difference has the smaller weight of its two pixels.
        power: exponent that the caller will apply to the differences, 1 or 2; the weight then multiplies the result.

    Returns:
        Horizontal differences `(B, C, H, W - 1)` and vertical ones `(B, C, H - 1, W)`, fp32 (float64 for float64).
    """
    pixels = at_least_fp32(maps)
    across, down = pixels[..., 1:] - pixels[..., :-1], pixels[..., 1:, :] - pixels[..., :-1, :]
    if guide is None:
        return across, down
    weight_across = torch.minimum(guide[..., 1:], guide[..., :-1]) ** (1 / power)
    weight_down = torch.minimum(guide[..., 1:, :], guide[..., :-1, :]) ** (1 / power)
    return across * weight_across, down * weight_down
