"""Draw content images for a training without photographs: random shapes that hide each other.

Such images have the statistics of photographs that matter here: plain areas, edges of all directions and sharpnesses,
gradients, and shapes of all sizes.

Reference: the dead leaves model (Lee, Mumford & Huang, IJCV 2001; Baradad et al., NeurIPS 2021, train with it).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.types import Image

SHAPES = 48
"""Number of shapes in an image."""
SMALLEST, LARGEST = 1 / 40, 1 / 2
"""Radii of the smallest and of the largest shape, in units of the side of the image."""
TEXTURED = 0.4
"""Fraction of the shapes that are not smooth."""


def draw_content(side: int, generator: torch.Generator) -> Image:
    """Return an image of random shapes `(1, 3, side, side)` in [0, 1].

    Args:
        side: height and width in pixels.
        generator: source of the random numbers.
    """
    texture = smooth_noise(side, generator)
    image = _color(generator)[None].expand(1, 3, side, side) + 0.08 * texture
    chance = torch.rand(SHAPES, generator=generator)
    radii = side / (chance / SMALLEST + (1 - chance) / LARGEST)  # density r^-2: more large shapes than in photographs
    for radius in radii.sort(descending=True).values.tolist():
        _draw_shape(image, radius, texture, generator)
    return (image + 0.02 * torch.randn(image.shape, generator=generator)).clamp_(0, 1)


def smooth_noise(side: int, generator: torch.Generator) -> Image:
    """Return noise `(1, 3, side, side)` whose amplitude is proportional to its wavelength, mostly gray."""
    noise = torch.zeros(1, 3, side, side)
    for size in (64, 32, 16, 8, 4):
        colors = torch.randn(1, 3, side // size + 2, side // size + 2, generator=generator)
        gray = colors.mean(1, keepdim=True) * 1.2
        noise += size / 64 * F.interpolate(gray + 0.3 * colors, size=(side, side), mode="bicubic")
    return noise


def _draw_shape(image: Image, radius: float, texture: Image, generator: torch.Generator) -> None:
    """Draw an ellipse or a rectangle of a random direction, color and gradient into an image."""
    side = image.shape[-1]
    x, y, turn, narrow, kind, rough = torch.rand(6, generator=generator).tolist()
    reach = math.ceil(1.5 * radius)  # a corner of a square is 1.41 radii away
    top, left = (max(0, round(each * side) - reach) for each in (y, x))
    bottom, right = (min(side, round(each * side) + reach) for each in (y, x))
    rows, columns = torch.arange(top, bottom)[:, None] - y * side, torch.arange(left, right)[None] - x * side
    cos, sin, flat = math.cos(math.pi * turn), math.sin(math.pi * turn), 0.35 + 0.65 * narrow
    u, v = (columns * cos + rows * sin) / radius, (rows * cos - columns * sin) / (radius * flat)
    distance = torch.maximum(u.abs(), v.abs()) if kind < 0.4 else (u.square() + v.square()).sqrt()
    cover = ((1 - distance) * radius * flat).clamp(0, 1)
    slope = 0.12 * torch.randn(2, generator=generator)
    fill = _color(generator) + slope[0] * u + slope[1] * v  # (3, h, w)
    window = image[0, :, top:bottom, left:right]
    if rough < TEXTURED:
        fill = fill + 0.1 * texture[0, :, top:bottom, left:right]
    window.lerp_(fill, cover)


def _color(generator: torch.Generator) -> Tensor:
    """Return a random color `(3, 1, 1)`, rarely saturated."""
    gray, tint = torch.randn(1, 1, 1, generator=generator), torch.randn(3, 1, 1, generator=generator)
    return 0.5 + 0.25 * gray + 0.1 * tint
