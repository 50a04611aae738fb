"""Small JPEGs of what is being painted, and of what may be."""

from __future__ import annotations

import io

from impasto.images import fit, resize, to_pil
from impasto.types import Image

PREVIEW, THUMBNAIL = 1024, 320
"""Longer sides in pixels, at most."""


def jpeg(image: Image, longest: int) -> bytes:
    """A picture `(1, 3, H, W)` as the bytes of a JPEG, its longer side at most `longest` pixels."""
    height, width = image.shape[-2:]
    small = resize(image, fit((height, width), min(longest, max(height, width))))
    file = io.BytesIO()
    to_pil(small).save(file, "JPEG", quality=85)
    return file.getvalue()
