"""Name the picture that is too small for a layer, and the smallest size at which it is not."""

from __future__ import annotations

import math
from collections.abc import Iterable

from impasto.backbones.chain import TooSmallError
from impasto.images import fit
from impasto.pipeline.result import Input
from impasto.types import Image


def explain_too_small(error: TooSmallError, pictures: Iterable[tuple[Input, Image]], size: int) -> str:
    """Return the message of an error about an image that was too small for a layer.

    Args:
        error: the error, with the size of the image.
        pictures: entries and images `(1, 3, H, W)` of the content and the styles, at their own sizes.
        size: longer side of the output in pixels.
    """
    longer_side = max(error.shape)

    def difference(picture: tuple[Input, Image]) -> int:
        height, width = fit((picture[1].shape[-2], picture[1].shape[-1]), longer_side)
        return abs(height - error.shape[0]) + abs(width - error.shape[1])

    entry, image = min(pictures, key=difference)
    shorter_side = longer_side * min(image.shape[-2:]) / max(image.shape[-2:])  # in pixels, before rounding
    smallest = math.ceil(size * (error.needed - 0.5) / shorter_side)
    return (
        f"{entry.role} {entry.name!r} has {error.shape[1]}x{error.shape[0]} pixels at size {size}, too few for "
        f"layer {error.layer}, which needs {error.needed} on each side; give --size {smallest} or more, or "
        "other layers"
    )
