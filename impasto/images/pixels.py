"""Arithmetic of pictures in memory: size, depth and validity."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.types import Image

Bits = Literal[8, 16]


def fit(height_width: tuple[int, int], longer_side: int) -> tuple[int, int]:
    """Height and width in pixels that keep the proportions and whose longer side is `longer_side`.

    The other side is rounded (a half goes up) and is at least 1. Raises `ValueError` for sides below 1.

    >>> fit((600, 800), 512)
    (384, 512)
    """
    if longer_side < 1 or min(height_width) < 1:
        raise ValueError(f"cannot fit {height_width} to a longer side of {longer_side}: give sides of at least 1 pixel")
    longest = max(height_width)
    height, width = (max(1, (2 * side * longer_side + longest) // (2 * longest)) for side in height_width)
    return height, width


def resize(image: Tensor, height_width: tuple[int, int]) -> Tensor:
    """Enlarge or shrink `(B, C, H, W)` in [0, 1] to `height_width` pixels: antialiased bicubic, clamped.

    Colors are averaged as encoded, as image editors do. Returns the same tensor where the size is right
    already.
    """
    if min(height_width) < 1:
        raise ValueError(f"cannot resize to {height_width}: give sides of at least 1 pixel")
    if tuple(image.shape[-2:]) == tuple(height_width):
        return image
    resized = F.interpolate(image, size=height_width, mode="bicubic", align_corners=False, antialias=True)
    return resized.clamp(0, 1)  # bicubic rings at hard edges


def blur(image: Tensor, sigma: float) -> Tensor:
    """`(B, C, H, W)` after a Gaussian of `sigma` pixels; beyond the edge the edge goes on. Below 0.25 as it was."""
    if sigma < 0.25:
        return image
    reach = math.ceil(3 * sigma)
    bell = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=image.device) / sigma).square())
    bell = bell / bell.sum()
    planes = image.flatten(0, 1).unsqueeze(1)  # (B*C, 1, H, W)
    planes = F.conv2d(F.pad(planes, (0, 0, reach, reach), "replicate"), bell.view(1, 1, -1, 1))
    return F.conv2d(F.pad(planes, (reach, reach, 0, 0), "replicate"), bell.view(1, 1, 1, -1)).view(image.shape)


def quantize(image: Tensor, bits: Bits = 8) -> Tensor:
    """The values that a lossless file of `bits` a channel will hold: clamped, then `round(x * 255) / 255`."""
    top = steps(bits)
    return torch.round(image.clamp(0, 1) * top) / top


def steps(bits: int) -> int:
    """The value of white with `bits` a channel: 255 or 65535. Raises `ValueError` for another depth."""
    if bits not in (8, 16):
        raise ValueError(f"bits must be 8 or 16, not {bits!r}")
    return int(2**bits) - 1


def one_picture(image: Tensor, channels: int = 3) -> Tensor:
    """`image` as float32 `(1, C, H, W)`, detached.

    Raises `ValueError` for another shape, a side of zero, integers, NaN or infinity.
    """
    right = f"a float tensor of shape ({channels}, H, W) or (1, {channels}, H, W) with values in [0, 1]"
    if not isinstance(image, Tensor):
        raise ValueError(f"a picture must be {right}, not {type(image).__name__}")
    if not image.is_floating_point():
        raise ValueError(f"a picture must be {right}, not {image.dtype}; divide 8-bit values by 255")
    shape = tuple(image.shape)
    if len(shape) not in (3, 4) or shape[:-2] not in ((channels,), (1, channels)) or 0 in shape:
        raise ValueError(f"a picture must be {right}, not of shape {shape}")
    if not image.isfinite().all():
        raise ValueError(f"a picture must be {right}; this one holds NaN or infinity")
    return image.detach().to(torch.float32).view(1, channels, *shape[-2:])


def check_range(image: Image) -> None:
    """Raise `ValueError` if a value lies outside [0, 1]."""
    low, high = (value.item() for value in image.aminmax())
    if low < 0 or high > 1:
        raise ValueError(f"a picture's values must lie in [0, 1], not {low:.4g} to {high:.4g}; rescale or clamp them")
