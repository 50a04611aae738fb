"""The steps between neighboring pixels: what every total variation is made of."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.features.positions import at_least_fp32


def neighbor_differences(maps: Tensor, guide: Tensor | None, *, power: int) -> tuple[Tensor, Tensor]:
    """Differences to the neighbor on the right and to that below.

    Args:
        maps: `(B, C, H, W)`.
        guide: how much each pixel counts, `(1, 1, H, W)`; a step counts by the lesser of its two pixels.
        power: 1 or 2; what the steps will be raised to, so that the guide weights the result.

    Returns:
        `(B, C, H, W - 1)` and `(B, C, H - 1, W)`, fp32 (float64 for float64).
    """
    pixels = at_least_fp32(maps)
    across, down = pixels[..., 1:] - pixels[..., :-1], pixels[..., 1:, :] - pixels[..., :-1, :]
    if guide is None:
        return across, down
    least_across = torch.minimum(guide[..., 1:], guide[..., :-1]) ** (1 / power)
    least_down = torch.minimum(guide[..., 1:, :], guide[..., :-1, :]) ** (1 / power)
    return across * least_across, down * least_down
