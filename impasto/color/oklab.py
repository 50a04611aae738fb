"""OKLab: lightness apart from color, at distances that the eye agrees with."""

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
"""How finely the largest chroma of the gamut is found: to 1/4096 of the chroma asked for."""
SLACK = 1e-4
"""How far outside [0, 1] a value still counts as inside: rounding, a fortieth of a level of 8 bits."""


def to_oklab(image: Image) -> Tensor:
    """(L, a, b) `(B, 3, H, W)` of an sRGB picture: L is 0 for black and 1 for white, a and b are 0 for grays."""
    linear = torch.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055).clamp_min(0) ** 2.4)
    cones = _times(TO_CONES, linear)
    return _times(TO_LAB, cones.sign() * cones.abs() ** (1 / 3))


def from_oklab(lab: Tensor) -> Tensor:
    """The sRGB values of (L, a, b) `(B, 3, H, W)`; outside [0, 1] where sRGB has no such color."""
    cones = _times(_inverse(TO_LAB), lab) ** 3
    linear = _times(_inverse(TO_CONES), cones)
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)


def into_gamut(lab: Tensor) -> Image:
    """The sRGB picture of `(B, 3, H, W)` in [0, 1]; a color that sRGB lacks keeps lightness and hue, and pales."""
    pixels = lab.movedim(1, -1).reshape(-1, 3, 1, 1)  # every pixel a picture, so that a few can be picked
    image = from_oklab(pixels)
    outside = ((image < -SLACK) | (image > 1 + SLACK)).any(1).flatten()
    image[outside] = from_oklab(_paled(pixels[outside]))
    height, width = lab.shape[-2:]
    return image.clamp(0, 1).reshape(-1, height, width, 3).movedim(-1, 1).contiguous()


def _paled(lab: Tensor) -> Tensor:
    """The same lightness and hue, with the largest share of the chroma that sRGB has; by bisection."""
    lightness, chroma = lab[:, :1], lab[:, 1:]
    low = torch.zeros_like(lightness)
    for i in range(1, HALVINGS + 1):
        tried = low + 0.5**i
        image = from_oklab(torch.cat([lightness, tried * chroma], 1))
        inside = ((image >= -SLACK) & (image <= 1 + SLACK)).all(1, keepdim=True)
        low = torch.where(inside, tried, low)
    return torch.cat([lightness, low * chroma], 1)


def _times(matrix: tuple[tuple[float, ...], ...], image: Tensor) -> Tensor:
    return torch.einsum("ij,bjhw->bihw", image.new_tensor(matrix), image)


def _inverse(matrix: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
    rows = torch.tensor(matrix, dtype=torch.float64).inverse().tolist()
    return tuple(tuple(row) for row in rows)
