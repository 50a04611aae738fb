"""Make the noise that the feed-forward methods add to content images, so that plain areas get strokes of the style."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.types import Image

NOISE_SCALES, NOISE_STD = (2, 4, 8), 0.03
"""Scales of the input noise in pixels, and the standard deviation of each, in units of the pixel range."""
NOISE_SIZE = (512, 440)
"""Height and width of the noise map that is repeated over a content image, in pixels."""


def input_noise(height: int, width: int, seed: int) -> Tensor:
    """Return a periodic map of noise of several scales.

    Args:
        height: pixels, a multiple of 8.
        width: pixels, a multiple of 8.
        seed: seed of the random numbers.

    Returns:
        Float32 `(1, 1, height, width)`, continuous across its borders when repeated.
    """
    return enlarge_noise(coarse_noise(height, width, seed))


def coarse_noise(height: int, width: int, seed: int) -> list[Tensor]:
    """Return the random numbers of `input_noise`: a map `(1, 1, height / s + 2, width / s + 2)` for each scale s."""
    generator = torch.Generator().manual_seed(seed)
    coarse = (torch.randn(1, 1, height // size, width // size, generator=generator) for size in NOISE_SCALES)
    return [F.pad(each, (1, 1, 1, 1), mode="circular") for each in coarse]


def enlarge_noise(coarse: Sequence[Tensor]) -> Tensor:
    """Return the map of `input_noise` for the random numbers of `coarse_noise`."""
    noise = coarse[0].new_zeros(())
    for size, padded in zip(NOISE_SCALES, coarse, strict=True):
        fine = F.interpolate(padded, scale_factor=float(size), mode="bilinear", align_corners=False)
        noise = noise + NOISE_STD * fine[..., size:-size, size:-size]
    return noise


def add_input_noise(content: Image, noise: Tensor, top: int = 0, left: int = 0) -> Image:
    """Add repeated noise to a content image.

    Convolutions give every position of a uniform area, such as a clear sky, the same output: a plain color or a
    checkerboard; and normalization has no standard deviation to divide by in a uniform image. The noise gives the
    network structures to turn into strokes.

    The noise is added twice, upright and transposed. Where h and w differ, the sum has the period of their least
    common multiple, so that uniform areas do not show the repetition.

    Args:
        content: the content image `(1, 3, H, W)`, or a tile of it.
        noise: the noise map `(1, 1, h, w)`.
        top: row of the tile's first pixel in the content image.
        left: column of the tile's first pixel in the content image.

    Returns:
        The image with noise, `(1, 3, H, W)`.
    """
    rows = top + torch.arange(content.shape[-2], device=content.device)
    columns = left + torch.arange(content.shape[-1], device=content.device)
    upright = noise.to(content.device) / 2**0.5
    transposed = upright.mT.flip(3)
    for tile in (upright, transposed):
        content = content + tile[:, :, rows % tile.shape[-2]][:, :, :, columns % tile.shape[-1]]
    return content
