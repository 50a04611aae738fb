"""Hypercolumns: what all layers of a network say about one place of a picture, as one vector."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.types import Features

RATIO = 1.2207440846057596
"""The root of x**4 = x + 1: steps of its powers fill the cube evenly (Roberts 2018, the sequence R3)."""


def draw_places(shape: tuple[int, int], mask: Tensor | None, count: int, seed: int) -> Tensor:
    """Pixels spread evenly over a picture, or over what a mask leaves of it.

    Args:
        shape: height and width of the picture.
        mask: `(1, 1, *shape)` in [0, 1], how likely a pixel is to be taken; None: all alike.
        count: how many, at most; of fewer pixels, each is taken once.
        seed: where the sequence of pixels begins; it is evenly spread from anywhere.

    Returns:
        Rows and columns, int64 `(N, 2)`, on the CPU; N is 0 only where the mask is.

    An evenly spread choice differs less from the next one than a random one does, and so do the losses on it.
    """
    height, width = shape
    chance = torch.ones(shape) if mask is None else mask[0, 0].float().cpu()
    within = chance.nonzero()
    if len(within) <= count:
        return within
    start = torch.rand(3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    stride = torch.tensor([RATIO**-1, RATIO**-2, RATIO**-3], dtype=torch.float64)
    tries = 2 * int(count / chance.mean().item()) + 16
    points = (start + stride * torch.arange(tries)[:, None]) % 1  # (tries, 3)
    rows, columns = (points[:, 0] * height).long(), (points[:, 1] * width).long()
    taken = points[:, 2] < chance[rows, columns]
    return torch.stack([rows, columns], dim=1)[taken][:count]


def hypercolumns(features: Features, layers: list[str], places: Tensor) -> Tensor:
    """The features of `layers` at some pixels, one below the other.

    Args:
        features: maps `(1, C, h, w)`, and the picture `(1, 3, H, W)` as `"image"`, of which places are pixels.
        places: rows and columns, int64 `(N, 2)`.

    Returns:
        float32 `(1, sum of C, N, 1)`, a map that is one place wide; between the places of a map, bilinear.
    """
    shape = features["image"].shape[-2:]
    return torch.cat([_at(features[layer], places, shape) * (1 if layer == 'image' else features[layer].shape[1] ** -0.5) for layer in layers]).unsqueeze(0).unsqueeze(-1)


def _at(maps: Tensor, places: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A map's values `(C, N)` at pixels of a picture of height and width `shape`."""
    size = torch.tensor(maps.shape[-2:])
    position = (places + 0.5) * size / torch.tensor(shape) - 0.5  # (N, 2), in places of the map
    position = position.clamp_min(0).minimum(size - 1)
    corner = position.long()
    next_corner = (corner + 1).minimum(size - 1)
    part = position - corner
    rows = torch.stack([corner[:, 0], corner[:, 0], next_corner[:, 0], next_corner[:, 0]])  # (4, N)
    columns = torch.stack([corner[:, 1], next_corner[:, 1], corner[:, 1], next_corner[:, 1]])
    down = torch.stack([1 - part[:, 0], 1 - part[:, 0], part[:, 0], part[:, 0]])
    across = torch.stack([1 - part[:, 1], part[:, 1], 1 - part[:, 1], part[:, 1]])
    index = (rows * maps.shape[-1] + columns).flatten().to(maps.device)
    vectors = maps[0].permute(1, 2, 0).flatten(0, 1).index_select(0, index)  # (4 N, C)
    vectors = vectors.float() if vectors.dtype is torch.bfloat16 else vectors
    weights = (down * across).to(vectors)[..., None]  # (4, N, 1)
    return (vectors.unflatten(0, rows.shape) * weights).sum(0).T
