"""CIEDE2000: how far two colors are apart, in the eye's measure."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from impasto.types import Image

# IEC 61966-2-1: linear sRGB to CIE XYZ, and the white of D65 (2 degrees) that belongs to it.
TO_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
WHITE = tuple(map(sum, TO_XYZ))
LINEAR_BELOW = (6 / 29) ** 3
CHROMA = 25.0**7


def to_lab(image: Image) -> Tensor:
    """CIELAB `(B, 3, H, W)` of an sRGB picture, as float64: L from 0 to 100, a and b 0 for grays."""
    encoded = image.double()
    linear = torch.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055).clamp_min(0) ** 2.4)
    matrix = torch.tensor(TO_XYZ, dtype=torch.float64, device=image.device)
    white = torch.tensor(WHITE, dtype=torch.float64, device=image.device).view(1, 3, 1, 1)
    share = torch.einsum("ij,bjhw->bihw", matrix, linear) / white
    root = torch.where(share > LINEAR_BELOW, share.clamp_min(0) ** (1 / 3), share * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = root.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


def color_difference(one: Image, other: Image) -> float:
    """Mean over the pixels of two sRGB pictures of one size; 2.3 is said to be just noticeable, side by side."""
    return ciede2000(to_lab(one), to_lab(other)).mean().item()


def ciede2000(one: Tensor, other: Tensor) -> Tensor:
    """How far colors `(B, 3, H, W)` in CIELAB are apart, `(B, H, W)`; 0 for equal ones, 100 from black to white.

    With all weights 1 (Luo, Cui & Rigg 2001), in the order of Sharma, Wu & Dalal, "The CIEDE2000 color-difference
    formula: implementation notes", 2005, whose equations are numbered here.
    """
    (l1, a1, b1), (l2, a2, b2) = one.unbind(1), other.unbind(1)
    mean_c = (torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2  # (3)
    stretch = 1.5 - 0.5 * _high(mean_c)  # (4): 1 + G
    a1, a2 = a1 * stretch, a2 * stretch  # (5)
    c1, c2 = torch.hypot(a1, b1), torch.hypot(a2, b2)  # (6)
    h1, h2 = torch.atan2(b1, a1) % (2 * math.pi), torch.atan2(b2, a2) % (2 * math.pi)  # (7)
    gray = c1 * c2 == 0
    turn = (h2 - h1 + math.pi) % (2 * math.pi) - math.pi  # (10), the shorter way round
    turn = torch.where(gray, 0, turn)
    hue = 2 * (c1 * c2).sqrt() * torch.sin(turn / 2)  # (11)
    mean_l, mean_c = (l1 + l2) / 2, (c1 + c2) / 2  # (12), (13)
    mean_h = torch.where(gray, h1 + h2, h1 + turn / 2)  # (14)
    light = 1 + 0.015 * (mean_l - 50) ** 2 / (20 + (mean_l - 50) ** 2).sqrt()  # (18)
    chroma = 1 + 0.045 * mean_c  # (19)
    round_ = 1 + 0.015 * mean_c * _hue_weight(mean_h)  # (20)
    in_l, in_c, in_h = (l2 - l1) / light, (c2 - c1) / chroma, hue / round_
    return (in_l**2 + in_c**2 + in_h**2 + _rotation(mean_h, mean_c) * in_c * in_h).clamp_min(0).sqrt()  # (22)


def _high(chroma: Tensor) -> Tensor:
    return (chroma**7 / (chroma**7 + CHROMA)).sqrt()


def _hue_weight(hue: Tensor) -> Tensor:
    """T of equation (15)."""
    terms = ((-0.17, 1, -30), (0.24, 2, 0), (0.32, 3, 6), (-0.20, 4, -63))
    return sum((weight * torch.cos(times * hue + math.radians(shift)) for weight, times, shift in terms), 1 + 0 * hue)


def _rotation(hue: Tensor, chroma: Tensor) -> Tensor:
    """Equations (16), (17) and (21): blues turn."""
    degrees = hue.rad2deg() % 360
    angle = 30 * torch.exp(-(((degrees - 275) / 25) ** 2))
    return -torch.sin(torch.deg2rad(2 * angle)) * 2 * _high(chroma)
