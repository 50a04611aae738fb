"""Sample hypercolumns: the features of several layers at one pixel as one vector (Hariharan et al., CVPR 2015)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.features.positions import inside_guide
from impasto.types import Features

RATIO = 1.3247179572447460
"""Root of x**3 = x + 1; steps of its first two inverse powers fill a square evenly (Roberts 2018, sequence R2)."""


def draw_positions(shape: tuple[int, int], mask: Tensor | None, count: int, seed: int) -> Tensor:
    """Return pixels that are spread evenly over an image or over a part of it.

    The pixels follow the low-discrepancy sequence R2: two such samples, and the losses on them, differ less than two
    random samples.

    Args:
        shape: height and width of the image in pixels.
        mask: `(1, 1, *shape)`, >= 0; pixels with at least half of its maximum are drawn. None: all pixels.
        count: largest number of pixels; if there are no more than this, all are returned.
        seed: seed of the start of the sequence.

    Returns:
        Rows and columns, int64 `(N, 2)`, on the CPU; empty only if the mask is.
    """
    inside = torch.ones(shape, dtype=torch.bool) if mask is None else inside_guide(mask)[0, 0].cpu()
    pixels = inside.nonzero()
    if len(pixels) <= count:
        return pixels
    start = torch.rand(2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    stride = torch.tensor([1 / RATIO, 1 / RATIO**2], dtype=torch.float64)
    tries = 2 * count * inside.numel() // len(pixels)
    points = (start + stride * torch.arange(tries)[:, None]) % 1  # (tries, 2)
    positions = (points * torch.tensor(shape)).long()
    return positions[inside[positions[:, 0], positions[:, 1]]][:count]


def hypercolumns(features: Features, layers: Sequence[str], positions: Tensor) -> Tensor:
    """Return the features of several layers at some pixels, concatenated along the channels.

    Each layer is divided by the square root of its width, so that wide layers do not dominate narrow ones.

    Args:
        features: maps `(1, C, h, w)`, and the image `(1, 3, H, W)` as `"image"`.
        layers: names of the layers.
        positions: rows and columns of pixels of the image, int64 `(N, 2)`.

    Returns:
        `(1, sum of C, N, 1)`: a map that is one position wide, fp32 (float64 for float64), interpolated bilinearly.
    """
    height, width = features["image"].shape[-2:]
    parts = [_at(features[layer], positions, (height, width)) for layer in layers]
    return torch.cat([part * len(part) ** -0.5 for part in parts])[None, ..., None]


def _at(maps: Tensor, positions: Tensor, shape: tuple[int, int]) -> Tensor:
    """Interpolate a map `(1, C, h, w)` at pixels of an image of height and width `shape`: `(C, N)`."""
    size = torch.tensor(maps.shape[-2:])
    site = ((positions + 0.5) * size / torch.tensor(shape) - 0.5).clamp_min(0)  # (N, 2), in sites of the map
    low = site.long().minimum(size - 1)
    high = (low + 1).minimum(size - 1)
    part = (site - low).clamp_max(1)
    corners, weights = [], []
    for row, down in ((low[:, 0], 1 - part[:, 0]), (high[:, 0], part[:, 0])):
        for column, across in ((low[:, 1], 1 - part[:, 1]), (high[:, 1], part[:, 1])):
            corners.append(row * maps.shape[-1] + column)
            weights.append(down * across)
    vectors = maps[0].permute(1, 2, 0).flatten(0, 1).index_select(0, torch.cat(corners).to(maps.device))  # (4 N, C)
    vectors = vectors if vectors.dtype is torch.float64 else vectors.float()
    weight = torch.stack(weights).to(vectors)[..., None]  # (4, N, 1)
    return (vectors.view(4, len(positions), len(maps[0])) * weight).sum(0).T
