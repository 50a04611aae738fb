"""A picture in a few numbers, by which it is known again: in any file, at any size."""

from __future__ import annotations

import json

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.types import Image

SIDE = 8
SAME_IMAGE = 0.03
"""The same picture, smaller or in another file, differs by 0.01 at most, root mean square; two pictures by 0.1."""
LUMINANCE = (0.299, 0.587, 0.114)


def fingerprint(picture: Image) -> Tensor:
    """Mean colors of 8 x 8 fields, `(3, 8, 8)`, of a picture `(1, 3, H, W)`."""
    return F.adaptive_avg_pool2d(picture, SIDE)[0]


def fingerprint_json(picture: Image) -> str:
    """The thumbnail as JSON, to a thousandth."""
    return json.dumps([round(value, 3) for value in fingerprint(picture).flatten().tolist()])


def parse_fingerprint(text: str) -> Tensor:
    """What `written` wrote; `ValueError` for anything else."""
    values = torch.tensor(json.loads(text), dtype=torch.float32)
    return values.view(3, SIDE, SIDE)


def fingerprint_distance(one: Tensor, other: Tensor, *, gray: bool = False) -> float:
    """Root mean square difference of two thumbnails.

    Args:
        gray: compares luminances only, brought to the mean and the deviation of `other`: `one` may be a gray picture
            whose luminance was changed to suit another.
    """
    if gray:
        one, other = (torch.einsum("c,chw->hw", each.new_tensor(LUMINANCE), each) for each in (one, other))
        one = (one - one.mean()) / one.std().clamp_min(1e-3) * other.std() + other.mean()
    return (one - other).square().mean().sqrt().item()
