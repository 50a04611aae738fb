"""Encode small JPEGs of images for the page."""

from __future__ import annotations

import io

from torch import Tensor

from impasto.images import fit, flatten, resize, to_pil
from impasto.types import Image

PREVIEW_SIZE, THUMBNAIL_SIZE = 1024, 320
"""Largest longer sides in pixels."""


def encode_jpeg(image: Image, max_size: int, alpha: Tensor | None = None) -> bytes:
    """Return an image as the bytes of a JPEG, transparent parts in white.

    Args:
        image: `(1, 3, H, W)`, values in [0, 1].
        max_size: largest longer side in pixels; a larger image is reduced, a smaller one keeps its size.
        alpha: opacity `(1, 1, h, w)` in [0, 1], of any size; None: opaque.
    """
    height, width = image.shape[-2:]
    image = flatten(image, None if alpha is None else resize(alpha, (height, width)))
    small = resize(image, fit((height, width), min(max_size, max(height, width))))
    file = io.BytesIO()
    to_pil(small).save(file, "JPEG", quality=85)
    return file.getvalue()
