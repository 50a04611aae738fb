"""Convert between sRGB and OKLab, a color space that separates lightness from chroma."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.types import Image

# Ottosson, "A perceptual color space for image processing", 2020: linear sRGB to cones, their cube roots to (L, a, b).
TO_CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
TO_LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
HALVINGS = 12
"""Steps of the bisection that finds the largest chroma in the gamut; its precision is 1/4096 of the chroma."""
TOLERANCE = 1e-4
"""Distance outside [0, 1] at which a value still counts as inside: rounding, about 1/40 of an 8-bit level."""


def to_oklab(image: Image) -> Tensor:
    """Return (L, a, b) `(B, 3, H, W)` of an sRGB image; L is 0 for black and 1 for white, a and b are 0 for grays."""
    linear = torch.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055).clamp_min(0) ** 2.4)
    cones = _times(TO_CONES, linear)
    return _times(TO_LAB, cones.sign() * cones.abs() ** (1 / 3))


def from_oklab(lab: Tensor) -> Tensor:
    """Return the sRGB values of (L, a, b) `(B, 3, H, W)`; they are outside [0, 1] for colors outside the gamut."""
    cones = _times(_inverse(TO_LAB), lab) ** 3
    linear = _times(_inverse(TO_CONES), cones)
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)


def into_gamut(lab: Tensor) -> Image:
    """Return the sRGB image of (L, a, b), reducing the chroma of colors outside the gamut.

    Lightness and hue of these colors are preserved.

    Args:
        lab: OKLab values `(B, 3, H, W)`.

    Returns:
        `(B, 3, H, W)` in [0, 1].
    """
    pixels = lab.movedim(1, -1).reshape(-1, 3, 1, 1)  # (B*H*W, 3, 1, 1), so that single pixels can be selected
    image = from_oklab(pixels)
    outside = ((image < -TOLERANCE) | (image > 1 + TOLERANCE)).any(1).flatten()
    image[outside] = from_oklab(_reduce_chroma(pixels[outside]))
    height, width = lab.shape[-2:]
    return image.clamp(0, 1).reshape(-1, height, width, 3).movedim(-1, 1).contiguous()


def _reduce_chroma(lab: Tensor) -> Tensor:
    """Scale the chroma by the largest factor that stays in the gamut, found by bisection."""
    lightness, chroma = lab[:, :1], lab[:, 1:]
    low = torch.zeros_like(lightness)
    for i in range(1, HALVINGS + 1):
        middle = low + 0.5**i
        image = from_oklab(torch.cat([lightness, middle * chroma], 1))
        inside = ((image >= -TOLERANCE) & (image <= 1 + TOLERANCE)).all(1, keepdim=True)
        low = torch.where(inside, middle, low)
    return torch.cat([lightness, low * chroma], 1)


def _times(matrix: tuple[tuple[float, ...], ...], image: Tensor) -> Tensor:
    return torch.einsum("ij,bjhw->bihw", image.new_tensor(matrix), image)


def _inverse(matrix: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
    rows = torch.tensor(matrix, dtype=torch.float64).inverse().tolist()
    return tuple(tuple(row) for row in rows)
