"""Show a content image in a style at once, with one pass of a small network, before a job is started."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence

from impasto.pipeline.stylizer import Stylizer
from impasto.studio.networks import METHOD
from impasto.studio.previews import ReducedImages, encode_preview
from impasto.studio.requests import MAX_STYLES

SIZES = (192, 768)
"""Longer sides in pixels: of a thumbnail, and of the canvas."""


class InstantPreviews:
    """Compute previews one at a time, and keep the last ones.

    Args:
        images: decodes the inputs.
    """

    def __init__(self, images: ReducedImages) -> None:
        self._images = images
        self._lock = threading.Lock()
        self._compute = functools.lru_cache(maxsize=256)(self._stylize)
        self._stylizer = functools.lru_cache(maxsize=32)(self._make_stylizer)

    def encode(self, content: str, styles: Sequence[str], size: int, weights: str | None = None) -> bytes:
        """Return a preview as the bytes of a JPEG, or of a WebP if the content image has transparency.

        Args:
            content: path of the content image.
            styles: paths of the style images, with equal weights.
            size: longer side in pixels, one of `SIZES`.
            weights: weights file of a network that was adapted to the style; None is the bundled one.

        Raises:
            ValueError: for another size, a wrong number of styles, or an image that cannot be read.
        """
        if size not in SIZES:
            raise ValueError(f"size: give one of {', '.join(map(str, SIZES))}, not {size}")
        if not 0 < len(styles) <= MAX_STYLES:
            raise ValueError(f"style: give 1 to {MAX_STYLES} style images, not {len(styles)}")
        with self._lock:
            return self._compute(content, tuple(styles), size, weights)

    def _stylize(self, content: str, styles: tuple[str, ...], size: int, weights: str | None) -> bytes:
        image, alpha = self._images.open(content)
        return encode_preview(self._stylizer(styles, size, weights).stylize(image).image, size, alpha)

    def _make_stylizer(self, styles: tuple[str, ...], size: int, weights: str | None) -> Stylizer:
        return Stylizer([self._images.open(style)[0] for style in styles], METHOD, size=size, weights=weights)
