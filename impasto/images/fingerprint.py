"""Recognize an image in any file format and at any size by its mean colors on a coarse grid."""

from __future__ import annotations

import json

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.images.luminance import luminance
from impasto.types import Image

SIDE = 8
"""Cells along each side of the grid."""
SAME_IMAGE = 0.03
"""Largest root mean square distance of one image's fingerprints: resizing and JPEG reach 0.01, two images 0.1."""


def fingerprint(image: Image) -> Tensor:
    """Return the mean colors `(3, 8, 8)` of an image `(1, 3, H, W)` on an 8 x 8 grid."""
    return F.adaptive_avg_pool2d(image, SIDE)[0]


def fingerprint_json(image: Image) -> str:
    """Return the fingerprint of an image `(1, 3, H, W)` as JSON, rounded to three decimals."""
    return json.dumps([round(value, 3) for value in fingerprint(image).flatten().tolist()])


def parse_fingerprint(text: str) -> Tensor:
    """Return the fingerprint `(3, 8, 8)` that `fingerprint_json` wrote.

    Raises:
        ValueError: if the text is something else.
    """
    values = torch.tensor(json.loads(text), dtype=torch.float32)
    return values.view(3, SIDE, SIDE)


def fingerprint_distance(one: Tensor, other: Tensor, *, gray: bool = False) -> float:
    """Return the root mean square difference of two fingerprints `(3, 8, 8)`.

    Args:
        one: first fingerprint.
        other: second fingerprint.
        gray: compare luminances only, after matching the mean and standard deviation of `one` to those of `other`:
            then a grayscale image matches its original even if its luminance was adapted to another image.
    """
    if gray:
        one, other = (luminance(each[None])[0, 0] for each in (one, other))
        one = (one - one.mean()) / one.std().clamp_min(1e-3) * other.std() + other.mean()
    return (one - other).square().mean().sqrt().item()
