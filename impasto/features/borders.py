"""Extend feature maps beyond their borders.

PyTorch's own replication and reflection padding compute in fp32 and take as long as the convolution that follows.
"""

from __future__ import annotations

import torch
from torch import Tensor

BORDER = 16
"""Pixels by which an image is mirrored for a loss network whose features are compared position by position: its zero
padding is an edge around the image, which the optimization would paint as a frame."""


def pad_replicate(x: Tensor, border: int = 1) -> Tensor:
    """Repeat the outermost positions of features `border` times on each side.

    Args:
        x: features `(B, C, h, w)`.
        border: number of positions to add on each side, at least 1.

    Returns:
        Features `(B, C, h + 2 border, w + 2 border)`.
    """
    batch, channels, height, width = x.shape
    if torch.compiler.is_exporting():  # one operator of ONNX: half the time of slices that are concatenated
        pads = torch.tensor([0, 0, border, border, 0, 0, border, border])
        shape = (batch, channels, height + 2 * border, width + 2 * border)
        return torch.onnx.ops.symbolic("Pad", (x, pads), {"mode": "edge"}, dtype=x.dtype, shape=shape)
    padded = x.new_empty(batch, height + 2 * border, width + 2 * border, channels).permute(0, 3, 1, 2)
    padded[..., border:-border, border:-border] = x
    return _fill_border(padded, border)


def pad_reflect(x: Tensor) -> Tensor:
    """Mirror features at their outermost positions, by one position on each side.

    Args:
        x: features `(B, C, h, w)`; a side of a single position is repeated.

    Returns:
        Features `(B, C, h + 2, w + 2)`.
    """
    if torch.compiler.is_exporting():
        x = torch.cat([x[..., 1:2], x, x[..., -2:-1]], 3)
        return torch.cat([x[..., 1:2, :], x, x[..., -2:-1, :]], 2)
    batch, channels, height, width = x.shape
    padded = x.new_empty(batch, height + 2, width + 2, channels).permute(0, 3, 1, 2)
    padded[..., 1:-1, 1:-1] = x
    padded[..., 1:-1, 0], padded[..., 1:-1, -1] = x[..., min(1, width - 1)], x[..., max(-2, -width)]
    padded[..., 0, :], padded[..., -1, :] = padded[..., min(2, height), :], padded[..., max(-3, -height - 1), :]
    return padded


def mirror(image: Tensor, width: int) -> Tensor:
    """Mirror an image at its borders, with a gradient that is deterministic on every device.

    Args:
        image: `(B, C, H, W)`.
        width: number of pixels to add on each side, less than H and W.

    Returns:
        `(B, C, H + 2 width, W + 2 width)`.
    """
    for dim in (-2, -1):
        first, last = (image.narrow(dim, start, width).flip(dim) for start in (1, image.shape[dim] - 1 - width))
        image = torch.cat([first, image, last], dim)
    return image


def upsample_and_pad(x: Tensor, border: int = 1) -> Tensor:
    """Return `pad_replicate` of `x` enlarged by 2, without storing the enlarged features separately."""
    batch, channels, height, width = x.shape
    padded = x.new_empty(batch, 2 * (height + border), 2 * (width + border), channels).permute(0, 3, 1, 2)
    inner = padded[..., border:-border, border:-border]
    for row in (0, 1):
        for column in (0, 1):
            inner[..., row::2, column::2] = x
    return _fill_border(padded, border)


def _fill_border(padded: Tensor, border: int) -> Tensor:
    """Fill the outermost positions with the nearest inner values, in place."""
    padded[..., border:-border, :border] = padded[..., border:-border, border : border + 1]
    padded[..., border:-border, -border:] = padded[..., border:-border, -border - 1 : -border]
    padded[..., :border, :] = padded[..., border : border + 1, :]
    padded[..., -border:, :] = padded[..., -border - 1 : -border, :]
    return padded
