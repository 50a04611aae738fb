"""Measure checkerboard artifacts of outputs."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from impasto.types import Image


def checkerboard(images: Image) -> Tensor:
    """Measure checkerboard artifacts with a period of two pixels.

    The details that a blur of three pixels removes, without slopes, are averaged for each of the four pixels of a 2x2
    block over windows of 16 pixels. Strokes and noise differ from block to block and average out.

    Args:
        images: `(B, 3, H, W)`, at least 18 pixels per side.

    Returns:
        Mean square of the averages, 0-d.
    """
    rows = images[..., :-2, :] + 2 * images[..., 1:-1, :] + images[..., 2:, :]
    blurred = (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / 16  # contains no checkerboard
    details = images[..., 1:-1, 1:-1] - blurred
    height, width = (side // 2 * 2 for side in details.shape[-2:])
    phases = F.pixel_unshuffle(details[..., :height, :width], 2)  # (B, 12, h, w)
    return F.avg_pool2d(phases, 8).square().mean()
